import { downloadModel, type DownloadProgress, isHubModel } from "../../models/mod.ts";
import { NEEDLE_FORMATS, RULER_TASKS } from "../generators/ruler/names.ts";
import type { PromptTemplate } from "../wording.ts";

/** The tasks that any model with a tokenizer can be asked. */
export const WORD_TASKS: readonly string[] = [...RULER_TASKS, ...NEEDLE_FORMATS, "text"];

/**
 * The template of a name.
 *
 * @throws {RangeError} where the model has none of that name, with those that it has.
 */
export function checkTemplate(
  model: string,
  name: string,
  templates: readonly PromptTemplate[],
): PromptTemplate {
  const template = templates.find((template) => template.name === name);
  if (template === undefined) {
    throw new RangeError(
      `Cannot ask ${model} in the template ${name}: it has ${
        templates.map((template) => template.name).join(", ")
      }`,
    );
  }
  return template;
}

/**
 * The folder of a tokenizer, without the weights beside it where it is on the hub.
 *
 * @param name The folder, or `hf:owner/name`.
 * @throws {Error} where it cannot be downloaded.
 */
export async function tokenizerFolder(
  name: string,
  onProgress?: (progress: DownloadProgress) => void,
): Promise<string> {
  return isHubModel(name) ? await downloadModel(name, { weights: false, onProgress }) : name;
}
