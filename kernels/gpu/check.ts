import type { DataType, Tensor } from "./tensor.ts";

/** The data types of an input that a kernel takes in 32 bits or in 16. */
export const FLOATS: readonly DataType[] = ["f32", "f16"];

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
  dtype: DataType | readonly DataType[] = "f32",
): void {
  if (
    tensor.shape.length !== shape.length || shape.some((extent, i) => extent !== tensor.shape[i])
  ) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must have shape [${shape}]: current shape is [${tensor.shape}]`,
    );
  }
  const allowed = [dtype].flat();
  if (!allowed.includes(tensor.dtype)) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must be ${
        allowed.join(" or ")
      }: current data type is ${tensor.dtype}`,
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
