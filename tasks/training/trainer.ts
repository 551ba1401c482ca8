import { type Gpu, type Recording, results, type Tensor } from "../../kernels/gpu/mod.ts";
import { crossEntropy, crossEntropyBackward } from "../../kernels/loss/mod.ts";
import {
  adamWAll,
  type AdamWOptions,
  adamWSchedule,
  gradientNorm,
} from "../../kernels/optimizer/mod.ts";
import { mixersOf, type MixerState, Model, Tape, Variable } from "../../models/mod.ts";
import { gatherRows, reshape } from "../../models/operations.ts";
import { parameterSpecifications } from "../../models/layers.ts";
import { disposeStates } from "../../models/state.ts";
import { passesState, type Segment, segmentsOf, type TrainingBatch } from "./batch.ts";
import { OPTIMIZER, type Recipe } from "./recipe.ts";

/** What the optimizer holds for one parameter. */
export interface Moments {
  /** Running mean of the gradient. */
  readonly first: Tensor;
  /** Running mean of its square. */
  readonly second: Tensor;
}

/** A segment's measurements while they are still on the GPU. */
export interface QueuedSegment {
  /** Which of the batch's scored rows they are of. */
  readonly scored: Uint32Array;
  /** Loss of each in nats. */
  readonly losses: Tensor;
  /** 1 for each that is right. */
  readonly correct: Tensor<"u32">;
}

/** What a step reads of a segment, on the GPU. */
interface Uploaded extends Disposable {
  readonly tokens: Tensor<"u32">;
  readonly indices: Tensor<"u32">;
  readonly labels: Tensor<"u32">;
  readonly rowWeights: Tensor;
}

/** What a segment gave, of each of its scored rows. */
interface Measured {
  readonly losses: Tensor;
  readonly correct: Tensor<"u32">;
}

/** A step that is replayed as long as batches have its shape. */
interface RecordedStep {
  readonly shape: string;
  readonly inputs: Uploaded;
  readonly recording: Recording<Measured | undefined>;
}

/** A model in training: forward, backward and AdamW (Loshchilov & Hutter 2019), all on the GPU. */
export class Trainer implements Disposable {
  /** The model that is trained. */
  readonly model: Model;
  /** The optimizer's state by parameter name. */
  readonly moments: ReadonlyMap<string, Moments>;
  readonly #gpu: Gpu;
  readonly #decays: ReadonlyMap<string, boolean>;
  readonly #recipe: Recipe;
  /** What of AdamW changes from step to step. */
  readonly #schedule: Tensor;
  /** Whether a segment may begin with the state that another left. */
  readonly #passes: boolean;
  readonly #records: boolean;
  /** The shape of the last step's batch, and the step where it was the same before. */
  #shape = "";
  #recorded: RecordedStep | undefined;
  /** What the last step ended with, where the next may begin with it: one per layer. */
  carried: readonly MixerState[] | undefined;

  /**
   * A trainer of a freshly initialised model.
   *
   * @param options.record Whether a step is recorded where its batch has the shape of the one before, and
   * replayed until the shape changes; it changes no bit. @default true
   * @throws {RangeError} where states are to be passed on and would grow without end.
   */
  constructor(gpu: Gpu, recipe: Recipe, options: { readonly record?: boolean } = {}) {
    this.#gpu = gpu;
    this.#recipe = recipe;
    this.#schedule = gpu.tensor([3]);
    if (
      recipe.statePassing &&
      recipe.model.layers.flatMap(mixersOf).some(({ kind }) => kind === "attention")
    ) {
      throw new RangeError(
        `Cannot train ${recipe.name} with state passing as it has attention, whose state grows`,
      );
    }
    this.model = new Model(gpu, recipe.model, { seed: recipe.seed });
    this.#passes = recipe.statePassing !== undefined || (recipe.segments ?? 1) > 1;
    this.#records = (options.record ?? true) && this.model.isRecordable && !this.#passes;
    this.#decays = new Map(
      parameterSpecifications(recipe.model).map(({ name, decays }) => [name, decays]),
    );
    this.moments = new Map(
      [...this.model.leaves].map(([name, { shape }]) => [
        name,
        { first: gpu.tensor(shape), second: gpu.tensor(shape) },
      ]),
    );
  }

  /** Queues one step; the caller disposes of what it measures. */
  step(batch: TrainingBatch, step: number, learningRate: number): QueuedSegment[] {
    this.#schedule.write(adamWSchedule(this.#options(step, learningRate)));
    const segments = segmentsOf(batch, this.#recipe.segments ?? 1);
    const recorded = this.#records && segments.length === 1
      ? this.#recordedStep(segments[0])
      : undefined;
    if (recorded) return this.#replay(recorded, segments[0]);
    let states = passesState(this.#recipe, step) ? this.#take(batch.sequences) : undefined;
    const queued: QueuedSegment[] = [];
    for (const segment of segments) {
      using inputs = this.#upload(segment);
      const { next, measured } = this.#segment(inputs, states);
      states = next;
      if (measured) queued.push({ scored: segment.scored, ...measured });
    }
    this.#update();
    this.#take();
    if (this.#recipe.statePassing) this.carried = states;
    else disposeStates(states);
    return queued;
  }

  /** The state that the last step left, where it is of as many sequences; otherwise it goes. */
  #take(sequences?: number): readonly MixerState[] | undefined {
    const carried = this.carried;
    this.carried = undefined;
    const [first] = Object.values(carried?.[0].tensors ?? {});
    if (sequences !== undefined && first?.shape[0] === sequences) return carried;
    disposeStates(carried);
    return undefined;
  }

  /** The recorded step for a segment, where the one before it had its shape. */
  #recordedStep({ sequences, time, rows }: Segment): RecordedStep | undefined {
    const shape = [sequences, time, rows.length].join();
    const before = this.#shape;
    this.#shape = shape;
    if (this.#recorded?.shape === shape) return this.#recorded;
    this.#drop();
    if (before !== shape) return undefined;
    const inputs = this.#open(sequences, time, rows.length);
    const recording = this.#gpu.record(() => {
      const { next, measured } = this.#segment(inputs, undefined);
      this.#update();
      disposeStates(next);
      return measured;
    });
    return this.#recorded = { shape, inputs, recording };
  }

  #replay({ inputs, recording }: RecordedStep, segment: Segment): QueuedSegment[] {
    fill(inputs, segment);
    recording.replay();
    if (recording.result === undefined) return [];
    const { losses, correct } = recording.result;
    const measured = {
      losses: this.#gpu.empty(losses.shape),
      correct: this.#gpu.empty(correct.shape, "u32"),
    };
    this.#gpu.copy(losses, measured.losses);
    this.#gpu.copy(correct, measured.correct);
    return [{ scored: segment.scored, ...measured }];
  }

  #drop(): void {
    const { losses, correct } = this.#recorded?.recording.result ?? {};
    losses?.[Symbol.dispose]();
    correct?.[Symbol.dispose]();
    this.#recorded?.recording[Symbol.dispose]();
    this.#recorded?.inputs[Symbol.dispose]();
    this.#recorded = undefined;
  }

  #open(sequences: number, time: number, rows: number): Uploaded {
    const gpu = this.#gpu;
    const rowWeights: Tensor = gpu.empty([rows]);
    return results({
      tokens: gpu.empty([sequences, time], "u32"),
      indices: gpu.empty([rows], "u32"),
      labels: gpu.empty([rows], "u32"),
      rowWeights,
    });
  }

  #upload(segment: Segment): Uploaded {
    const inputs = this.#open(segment.sequences, segment.time, segment.rows.length);
    fill(inputs, segment);
    return inputs;
  }

  /** Forward and backward through a segment; the state before it goes, the one after it is returned. */
  #segment(
    inputs: Uploaded,
    states: readonly MixerState[] | undefined,
  ): { next: readonly MixerState[]; measured: Measured | undefined } {
    const keepsStates = this.#passes;
    using tape = new Tape(this.#gpu, { recording: true, keepsStates });
    const read = this.model.read(tape, inputs.tokens, states);
    const next = !keepsStates ? [] : read.states.map(({ position, tensors }) => ({
      position,
      tensors: Object.fromEntries(
        Object.entries(tensors).map((
          [name, variable],
        ) => [name, new Variable(tape.keep(variable))]),
      ),
    }));
    const measured = inputs.indices.size > 0 ? this.#score(tape, inputs, read.hidden) : undefined;
    disposeStates(states);
    return { next, measured };
  }

  #score(
    tape: Tape,
    { tokens, indices, labels, rowWeights }: Uploaded,
    hidden: Variable,
  ): Measured {
    const gpu = this.#gpu;
    const { width } = this.model.configuration;
    const flat = reshape(tape, hidden, [tokens.size, width]);
    const logits = this.model.head(tape, gatherRows(tape, flat, indices));
    const { loss, correct, logSumExp } = crossEntropy(gpu, { logits: logits.tensor, labels });
    const { logitsGradient } = crossEntropyBackward(
      gpu,
      { logits: logits.tensor, labels, logSumExp, rowWeights },
      { scale: 1 },
    );
    logSumExp[Symbol.dispose]();
    tape.backward([{ variable: logits, gradient: logitsGradient }]);
    return { losses: loss, correct };
  }

  /** Frees the model and the optimizer's state. */
  [Symbol.dispose](): void {
    this.#take();
    this.#drop();
    this.#schedule[Symbol.dispose]();
    this.model[Symbol.dispose]();
    for (const { first, second } of this.moments.values()) {
      first[Symbol.dispose]();
      second[Symbol.dispose]();
    }
  }

  #options(step: number, learningRate: number): AdamWOptions {
    const { weightDecay = OPTIMIZER.weightDecay } = this.#recipe;
    const { beta1, beta2, epsilon } = OPTIMIZER;
    return { learningRate, beta1, beta2, epsilon, weightDecay, step: step + 1 };
  }

  #update(): void {
    const entries = [...this.model.leaves].filter(([, { gradient }]) => gradient);
    const { norm, scale } = gradientNorm(
      this.#gpu,
      { gradients: entries.map(([, { gradient }]) => gradient!) },
      { maximum: OPTIMIZER.gradientNorm },
    );
    adamWAll(this.#gpu, {
      parameters: entries.map(([name, { tensor, gradient }]) => {
        const { first, second } = this.moments.get(name)!;
        return {
          parameter: tensor,
          gradient: gradient!,
          firstMoment: first,
          secondMoment: second,
          decays: this.#decays.get(name.replace(/\/\d+$/, "")),
        };
      }),
      gradientScale: scale,
      schedule: this.#schedule,
    }, this.#options(0, 0));
    for (const [, variable] of entries) variable.dropGradient();
    norm[Symbol.dispose]();
    scale[Symbol.dispose]();
  }
}

function fill(inputs: Uploaded, { tokens, rows, labels, weights }: Segment): void {
  inputs.tokens.write(tokens);
  inputs.indices.write(rows);
  inputs.labels.write(labels);
  inputs.rowWeights.write(weights);
}
