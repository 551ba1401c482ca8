import { type Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import { openDawn } from "../dawn.ts";
import type { FuzzCase, FuzzKind, Outcome } from "./kind.ts";
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
  const cases: Record<string, FuzzCase> = {};
  for (const [name, run] of Object.entries(KERNEL_CASES)) {
    cases[name] = async (draws): Promise<Outcome> => {
      await run(gpu, draws);
      return "right";
    };
  }
  return { cases, patience: 180 }; // a software adapter compiles
}
