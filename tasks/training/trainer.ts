import type { Gpu, Tensor } from "../../kernels/gpu/mod.ts";
import { crossEntropy, crossEntropyBackward } from "../../kernels/loss/mod.ts";
import { adamWAll, gradientNorm } from "../../kernels/optimizer/mod.ts";
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

/** A model in training: forward, backward and AdamW (Loshchilov & Hutter 2019), all on the GPU. */
export class Trainer implements Disposable {
  /** The model that is trained. */
  readonly model: Model;
  /** The optimizer's state by parameter name. */
  readonly moments: ReadonlyMap<string, Moments>;
  readonly #gpu: Gpu;
  readonly #decays: ReadonlyMap<string, boolean>;
  readonly #recipe: Recipe;
  /** What the last step ended with, where the next may begin with it: one per layer. */
  carried: readonly MixerState[] | undefined;

  /**
   * A trainer of a freshly initialised model.
   *
   * @throws {RangeError} where states are to be passed on and would grow without end.
   */
  constructor(gpu: Gpu, recipe: Recipe) {
    this.#gpu = gpu;
    this.#recipe = recipe;
    if (
      recipe.statePassing &&
      recipe.model.layers.flatMap(mixersOf).some(({ kind }) => kind === "attention")
    ) {
      throw new RangeError(
        `Cannot train ${recipe.name} with state passing as it has attention, whose state grows`,
      );
    }
    this.model = new Model(gpu, recipe.model, { seed: recipe.seed });
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
    let states = passesState(this.#recipe, step) ? this.#take(batch.sequences) : undefined;
    const queued: QueuedSegment[] = [];
    for (const segment of segmentsOf(batch, this.#recipe.segments ?? 1)) {
      states = this.#segment(segment, states, queued);
    }
    this.#update(step, learningRate);
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

  /** Forward and backward through a segment; the state before it goes, the one behind it is returned. */
  #segment(
    segment: Segment,
    states: readonly MixerState[] | undefined,
    queued: QueuedSegment[],
  ): readonly MixerState[] {
    const gpu = this.#gpu;
    using tape = new Tape(gpu, { recording: true });
    const { sequences, time, rows, scored } = segment;
    using tokens = gpu.tensor([sequences, time], segment.tokens, "u32");
    const read = this.model.read(tape, tokens, states);
    const next = read.states.map(({ position, tensors }) => ({
      position,
      tensors: Object.fromEntries(
        Object.entries(tensors).map((
          [name, variable],
        ) => [name, new Variable(tape.keep(variable))]),
      ),
    }));
    if (rows.length > 0) queued.push({ scored, ...this.#score(tape, segment, read.hidden) });
    disposeStates(states);
    return next;
  }

  #score(
    tape: Tape,
    { sequences, time, rows, ...segment }: Segment,
    hidden: Variable,
  ): { losses: Tensor; correct: Tensor<"u32"> } {
    const gpu = this.#gpu;
    using indices = gpu.tensor([rows.length], rows, "u32");
    using labels = gpu.tensor([rows.length], segment.labels, "u32");
    using rowWeights = gpu.tensor([rows.length], segment.weights);
    const { width } = this.model.configuration;
    const flat = reshape(tape, hidden, [sequences * time, width]);
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
    this.model[Symbol.dispose]();
    for (const { first, second } of this.moments.values()) {
      first[Symbol.dispose]();
      second[Symbol.dispose]();
    }
  }

  #update(step: number, learningRate: number): void {
    const entries = [...this.model.leaves].filter(([, { gradient }]) => gradient);
    const { norm, scale } = gradientNorm(
      this.#gpu,
      { gradients: entries.map(([, { gradient }]) => gradient!) },
      { maximum: OPTIMIZER.gradientNorm },
    );
    const { weightDecay = OPTIMIZER.weightDecay } = this.#recipe;
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
    }, {
      learningRate,
      beta1: OPTIMIZER.beta1,
      beta2: OPTIMIZER.beta2,
      epsilon: OPTIMIZER.epsilon,
      weightDecay,
      step: step + 1,
    });
    for (const [, variable] of entries) variable.dropGradient();
    norm[Symbol.dispose]();
    scale[Symbol.dispose]();
  }
}
