import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { join } from "@std/path";
import { Gpu, openGpu } from "../kernels/gpu/mod.ts";
import { openDawn } from "./dawn.ts";

type Implementation = "Deno" | "Dawn";

/** Who runs the test that is under way. */
let implementation: Implementation = "Deno";
const opened: Partial<Record<Implementation, Promise<Gpu>>> = {};
let tiled: Gpu | undefined;

/**
 * Registers a test twice: on Deno's WebGPU, and on Dawn taken for a GPU, with real subgroups.
 * {@linkcode testGpu} and {@linkcode testTilings} give the test the one that it is to run on.
 */
export function testKernel(name: string, test: () => Promise<void>): void {
  for (const each of ["Deno", "Dawn"] as const) {
    Deno.test(`${name} (${each})`, async () => {
      implementation = each;
      try {
        await test();
      } finally {
        implementation = "Deno";
      }
    });
  }
}

/** The GPU of this test: outputs are poisoned with NaN before a kernel runs. */
export function testGpu(): Promise<Gpu> {
  return opened[implementation] ??= implementation === "Deno"
    ? openGpu({ poison: true })
    : openDawn();
}

/**
 * The GPU of this test in each way that an adapter may be taken: Deno's as it is, and said to be no
 * software adapter, so that naga too compiles the tilings and algorithms that only a GPU gets.
 */
export async function testTilings(): Promise<[string, Gpu][]> {
  const gpu = await testGpu();
  if (!gpu.adapter.software) return [["as it is", gpu]];
  const adapter = { ...gpu.adapter, software: false };
  tiled ??= new Gpu(gpu.device, adapter, { poison: true, owns: false });
  return [["as it is", gpu], ["tiled as on a GPU", tiled]];
}

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

/** Values rounded to what 16 bits hold. */
export function halves(values: Float32Array): Float32Array {
  return Float32Array.from(new Float16Array(values));
}

/** Runs a test in an empty folder, which is removed when the test ends. */
export async function inFolder<Result>(
  test: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = await Deno.makeTempDir();
  try {
    return await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The same with the path of a folder that is not there yet, as a sweep makes its own. */
export function inNewFolder<Result>(test: (folder: string) => Promise<Result>): Promise<Result> {
  return inFolder((folder) => test(join(folder, "results")));
}
