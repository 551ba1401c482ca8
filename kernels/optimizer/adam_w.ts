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
/** Parameters that the shader has bindings for. */
const MOST_PARAMETERS = 6;
const STATE = ["parameter", "gradient", "firstMoment", "secondMoment"] as const;

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
  const op = "adamW";
  checkNames(op, inputs, [...STATE, "gradientScale", "decayMask"]);
  const { parameter, gradient, firstMoment, secondMoment, gradientScale, decayMask } = inputs;
  checkStep(op, options);
  if (gradientScale) checkTensor(op, "gradientScale", gradientScale, [1]);
  if (decayMask) checkTensor(op, "decayMask", decayMask, parameter.shape);
  const state = { parameter, gradient, firstMoment, secondMoment };
  for (const [name, tensor] of Object.entries(state)) {
    checkTensor(op, name, tensor, parameter.shape);
  }
  dispatch(gpu, [state], { gradientScale, decayMask }, options);
}

/** One of the parameters of {@linkcode adamWAll}. */
export interface AdamWParameter
  extends Pick<AdamWInputs, "parameter" | "gradient" | "firstMoment" | "secondMoment"> {
  /** Whether weight decay acts on it. @default true */
  readonly decays?: boolean;
}

/** What {@linkcode adamWAll} takes. */
export interface AdamWAllInputs {
  /** All that a step changes. */
  readonly parameters: readonly AdamWParameter[];
  /** What the gradients are multiplied by, from `gradientNorm()`: `[1]`; left out, 1. */
  readonly gradientScale?: Tensor;
  /**
   * What changes from step to step, from {@linkcode adamWSchedule}, so that a step can be recorded: `[3]`. The
   * options' learning rate, weight decay and step count for nothing then.
   */
  readonly schedule?: Tensor;
}

/** What {@linkcode adamWAll} takes as its `schedule`: step size, correction of the second moment, decay. */
export function adamWSchedule(options: AdamWOptions): Float32Array {
  checkStep("adamWSchedule", options);
  const { learningRate, beta1 = 0.9, beta2 = 0.95, weightDecay = 0, step } = options;
  return Float32Array.of(
    learningRate / (1 - beta1 ** step),
    1 / Math.sqrt(1 - beta2 ** step),
    learningRate * weightDecay,
  );
}

/**
 * A step of {@linkcode adamW} for all parameters of a model, several in a dispatch: as many as the adapter's
 * bindings allow, up to six.
 *
 * @throws {RangeError} where the shapes differ or the step is not an integer from 1.
 */
export function adamWAll(gpu: Gpu, inputs: AdamWAllInputs, options: AdamWOptions): void {
  const op = "adamWAll";
  checkNames(op, inputs, ["parameters", "gradientScale", "schedule"]);
  const { parameters, gradientScale, schedule } = inputs;
  if (schedule) checkTensor(op, "schedule", schedule, [3]);
  checkStep(op, options);
  if (gradientScale) checkTensor(op, "gradientScale", gradientScale, [1]);
  parameters.forEach((each, i) => {
    checkNames(op, each, [...STATE, "decays"]);
    for (const name of STATE) {
      checkTensor(op, `parameters[${i}].${name}`, each[name], each.parameter.shape);
    }
  });
  const bindings = gpu.device.limits.maxStorageBuffersPerShaderStage - 2;
  const most = Math.max(1, Math.min(MOST_PARAMETERS, Math.floor(bindings / STATE.length)));
  for (let first = 0; first < parameters.length; first += most) {
    dispatch(gpu, parameters.slice(first, first + most), { gradientScale, schedule }, options);
  }
}

function checkStep(op: string, options: AdamWOptions): void {
  checkOptions(op, options, RULES);
  checkOption(op, "learningRate", options.learningRate, notNegative);
  const { step } = options;
  if (!Number.isInteger(step) || step < 1) {
    throw new RangeError(
      `Cannot run ${op}() as step must be an integer from 1: current step is ${step}`,
    );
  }
}

function dispatch(
  gpu: Gpu,
  parameters: readonly AdamWParameter[],
  shared: {
    readonly gradientScale?: Tensor;
    readonly schedule?: Tensor;
    readonly decayMask?: Tensor;
  },
  options: AdamWOptions,
): void {
  const { beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8 } = options;
  const [stepSize, secondCorrection, decay] = shared.schedule ? [0, 0, 1] : adamWSchedule(options);
  const vectors = parameters.map(({ parameter }) => Math.ceil(parameter.size / 4));
  const numbered = <Value>(
    name: string,
    of: (each: AdamWParameter, index: number) => Value,
  ): Record<string, Value> =>
    Object.fromEntries(parameters.map((each, i) => [`${name}${i}`, of(each, i)]));
  const fields = (name: string, of: (each: AdamWParameter, index: number) => number) => ({
    ...Object.fromEntries(Array.from({ length: MOST_PARAMETERS }, (_, i) => [`${name}${i}`, 0])),
    ...numbered(name, of),
  });
  gpu.dispatch(ADAM_W, {
    constants: { PARAMETERS: parameters.length },
    uniform: {
      firstRate: 1 - beta1,
      secondRate: 1 - beta2,
      stepSize,
      secondCorrection,
      epsilon,
      ...fields("vectors", (_, i) => vectors[i]),
      ...fields("decay", ({ decays = true }) => decays ? decay : 0),
    },
    read: { ...shared, ...numbered("gradient", ({ gradient }) => gradient) },
    write: {
      ...numbered("parameter", ({ parameter }) => parameter),
      ...numbered("firstMoment", ({ firstMoment }) => firstMoment),
      ...numbered("secondMoment", ({ secondMoment }) => secondMoment),
    },
    workgroups: Math.ceil(vectors.reduce((sum, count) => sum + count, 0) / 64),
  });
}
