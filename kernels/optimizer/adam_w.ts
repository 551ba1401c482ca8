import {
  anything,
  belowOne,
  checkNames,
  checkOption,
  checkOptions,
  checkTensor,
  type Gpu,
  notNegative,
  type Tensor,
} from "../gpu/mod.ts";
import { OPTIMIZER } from "./shaders.ts";

const ADAM_W = OPTIMIZER.kernel("adam_w");

const RULES = {
  learningRate: notNegative,
  beta1: belowOne,
  beta2: belowOne,
  epsilon: notNegative,
  weightDecay: notNegative,
  step: anything, // checked below
};

/** What {@linkcode adamW} takes; the last two of the first four are its state, zeros at first. */
export interface AdamWInputs {
  /** Overwritten: `[...]`. */
  readonly parameter: Tensor;
  /** The shape of `parameter`. */
  readonly gradient: Tensor;
  /** Overwritten; the shape of `parameter`. */
  readonly firstMoment: Tensor;
  /** Overwritten; the shape of `parameter`. */
  readonly secondMoment: Tensor;
  /** What the gradient is multiplied by, from `gradientNorm()`: `[1]`; left out, 1. */
  readonly gradientScale?: Tensor;
  /** What the weight decay of each element is multiplied by, 0 or 1; the shape of `parameter`. */
  readonly decayMask?: Tensor;
}

/** Options of {@linkcode adamW}. New values cost no new pipeline. */
export interface AdamWOptions {
  /** The step size. */
  readonly learningRate: number;
  /** The decay of the first moment. @default 0.9 */
  readonly beta1?: number;
  /** The decay of the second moment. @default 0.95 */
  readonly beta2?: number;
  /** Added to the root of the second moment. @default 1e-8 */
  readonly epsilon?: number;
  /** What of a parameter is lost each step, times the learning rate. @default 0 */
  readonly weightDecay?: number;
  /** Which step this is, from 1. */
  readonly step: number;
}

/**
 * One step of AdamW (Loshchilov & Hutter 2019, algorithm 2), as PyTorch has it, in place:
 * `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
 * `p ← p − η·λ·p − η · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε)`.
 *
 * @throws {RangeError} where the shapes differ or the step is not an integer from 1.
 */
export function adamW(gpu: Gpu, inputs: AdamWInputs, options: AdamWOptions): void {
  checkNames("adamW", inputs, [
    "parameter",
    "gradient",
    "firstMoment",
    "secondMoment",
    "gradientScale",
    "decayMask",
  ]);
  checkOptions("adamW", options, RULES);
  checkOption("adamW", "learningRate", options.learningRate, notNegative);
  const { parameter, gradientScale, decayMask } = inputs;
  const { gradient, firstMoment, secondMoment } = inputs;
  const { learningRate, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weightDecay = 0, step } =
    options;
  for (const [name, tensor] of Object.entries(inputs)) {
    if (tensor === undefined) continue;
    checkTensor("adamW", name, tensor, name === "gradientScale" ? [1] : parameter.shape);
  }
  if (!Number.isInteger(step) || step < 1) {
    throw new RangeError(
      `Cannot run adamW() as step must be an integer from 1: current step is ${step}`,
    );
  }
  const vectors = Math.ceil(parameter.size / 4);
  gpu.dispatch(ADAM_W, {
    uniform: {
      vectors,
      firstRate: 1 - beta1,
      secondRate: 1 - beta2,
      stepSize: learningRate / (1 - beta1 ** step),
      secondCorrection: 1 / Math.sqrt(1 - beta2 ** step),
      epsilon,
      decay: learningRate * weightDecay,
    },
    read: { gradient, gradientScale, decayMask },
    write: { parameter, firstMoment, secondMoment },
    workgroups: Math.ceil(vectors / 64),
  });
}
