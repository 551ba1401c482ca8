import { multiplyAdd as multiplyAddKernel } from "../kernels/arithmetic/mod.ts";
import { add, multiply } from "./operations.ts";
import type { Tape, Variable } from "./tape.ts";

/**
 * `addend + x · factor` for each of several factors. Factors and addend have the shape of `x` or repeat
 * along it. In one dispatch where nothing is differentiated, else as products and sums.
 */
export function multiplyAdd(
  tape: Tape,
  { x, factors, addend }: {
    readonly x: Variable;
    readonly factors: readonly Variable[];
    readonly addend: Variable;
  },
): Variable[] {
  if (tape.differentiates([x, addend, ...factors])) {
    const isWhole = addend.shape.join() === x.shape.join();
    return factors.map((factor) => {
      const product = multiply(tape, x, factor);
      return isWhole ? add(tape, addend, product) : add(tape, product, addend);
    });
  }
  const { outputs } = multiplyAddKernel(tape.gpu, {
    x: x.tensor,
    factors: factors.map(({ tensor }) => tensor),
    addend: addend.tensor,
  });
  return tape.record([], outputs, () => []);
}
