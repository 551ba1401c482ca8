import { join } from "@std/path";
import type { Gpu } from "../../kernels/gpu/mod.ts";
import { canonical } from "../canonical.ts";
import { isFinished, TrainingFolder } from "./folder.ts";
import { readBoundedText } from "../../models/text_file.ts";
import type { Recipe } from "./recipe.ts";
import { parseRecipe } from "./recipe_file.ts";
import { type TrainingProgress, trainInto } from "./train.ts";

export { isFinished } from "./folder.ts";

/**
 * Trains a model by its recipe unless it is finished in the directory; a run that was ended continues
 * from its checkpoint. While another process trains there, it waits.
 *
 * @param signal Ends the training at a checkpoint.
 * @throws {Error} where the directory holds a model of another recipe, or training fails.
 * @throws {DOMException} the signal's reason, where that ended it.
 */
export async function trainOnce(
  gpu: Gpu,
  recipe: Recipe,
  directory: string,
  onProgress?: (progress: TrainingProgress) => void,
  signal?: AbortSignal,
): Promise<void> {
  using folder = await TrainingFolder.open(directory, { wait: true });
  if (!await isFinished(directory)) {
    await trainInto(folder, gpu, recipe, { resume: true, onProgress, signal });
    return;
  }
  const path = join(directory, "recipe.json");
  const finished = parseRecipe(await readBoundedText(path), path);
  if (canonical(finished) !== canonical(recipe)) {
    throw new Error(
      `Cannot train ${recipe.name} into ${directory} as it holds a model of another recipe: sweep into another folder with --out, or remove it`,
    );
  }
}
