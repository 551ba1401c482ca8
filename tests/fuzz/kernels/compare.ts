import type { Gpu, Tensor } from "../../../kernels/mod.ts";
import type { Draws } from "../draws.ts";

/** A random case of one op: draws its inputs, runs it, and throws where a number is wrong. */
export type KernelCase = (gpu: Gpu, draws: Draws) => Promise<void>;

/** The largest f32; what lies beyond it may be infinite. */
const LARGEST = 3.4e38;

/** How far an op's results may be off, relative to the reference. @default DESIGN.md's bounds */
export interface Bounds {
  /** Outputs and states; `@default` 1e-4. */
  readonly value?: number;
  /** Gradients; `@default` 1e-3. */
  readonly gradient?: number;
  /**
   * The least that an error is relative to, as a root mean square: where the true gradient is a
   * difference of what cancels, its rounding stays. `@default` 1e-30, below which f32 loses its digits.
   */
  readonly floor?: number;
  /**
   * Where an input is not a number, and no number need come out besides where none can: one of the
   * first axis' extents. A chunk multiplies by masks, and 0 · NaN is NaN.
   */
  readonly spread?: { readonly extents: number; readonly index: number };
}

/** Reads tensors back, frees them, and compares each with the reference of its name. */
export async function compare(
  gpu: Gpu,
  actual: Readonly<Record<string, Tensor | undefined>>,
  expected: Readonly<Record<string, ArrayLike<number>>>,
  { value = 1e-4, gradient = 1e-3, floor, spread }: Bounds = {},
): Promise<void> {
  const given = Object.entries(actual).filter((entry): entry is [string, Tensor] =>
    entry[1] !== undefined
  );
  const values = await gpu.read(given.map(([, tensor]) => tensor));
  for (const [, tensor] of given) tensor[Symbol.dispose]();
  given.forEach(([name], i) => {
    const bound = name.endsWith("Gradient") ? gradient : value;
    const wanted = expected[name];
    if (wanted === undefined) throw new Error(`there is no reference for ${name}`);
    const wrong = difference(values[i], wanted, { bound, floor, spread });
    if (wrong !== undefined) throw new Error(`${name} ${wrong}`);
  });
}

/**
 * What is wrong with values, in words. Where the mathematics gives no number, neither may the kernel;
 * where it gives one, so must the kernel; and the error of all the numbers is bounded.
 */
export function difference(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { bound, floor = 1e-30, spread }: Omit<Bounds, "value" | "gradient"> & { readonly bound: number },
): string | undefined {
  const { length } = expected;
  if (actual.length !== length) return `has ${actual.length} elements, not ${length}`;
  const reached = (i: number): boolean =>
    spread !== undefined && Math.floor(i / (length / spread.extents)) === spread.index;
  let [error, scale, largest, worst] = [0, 0, -1, 0];
  for (let i = 0; i < length; i++) {
    const [got, wanted] = [actual[i], expected[i]];
    const overflows = !(Math.abs(wanted) < LARGEST);
    const finite = Number.isFinite(got);
    if (finite ? overflows : !overflows && !reached(i)) return `is ${got} at ${i}, not ${wanted}`;
    if (overflows || !finite) continue;
    error += (got - wanted) ** 2;
    scale += wanted ** 2;
    if (Math.abs(got - wanted) > largest) [largest, worst] = [Math.abs(got - wanted), i];
  }
  const relative = Math.sqrt(error) / Math.max(Math.sqrt(scale), floor * Math.sqrt(length));
  if (!(relative > bound)) return undefined;
  return `is off by ${relative}, more than ${bound}: ${actual[worst]} at ${worst}, not ${
    expected[worst]
  }`;
}

/** Makes tensors of arrays by name; those left out stay out. All are freed with the scope. */
export function upload<Name extends string>(
  gpu: Gpu,
  scope: DisposableStack,
  shapes: Readonly<Record<string, readonly number[]>>,
  arrays: Readonly<Record<Name, Float32Array | undefined>>,
): Record<Name, Tensor> {
  return Object.fromEntries(
    Object.entries<Float32Array | undefined>(arrays).map(([name, data]) => [
      name,
      data && scope.use(gpu.tensor(shapes[name], data)),
    ]),
  ) as Record<Name, Tensor>;
}

/** The product of extents. */
export function count(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}
