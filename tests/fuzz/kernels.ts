import { type Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import { openDawn } from "../dawn.ts";
import type { FuzzKind } from "./kind.ts";
import { KERNEL_CASES } from "./kernels/mod.ts";

/** Every op on Deno's WebGPU. */
export async function onDeno(): Promise<FuzzKind> {
  return on(await openGpu({ poison: true }));
}

/** Every op on Dawn, taken for a GPU with real subgroups. */
export async function onDawn(): Promise<FuzzKind> {
  return on(await openDawn());
}

function on(gpu: Gpu): FuzzKind {
  const cases = Object.entries(KERNEL_CASES).map(([name, run]) =>
    [name, async (draws) => {
      await run(gpu, draws);
      return "right";
    }] satisfies [string, FuzzKind["cases"][string]]
  );
  return { cases: Object.fromEntries(cases), patience: 180 }; // a software adapter compiles
}
