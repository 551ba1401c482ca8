import { join } from "@std/path";
import type { Gpu } from "../../kernels/gpu/mod.ts";
import { exists } from "../../models/checkpoints/download.ts";
import type { Recipe } from "./recipe.ts";
import { train, type TrainingProgress } from "./train.ts";

/** Held while a model is trained: of two processes one waits, and finds the model finished. */
const LOCK = "training.lock";

/** Whether a folder holds a model whose training has come to its end. */
export async function isFinished(directory: string): Promise<boolean> {
  return await exists(join(directory, "model.safetensors")) &&
    !await exists(join(directory, "checkpoint.safetensors"));
}

/**
 * Trains a model by its recipe unless it is finished in the directory; a run that was ended goes on
 * from its checkpoint.
 *
 * @throws {Error} where the directory holds a model of another recipe, or training fails.
 */
export async function trainOnce(
  gpu: Gpu,
  recipe: Recipe,
  directory: string,
  onProgress?: (progress: TrainingProgress) => void,
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  using lock = await Deno.open(join(directory, LOCK), { create: true, write: true });
  await lock.lock(true);
  if (!await isFinished(directory)) {
    await train(gpu, recipe, { directory, resume: true, onProgress });
    return;
  }
  const path = join(directory, "recipe.json");
  const finished = JSON.parse(await Deno.readTextFile(path));
  if (JSON.stringify(finished) !== JSON.stringify(recipe)) {
    throw new Error(
      `Cannot train ${recipe.name} into ${directory} as it holds a model of another recipe: sweep into another folder with --out, or remove it`,
    );
  }
}
