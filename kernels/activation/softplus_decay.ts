import { checkNames, checkTensor, type Gpu, results, type Tensor } from "../gpu/mod.ts";
import { ACTIVATION } from "./shaders.ts";

const SOFTPLUS_DECAY = ACTIVATION.kernel("softplus_decay");

/** What {@linkcode softplusDecay} takes. */
export interface SoftplusDecayInputs {
  /** `[..., channels]`. */
  readonly x: Tensor;
  /** `[channels]`. */
  readonly bias: Tensor;
  /** `[rates]`, which divide the channels: each is of as many channels in a row. */
  readonly rate: Tensor;
}

/** What {@linkcode softplusDecay} returns. */
export interface SoftplusDecayOutputs extends Disposable {
  /** `[..., channels]`. */
  readonly output: Tensor;
}

/**
 * The log decay of Mamba-2 (Dao & Gu 2024, section 7) and Gated DeltaNet (Yang et al. 2025, section 3.1):
 * `output = −exp(rate) · softplus(x + bias)`, at most 0.
 *
 * @throws {RangeError} where a shape does not fit.
 */
export function softplusDecay(gpu: Gpu, inputs: SoftplusDecayInputs): SoftplusDecayOutputs {
  const uniform = checkInputs("softplusDecay", inputs);
  const output = gpu.empty(inputs.x.shape);
  gpu.dispatch(SOFTPLUS_DECAY, {
    uniform,
    read: { ...inputs },
    write: { output },
    workgroups: Math.ceil(uniform.size / 256),
  });
  return results({ output });
}

/** What {@linkcode softplusDecayBackward} returns. */
export interface SoftplusDecayGradients extends Disposable {
  /** `[..., channels]`; the bias's is its sum. */
  readonly xGradient: Tensor;
  /** What the rate's gradient is the sum of: `[..., channels]`. */
  readonly rateTerms: Tensor;
}

/**
 * The gradients of {@linkcode softplusDecay}, those of `bias` and `rate` before they are summed.
 *
 * @throws {RangeError} where a shape does not fit.
 */
export function softplusDecayBackward(
  gpu: Gpu,
  inputs: SoftplusDecayInputs & {
    /** `[..., channels]`. */
    readonly outputGradient: Tensor;
  },
): SoftplusDecayGradients {
  const op = "softplusDecayBackward";
  const uniform = checkInputs(op, inputs);
  const { x, bias, rate, outputGradient } = inputs;
  checkTensor(op, "outputGradient", outputGradient, x.shape);
  const xGradient = gpu.empty(x.shape);
  const rateTerms = gpu.empty(x.shape);
  gpu.dispatch(SOFTPLUS_DECAY, {
    uniform,
    read: { x, bias, rate, outputGradient },
    write: { xGradient, rateTerms },
    workgroups: Math.ceil(uniform.size / 256),
  });
  return results({ xGradient, rateTerms });
}

function checkInputs(
  op: string,
  inputs: SoftplusDecayInputs,
): { size: number; channels: number; run: number } {
  checkNames(op, inputs, ["x", "bias", "rate", "outputGradient"]);
  const { x, bias, rate } = inputs;
  const channels = x.shape.at(-1) ?? 0;
  const rates = rate.size;
  checkTensor(op, "x", x, x.shape);
  checkTensor(op, "bias", bias, [channels]);
  checkTensor(op, "rate", rate, [rates]);
  if (rates === 0 ? channels > 0 : channels % rates !== 0) {
    throw new RangeError(
      `Cannot run ${op}() as the number of rates must divide that of channels, ${channels}: current number is ${rates}`,
    );
  }
  return { size: x.size, channels, run: rates === 0 ? 0 : channels / rates };
}
