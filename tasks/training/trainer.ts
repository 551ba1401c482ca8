import type { Gpu, Tensor } from "../../kernels/gpu/mod.ts";
import { crossEntropy, crossEntropyBackward } from "../../kernels/loss/mod.ts";
import { adamW, gradientNorm } from "../../kernels/optimizer/mod.ts";
import { Model, Tape, type Variable } from "../../models/mod.ts";
import { gatherRows, reshape } from "../../models/operations.ts";
import { parameterSpecifications } from "../../models/model.ts";
import type { TrainingBatch } from "./batch.ts";
import { OPTIMIZER, type Recipe } from "./recipe.ts";

/** What the optimizer holds for one parameter. */
export interface Moments {
  /** Running mean of the gradient. */
  readonly first: Tensor;
  /** Running mean of its square. */
  readonly second: Tensor;
}

/** A step's measurements while they are still on the GPU. */
export interface QueuedStep {
  /** Loss of each scored row in nats. */
  readonly losses: Tensor;
  /** 1 for each scored row that is right. */
  readonly correct: Tensor;
}

/** A model in training: forward, backward and AdamW (Loshchilov & Hutter 2019), all on the GPU. */
export class Trainer implements Disposable {
  /** The model that is trained. */
  readonly model: Model;
  /** The optimizer's state by parameter name. */
  readonly moments: ReadonlyMap<string, Moments>;
  readonly #gpu: Gpu;
  readonly #decays: ReadonlyMap<string, boolean>;

  /** A trainer of a freshly initialised model. */
  constructor(gpu: Gpu, recipe: Recipe) {
    this.#gpu = gpu;
    this.model = new Model(gpu, recipe.model, { seed: recipe.seed });
    this.#decays = new Map(
      parameterSpecifications(recipe.model).map(({ name, decays }) => [name, decays]),
    );
    this.moments = new Map(
      [...this.model.parameters].map(([name, { shape }]) => [
        name,
        { first: gpu.tensor(shape), second: gpu.tensor(shape) },
      ]),
    );
  }

  /** Queues one step; the caller disposes of what it measures. */
  step(batch: TrainingBatch, step: number, learningRate: number): QueuedStep {
    const gpu = this.#gpu;
    using tape = new Tape(gpu, { recording: true });
    const { sequences, time, rows } = batch;
    using tokens = gpu.tensor([sequences, time], batch.tokens, "u32");
    using indices = gpu.tensor([rows.length], rows, "u32");
    using labels = gpu.tensor([rows.length], batch.labels, "u32");
    using rowWeights = gpu.tensor([rows.length], batch.weights);
    const { width } = this.model.configuration;
    const { hidden } = this.model.read(tape, tokens);
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
    this.#update(step, learningRate);
    return { losses: loss, correct };
  }

  /** Frees the model and the optimizer's state. */
  [Symbol.dispose](): void {
    this.model[Symbol.dispose]();
    for (const { first, second } of this.moments.values()) {
      first[Symbol.dispose]();
      second[Symbol.dispose]();
    }
  }

  #update(step: number, learningRate: number): void {
    const entries = [...this.model.parameters].filter(([, { gradient }]) => gradient);
    const { norm, scale } = gradientNorm(
      this.#gpu,
      { gradients: entries.map(([, { gradient }]) => gradient!) },
      { maximum: OPTIMIZER.gradientNorm },
    );
    for (const [name, variable] of entries) {
      this.#updateParameter(name, variable, scale, step, learningRate);
      variable.dropGradient();
    }
    norm[Symbol.dispose]();
    scale[Symbol.dispose]();
  }

  #updateParameter(
    name: string,
    { tensor, gradient }: Variable,
    gradientScale: Tensor,
    step: number,
    learningRate: number,
  ): void {
    const { first, second } = this.moments.get(name)!;
    adamW(
      this.#gpu,
      {
        parameter: tensor,
        gradient: gradient!,
        firstMoment: first,
        secondMoment: second,
        gradientScale,
      },
      {
        learningRate,
        beta1: OPTIMIZER.beta1,
        beta2: OPTIMIZER.beta2,
        epsilon: OPTIMIZER.epsilon,
        weightDecay: this.#decays.get(name) ? OPTIMIZER.weightDecay : 0,
        step: step + 1,
      },
    );
  }
}
