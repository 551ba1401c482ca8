/**
 * Random cases of products with an addend: any of them may repeat along the rest.
 *
 * @module
 */
import { multiplyAdd } from "../../../kernels/mod.ts";
import { multiplyAddReference } from "../../../kernels/arithmetic/reference.ts";
import type { Draws } from "../draws.ts";
import { compare, count, type KernelCase } from "./compare.ts";

/** A shape that repeats along another. */
function repeating(draws: Draws, name: string, shape: readonly number[]): number[] {
  const from = draws.integer(0, shape.length);
  const to = draws.integer(from, shape.length);
  const repeated = shape.map((extent, i) => i >= from && i < to ? extent : 1);
  return draws.note(name, draws.chance(0.3) ? [...shape] : repeated);
}

/** The cases by name. */
export const MULTIPLY_ADD: Readonly<Record<string, KernelCase>> = {
  async multiply_add(gpu, draws): Promise<void> {
    const shape = Array.from({ length: draws.integer(1, 4) }, (_, i) => draws.size(`axis ${i}`, 9));
    const shapes = Array.from(
      { length: draws.note("factors", draws.integer(1, 9)) },
      (_, i) => repeating(draws, `factor ${i}`, shape),
    );
    const addendShape = repeating(draws, "addend", shape);
    const arrays = { x: draws.normals(count(shape)), addend: draws.normals(count(addendShape)) };
    const factors = shapes.map((shape) => draws.normals(count(shape)));
    draws.poison({ ...arrays, factor: draws.choose(factors) });
    using scope = new DisposableStack();
    const { outputs } = multiplyAdd(gpu, {
      x: scope.use(gpu.tensor(shape, arrays.x)),
      factors: factors.map((values, i) => scope.use(gpu.tensor(shapes[i], values))),
      addend: scope.use(gpu.tensor(addendShape, arrays.addend)),
    });
    if (outputs.length !== factors.length) throw new Error(`there are ${outputs.length} outputs`);
    for (const [i, factor] of factors.entries()) {
      const given = { ...arrays, factor };
      const output = multiplyAddReference(given, shape, shapes[i], addendShape);
      await compare(gpu, { output: outputs[i] }, { output }, { floor: 0.01 });
    }
  },
};
