/** Numbers from seeds, and how far numbers are apart. It knows no runtime: browsers import it too. */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";

/** RMS(actual − expected) / RMS(expected); the RMS of the error alone where all expected are 0. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) {
    throw new RangeError(`Cannot compare ${actual.length} values with ${expected.length}`);
  }
  let error = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i] - expected[i]) ** 2;
    scale += expected[i] ** 2;
  }
  return expected.length === 0 ? 0 : Math.sqrt(scale > 0 ? error / scale : error / expected.length);
}

/** Fails where {@linkcode relativeError} is over `bound`; NaN never passes. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: number,
  what: string,
): void {
  const error = relativeError(actual, expected);
  if (!(error <= bound)) throw new Error(`${what}: relative error is ${error}, over ${bound}`);
}

/** Standard normal values from a seed, times `scale`. */
export function normals(seed: number, count: number, scale = 1): Float32Array {
  const generator = xoroshiro128plus(seed);
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(generator)));
    return scale * radius * Math.cos(2 * Math.PI * uniformFloat64(generator));
  });
}

/** Uniform values in [low, high) from a seed. */
export function uniforms(seed: number, count: number, low = 0, high = 1): Float32Array {
  const generator = xoroshiro128plus(seed);
  return Float32Array.from({ length: count }, () => low + (high - low) * uniformFloat64(generator));
}
