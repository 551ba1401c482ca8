import {
  aboveZero,
  checkNames,
  checkOption,
  checkOptions,
  checkTensor,
  type Gpu,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { OPTIMIZER } from "./shaders.ts";

const SQUARES = OPTIMIZER.kernel("squares");
const GRADIENT_NORM = OPTIMIZER.kernel("gradient_norm");
/** The partial sums that the last pass, one workgroup, is left with at most, but for one a tensor. */
const PARTIAL_SUMS = 16_384;

/** Tensors that the shader has bindings for. */
const MOST_TENSORS = 6;

/** What {@linkcode gradientNorm} takes. */
export interface GradientNormInputs {
  /** Tensors of any shapes. */
  readonly gradients: readonly Tensor[];
}

/** Options of {@linkcode gradientNorm}. */
export interface GradientNormOptions {
  /** The norm that the gradients are to be scaled down to; a new value costs no new pipeline. */
  readonly maximum: number;
}

/** What {@linkcode gradientNorm} returns. */
export interface GradientNormOutputs extends Disposable {
  /** The root of the sum of all squares: `[1]`. */
  readonly norm: Tensor;
  /** `min(1, maximum / norm)`, for `adamW()`: `[1]`. */
  readonly scale: Tensor;
}

/**
 * The norm of all gradients together, and what clips it to `maximum` (Pascanu et al. 2013,
 * algorithm 1). The same order of sums each time; nothing is read back.
 *
 * @throws {RangeError} where a gradient is not f32.
 */
export function gradientNorm(
  gpu: Gpu,
  inputs: GradientNormInputs,
  options: GradientNormOptions,
): GradientNormOutputs {
  checkNames("gradientNorm", inputs, ["gradients"]);
  const { gradients } = inputs;
  const { maximum } = options;
  checkOptions("gradientNorm", options, { maximum: aboveZero });
  checkOption("gradientNorm", "maximum", maximum, aboveZero);
  gradients.forEach((tensor, i) =>
    checkTensor("gradientNorm", `gradients[${i}]`, tensor, tensor.shape)
  );
  const vectors = gradients.map((tensor) => Math.ceil(tensor.size / 4));
  const all = vectors.reduce((sum, count) => sum + count, 0);
  const block = Math.max(16, Math.ceil(all / PARTIAL_SUMS));
  const counts = vectors.map((count) => {
    // Interleaved blocks are dealt to whole workgroups, of which the last may see little.
    return gpu.adapter.software ? Math.ceil(count / block) : Math.ceil(count / block / 64) * 64;
  });
  const count = counts.reduce((sum, part) => sum + part, 0);
  using partial = gpu.empty([count]);
  const bindings = gpu.device.limits.maxStorageBuffersPerShaderStage - 1;
  const most = Math.min(MOST_TENSORS, bindings);
  let start = 0;
  for (let first = 0; first < gradients.length; first += most) {
    const some = gradients.slice(first, first + most);
    const numbered = (name: string, of: (index: number) => number): Record<string, number> =>
      Object.fromEntries(
        Array.from({ length: MOST_TENSORS }, (_, i) => [
          `${name}${i}`,
          i < some.length ? of(first + i) : 0,
        ]),
      );
    const sums = counts.slice(first, first + most).reduce((sum, part) => sum + part, 0);
    gpu.dispatch(SQUARES, {
      constants: { INTERLEAVED: !gpu.adapter.software, TENSORS: some.length },
      uniform: {
        block,
        start,
        ...numbered("size", (index) => gradients[index].size),
        ...numbered("count", (index) => counts[index]),
      },
      read: Object.fromEntries(some.map((x, i) => [`x${i}`, x])),
      write: { partial },
      workgroups: Math.ceil(sums / 64),
    });
    start += sums;
  }
  const norm = gpu.empty([1]);
  const scale = gpu.empty([1]);
  gpu.dispatch(GRADIENT_NORM, {
    uniform: { count, maximum },
    read: { partial },
    write: { norm, clip: scale },
    workgroups: 1,
  });
  return results({ norm, scale });
}
