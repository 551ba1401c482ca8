import type { Gpu, Tensor } from "../../kernels/gpu/mod.ts";

/**
 * ALiBi's slopes (Press et al. 2022, section 3): for n heads, n a power of two, the geometric sequence
 * from 2^(−8/n) with that ratio; otherwise those of the power of two below, and then every other one of
 * twice as many heads.
 */
export function alibiSlopes(heads: number): number[] {
  const power = 2 ** Math.floor(Math.log2(heads));
  const geometric = (count: number): number[] =>
    Array.from({ length: count }, (_, i) => 2 ** (-8 * (i + 1) / count));
  const between = geometric(2 * power).filter((_, i) => i % 2 === 0);
  return [...geometric(power), ...between.slice(0, heads - power)];
}

/** The slopes on a GPU, `[heads]`; made once for each. */
export function alibiTable(gpu: Gpu, heads: number): Tensor {
  return gpu.once(`ALiBi ${heads}`, () => gpu.tensor([heads], alibiSlopes(heads)));
}
