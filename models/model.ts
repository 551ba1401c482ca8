import type { Gpu, Tensor } from "../kernels/gpu/mod.ts";
import { NO_TOKEN } from "../kernels/sampling/mod.ts";
import type { ModelConfiguration } from "./configuration.ts";
import {
  checkMaxTokens,
  type GenerateOptions,
  Generation,
  isRecordable,
  QUICK_MILLISECONDS,
  type TokenReader,
  TOKENS_PER_READ,
} from "./generation.ts";
import { buildLayers, type Layer, sumStateBytes } from "./layers.ts";
import { CACHE_ROOM, F32_BYTES, type Mixer, type MixerState } from "./mixers/mixer.ts";
import {
  activation,
  add,
  concatenateTime,
  embedding,
  layerNorm,
  linearMap,
  reshape,
  rmsNorm,
  scale,
} from "./operations.ts";
import { bytesInForms, leavesOf, makeParameters, type ParameterValues } from "./matrices.ts";
import { NotANumberError } from "./not_a_number.ts";
import { measureReading, type ReadingBytes } from "./reading.ts";
import { scoped } from "./parameters.ts";
import { Prompts } from "./prompts.ts";
import { scoreBatch } from "./score.ts";
import {
  type Batch,
  checkLogits,
  checkTokens,
  DISPOSED_MODEL,
  logitBytes,
  type ScoreOptions,
  type Scores,
} from "./scoring.ts";
import { drained, Pace, paced, type Prefilling } from "./pace.ts";
import { mostTokens, pieces, segmentTokens } from "./segments.ts";
import { disposeStates, ModelState } from "./state.ts";
import { Tape, Variable } from "./tape.ts";

const NORM_EPSILON = 1e-5;
/** Name under which a layer's state holds what its channel mixer carries. */
const CHANNEL_STATE = "channel";
/** Tensors of the logits' size while they are capped. */
const CAPPED_COPIES = 4;
/** A sequence model: embedding, layers of a mixer and a channel mixer, final norm, head. */
export class Model implements Disposable {
  /** The GPU that holds it. */
  readonly gpu: Gpu;
  /** What it is. */
  readonly configuration: ModelConfiguration;
  /** Its parameters by name. */
  readonly parameters: ReadonlyMap<string, Variable>;
  readonly #layers: readonly Layer[];
  /** Tokens whose values do not exceed a binding. */
  readonly #mostTokens: number;
  #readingBytes: ReadingBytes | undefined;
  readonly #prompts: Prompts;
  #isDisposed = false;

  /**
   * A model over given parameter values, or freshly initialised from a seed. Values that are on the GPU
   * already, one or several of a matrix's rows, are taken over.
   *
   * @throws {RangeError} where the configuration names an unknown mixer.
   */
  constructor(
    gpu: Gpu,
    configuration: ModelConfiguration,
    values: ParameterValues,
  ) {
    this.gpu = gpu;
    this.configuration = configuration;
    this.#layers = buildLayers(configuration);
    this.parameters = makeParameters(gpu, configuration, values);
    this.#mostTokens = mostTokens(gpu, configuration);
    this.#prompts = new Prompts({
      gpu,
      configuration,
      parameters: this.parameters,
      mixers: this.#mixers,
      segmentTokens: (batch) => this.segmentTokens(batch),
      read: (...segment) => this.#read(...segment),
    });
  }

  /**
   * The tensors that its parameters are in, each a leaf of its own: those of a matrix in several blocks
   * of rows as `name/0`, `name/1`.
   */
  get leaves(): ReadonlyMap<string, Variable> {
    return leavesOf(this.parameters);
  }

  /** Whether its work can be recorded and replayed: all mixers say so. */
  get isRecordable(): boolean {
    return isRecordable(this.#mixers);
  }

  /** Number of parameters. */
  get parameterCount(): number {
    return [...this.parameters.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Bytes of state for one sequence after `length` tokens. A cache that grows has room for up to an
   * eighth more, so that it need not be copied at every token.
   */
  stateBytes(length: number): number {
    return sumStateBytes(this.#layers, this.configuration.width, length);
  }

  /**
   * Tokens of each sequence that streaming prefill reads at once: 4096 of all together, and so few that
   * none of their values exceed a binding of the adapter.
   */
  segmentTokens(batch: number = 1): number {
    return segmentTokens(this.#mostTokens, batch);
  }

  /**
   * Checks that so many sequences can be read, before they are. What reading takes besides the weights
   * and the state grows with a segment's tokens: by how much is seen from two short ones, which are
   * read where the GPU's memory has a limit. What is recorded of batches of another shape is freed.
   *
   * @throws {RangeError} with the bytes needed and the limit.
   */
  checkRoom(length: number, batch: number = 1): void {
    const { gpu, configuration: { layers, vocabulary, logitSoftCap } } = this;
    const what = `read ${batch} × ${length} tokens`;
    this.#prompts.release({ batch, time: length });
    const cache = this.#layers.reduce(
      (most, { mixer }) => Math.max(most, mixer?.largestStateBytes?.(length) ?? 0),
      0,
    );
    gpu.checkBinding(batch * cache, what, "a layer's keys take");
    if (gpu.memory.limit === undefined) return;
    const { fixed, ofToken, most } = this.#readingBytes ??= measureReading(this);
    const state = batch * this.stateBytes(length);
    const grown = state * (1 + CACHE_ROOM) + state / layers.length;
    const segment = batch * Math.min(this.segmentTokens(batch), length);
    const logits = (logitSoftCap === undefined ? 1 : CAPPED_COPIES) *
      Math.min(logitBytes(gpu), F32_BYTES * vocabulary * segment);
    const reading = Math.min(fixed + ofToken * segment, most);
    const bytes = Math.max(0, Math.ceil(grown + reading + logits) - this.#prompts.bytes);
    gpu.checkRoom(bytes, `${what} in segments of ${segment / batch}`, {
      otherwise: `with its weights the model takes ${bytesInForms(this.configuration, bytes)}`,
    });
  }

  /**
   * Reads a segment on a tape: the residual stream behind the final norm, and the states after it.
   *
   * @param tokens u32 `[batch, time]`.
   * @returns hidden `[batch, time, width]`.
   */
  read(
    tape: Tape,
    tokens: Tensor<"u32">,
    states?: readonly MixerState[],
  ): { hidden: Variable; states: MixerState[] } {
    let x = this.#embed(tape, tokens);
    const next: MixerState[] = [];
    const shared = new Map<string, Variable>();
    this.#layers.forEach((_, index) => {
      const { output, state } = this.#layer(tape, index, x, states?.[index], shared);
      x = output;
      next.push(state);
    });
    return { hidden: this.#finish(tape, x), states: next };
  }

  /** Logits of hidden rows: `[rows, width] → [rows, vocabulary]`. */
  head(tape: Tape, hidden: Variable): Variable {
    const { tiedHead, logitScale, logitSoftCap: cap } = this.configuration;
    const weight = this.#parameter(tiedHead ? "embedding.weight" : "head.weight");
    const scaled = logitScale === undefined ? hidden : scale(tape, hidden, logitScale);
    const logits = linearMap(tape, scaled, weight);
    return cap === undefined
      ? logits
      : scale(tape, activation(tape, scale(tape, logits, 1 / cap), "tanh"), cap);
  }

  /**
   * The logits after each token of one sequence.
   *
   * @returns `[time, vocabulary]`; the caller disposes of it.
   * @throws {RangeError} where a token is not in the vocabulary, or there are none or too many.
   */
  forward(tokens: ArrayLike<number>): Tensor {
    const { logits, state } = this.advance(tokens);
    state[Symbol.dispose]();
    return logits;
  }

  /**
   * Reads on from a state: logits after each token, and the state after the last.
   *
   * @param state Taken over; left out, the sequence begins here.
   * @returns logits `[time, vocabulary]`.
   * @throws {RangeError} where a token is not in the vocabulary, or there are none or too many.
   */
  advance(tokens: ArrayLike<number>, state?: ModelState): { logits: Tensor; state: ModelState } {
    checkTokens(tokens, this.configuration);
    const { gpu, configuration } = this;
    checkLogits(gpu, configuration, tokens.length);
    using hidden = new DisposableStack();
    const parts: Tensor[] = [];
    let states = state?.take();
    for (const part of pieces(Uint32Array.from(tokens), this.#mostTokens)) {
      using input = gpu.tensor([1, part.length], part, "u32");
      const read = this.#read(input, states, { disposing: true });
      parts.push(hidden.use(read.hidden));
      states = read.states;
    }
    return { logits: this.#logits(parts), state: new ModelState(states!) };
  }

  /**
   * Reads on from a state in segments, so that memory does not grow with the number of tokens but
   * for what the state grows by: logits after the last token alone, and the state after it.
   *
   * @param from Taken over; left out, the sequence begins here.
   * @param options.record Whether a segment is recorded and replayed for those that are like it, where
   * there are some and the state has one size; it changes no bit. @default true
   * @returns logits `[1, vocabulary]`.
   * @throws {RangeError} where there is no token, or one that is not in the vocabulary.
   */
  prefill(
    tokens: ArrayLike<number>,
    from?: ModelState,
    options: { readonly record?: boolean } = {},
  ): { logits: Tensor; state: ModelState } {
    return drained(this.prefilling(tokens, from, options));
  }

  /**
   * {@linkcode Model.prefill} segment by segment.
   *
   * @internal
   */
  *prefilling(
    tokens: ArrayLike<number>,
    from?: ModelState,
    { record = true }: { readonly record?: boolean } = {},
  ): Prefilling {
    checkTokens(tokens, this.configuration);
    checkLogits(this.gpu, this.configuration, 1);
    const all = Uint32Array.from(tokens);
    const segments = [...pieces(all.subarray(0, -1), this.segmentTokens())];
    const state = yield* this.#prompts.readOn(segments, from, { record });
    return this.advance(all.subarray(-1), state);
  }

  /**
   * Continues a sequence greedily; the chosen tokens stay on the GPU and are read back in batches.
   *
   * @returns The new tokens alone.
   * @throws {RangeError} where there is no token, or one that is not in the vocabulary, or `maxTokens`
   * is no count.
   * @throws {NotANumberError} where a logit is NaN, after the given tokens or a new one.
   */
  async generate(tokens: ArrayLike<number>, options: GenerateOptions): Promise<number[]> {
    checkMaxTokens(options);
    const { record, signal } = options;
    const read = await paced(this, this.prefilling(tokens, undefined, { record }), signal);
    return await this.continueFrom(read, options);
  }

  /**
   * Continues greedily from what {@linkcode Model.prefill} gave, as {@linkcode Model.generate} does.
   *
   * @param from Logits `[1, vocabulary]` and the state; both are taken over.
   * @returns The new tokens alone.
   * @throws {RangeError} where `maxTokens` is no count.
   * @throws {NotANumberError} where a logit is NaN.
   */
  async continueFrom(
    from: { logits: Tensor; state: ModelState },
    options: GenerateOptions,
  ): Promise<number[]> {
    checkMaxTokens(options);
    const { maxTokens, stopTokens = [], record, signal } = options;
    const { position } = from.state;
    const generated: number[] = [];
    using tokens = this.continuing(from, { record });
    let asked = 0;
    const ask = (): Promise<number[]> | undefined => {
      const left = maxTokens - asked;
      if (left === 0) return undefined;
      const count = Math.min(TOKENS_PER_READ, left);
      asked += count;
      const read = tokens.next(count, left);
      read.catch(() => {}); // where it is not wanted any more
      return read;
    };
    let isQuick = stopTokens.length === 0;
    for (let coming = ask(); coming !== undefined;) {
      signal?.throwIfAborted();
      const start = performance.now();
      const ahead = isQuick ? ask() : undefined;
      for (const token of await coming) {
        if (token === NO_TOKEN) {
          const at = position + generated.length - 1;
          throw new NotANumberError("largest logit", NaN, { position: at });
        }
        generated.push(token);
        if (stopTokens.includes(token)) return generated;
      }
      isQuick ||= performance.now() - start < QUICK_MILLISECONDS;
      coming = ahead ?? ask();
    }
    return generated;
  }

  /**
   * What {@linkcode Model.continueFrom} draws its tokens from.
   *
   * @internal
   */
  continuing(
    { logits, state }: { logits: Tensor; state: ModelState },
    { record = true }: Pick<GenerateOptions, "record">,
  ): Generation {
    const reader: TokenReader = {
      mixers: this.#mixers,
      read: (...token) => {
        const { hidden, states } = this.#read(...token);
        using _hidden = hidden;
        return { logits: this.#logits([hidden]), states };
      },
    };
    const { position } = state;
    return new Generation(this.gpu, reader, { logits, states: state.take(), position }, { record });
  }

  /**
   * Reads a batch segment by segment and scores the tokens that are due in it. The head sees only
   * the positions where something is due; memory does not grow with the length but for the state.
   * Where the model computes NaN, so are the likelihoods.
   *
   * The second batch of one shape in a row is recorded, and those behind it are replayed.
   *
   * @throws {RangeError} where a token is not in the vocabulary.
   */
  async score(batch: Batch, options: ScoreOptions = {}): Promise<Scores> {
    checkTokens(batch.tokens, this.configuration);
    checkLogits(this.gpu, this.configuration, 1);
    const { predictions = false, record = true, signal, onQueued } = options;
    const pace = new Pace(this, signal);
    return await scoreBatch(this, this.#prompts, batch, { predictions, record, pace, onQueued });
  }

  /** Frees the parameters, and what is recorded. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#prompts[Symbol.dispose]();
    for (const { matrices } of this.parameters.values()) {
      for (const matrix of matrices) matrix[Symbol.dispose]();
    }
  }

  /** The logits of one sequence from hidden values `[1, time, width]`, in their order. */
  #logits(hidden: readonly Tensor[]): Tensor {
    using tape = new Tape(this.gpu);
    const parts = hidden.map((tensor) => new Variable(tensor));
    const [joined] = parts.length === 1 ? parts : [concatenateTime(tape, parts)];
    return tape.keep(this.head(tape, reshape(tape, joined, joined.shape.slice(1))));
  }

  get #mixers(): (Mixer | undefined)[] {
    return this.#layers.map(({ mixer }) => mixer);
  }

  /**
   * Reads a segment without recording, a tape a layer, so that only one layer's values are held.
   *
   * @param options.disposing Whether the states before it are freed, each as soon as it is used.
   * @param options.inPlace Whether they may be overwritten.
   */
  #read(
    tokens: Tensor<"u32">,
    before: readonly MixerState[] | undefined,
    { disposing = false, inPlace = false }: { disposing?: boolean; inPlace?: boolean },
  ): { hidden: Tensor; states: MixerState[] } {
    if (this.#isDisposed) throw new Error(DISPOSED_MODEL);
    const { gpu } = this;
    const on = <T>(compute: (tape: Tape) => T): T => {
      using tape = new Tape(gpu, { inPlace });
      return compute(tape);
    };
    const states: MixerState[] = [];
    const shared = new Map<string, Variable>();
    const freeShared = (): void => {
      for (const { tensor } of shared.values()) tensor[Symbol.dispose]();
    };
    let x = on((tape) => tape.keep(this.#embed(tape, tokens)));
    try {
      this.#layers.forEach((_, index) => {
        x = on((tape) => {
          tape.own(x);
          const layer = this.#layer(tape, index, new Variable(x), before?.[index], shared);
          for (const variable of Object.values(layer.state.tensors)) tape.keep(variable);
          for (const variable of shared.values()) tape.keep(variable);
          states.push(layer.state);
          return tape.keep(layer.output);
        });
        if (before && disposing) disposeStates([before[index]]);
      });
      freeShared();
      const hidden = on((tape) => {
        tape.own(x);
        return tape.keep(this.#finish(tape, new Variable(x)));
      });
      return { hidden, states };
    } catch (error) {
      x[Symbol.dispose]();
      disposeStates(states);
      freeShared();
      throw error;
    }
  }

  #embed(tape: Tape, tokens: Tensor<"u32">): Variable {
    const { embeddingNorm, embeddingScale } = this.configuration;
    const rows = embedding(tape, tokens, this.#parameter("embedding.weight"));
    const embedded = embeddingScale === undefined ? rows : scale(tape, rows, embeddingScale);
    return embeddingNorm ? this.#norm(tape, embedded, "embedding_norm") : embedded;
  }

  #layer(
    tape: Tape,
    index: number,
    x: Variable,
    state: MixerState | undefined,
    shared: Map<string, Variable>,
  ): { output: Variable; state: MixerState } {
    const { mixer, channelMixer, normsBefore, normsBehind } = this.#layers[index];
    const prefix = `layers.${index}`;
    const parameters = scoped((name) => this.#parameter(name), prefix);
    const before = (x: Variable, name: string): Variable =>
      normsBefore ? this.#norm(tape, x, `${prefix}.${name}_norm`) : x;
    const join = (x: Variable, output: Variable, name: string): Variable =>
      add(
        tape,
        x,
        normsBehind ? this.#norm(tape, output, `${prefix}.${name}_output_norm`) : output,
      );
    let output = x;
    let next: MixerState = { position: (state?.position ?? 0) + x.shape[1], tensors: {} };
    if (mixer !== undefined) {
      const normed = before(output, "mixer");
      const mixed = mixer.mix(tape, scoped(parameters, "mixer"), normed, state, shared);
      output = join(output, mixed.output, "mixer");
      next = mixed.state;
    }
    if (channelMixer !== undefined) {
      const mixed = channelMixer.mix(
        tape,
        scoped(parameters, "channel_mixer"),
        before(output, "channel"),
        state?.tensors[CHANNEL_STATE],
      );
      output = join(output, mixed.output, "channel");
      if (mixed.state !== undefined) {
        next = { ...next, tensors: { ...next.tensors, [CHANNEL_STATE]: mixed.state } };
      }
    }
    return { output, state: next };
  }

  #finish(tape: Tape, x: Variable): Variable {
    return this.#norm(tape, x, "norm");
  }

  #norm(tape: Tape, x: Variable, name: string): Variable {
    const weight = this.#parameter(`${name}.weight`);
    const { norm, normEpsilon = NORM_EPSILON } = this.configuration;
    return norm === "layer"
      ? layerNorm(tape, x, weight, this.#parameter(`${name}.bias`), normEpsilon)
      : rmsNorm(tape, x, weight, normEpsilon);
  }

  #parameter(name: string): Variable {
    return this.parameters.get(name)!;
  }
}
