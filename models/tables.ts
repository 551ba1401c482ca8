import { elementCount, type Gpu } from "../kernels/gpu/mod.ts";
import { Variable } from "./tape.ts";

/** A tensor of one value, made once for each GPU. */
export function uniform(gpu: Gpu, shape: readonly number[], value: number): Variable {
  const shown = Object.is(value, -0) ? "-0" : value;
  return table(gpu, `uniform ${shape.join(" × ")} ${shown}`, shape, () => value);
}

/**
 * A tensor that does not change, made once for each GPU: to write it at each call would cost a submit.
 *
 * @param name Names it, with all that its values depend on.
 * @param valueOf The value of an element, by its row-major index.
 */
export function table(
  gpu: Gpu,
  name: string,
  shape: readonly number[],
  valueOf: (index: number) => number,
): Variable {
  return new Variable(gpu.once(name, () => {
    const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => valueOf(i));
    return gpu.tensor(shape, values);
  }));
}
