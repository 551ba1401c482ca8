import { join } from "@std/path";
import { Gpu, openGpu } from "../kernels/gpu/mod.ts";
import { openDawn } from "./dawn.ts";

export * from "./numbers.ts";

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
