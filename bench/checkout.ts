/**
 * The code of this checkout or of another one, of an earlier commit, so that both take turns in one run.
 *
 * @module
 */
import type * as Kernels from "../kernels/gpu/mod.ts";
import type { Gpu } from "../kernels/gpu/mod.ts";
import type * as Models from "../models/mod.ts";
import type * as Registry from "../tasks/registry.ts";
import type * as Batches from "../tasks/training/batch.ts";
import type * as Training from "../tasks/training/trainer.ts";

/** A checkout's code. */
export interface Code {
  readonly gpu: Gpu;
  readonly models: typeof Models;
  readonly registry: typeof Registry;
  readonly batches: typeof Batches;
  readonly training: typeof Training;
}

/** Loads a checkout's code, and opens a GPU with it. */
export async function load(folder: URL): Promise<Code> {
  const at = (path: string): Promise<unknown> => import(new URL(path, folder).href);
  const { openGpu } = await at("kernels/gpu/mod.ts") as typeof Kernels;
  return {
    gpu: await openGpu(),
    models: await at("models/mod.ts") as typeof Models,
    registry: await at("tasks/registry.ts") as typeof Registry,
    batches: await at("tasks/training/batch.ts") as typeof Batches,
    training: await at("tasks/training/trainer.ts") as typeof Training,
  };
}
