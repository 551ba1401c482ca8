import type { DataType, Tensor } from "./tensor.ts";

/**
 * Checks one input of an op before the GPU is touched.
 *
 * @throws {RangeError} where the shape or the data type is another, saying what was expected.
 */
export function checkTensor(
  op: string,
  name: string,
  tensor: Tensor,
  shape: readonly number[],
  dtype: DataType = "f32",
): void {
  if (
    tensor.shape.length !== shape.length || shape.some((extent, i) => extent !== tensor.shape[i])
  ) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must have shape [${shape}]: current shape is [${tensor.shape}]`,
    );
  }
  if (tensor.dtype !== dtype) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must be ${dtype}: current data type is ${tensor.dtype}`,
    );
  }
}

/** Checks how many axes an input has. @throws {RangeError} where it has another number. */
export function checkRank(op: string, name: string, tensor: Tensor, axes: readonly string[]): void {
  if (tensor.shape.length !== axes.length) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must have shape [${
        axes.join(", ")
      }]: current shape is [${tensor.shape}]`,
    );
  }
}
