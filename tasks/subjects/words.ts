import { downloadModel, type DownloadProgress, isHubModel } from "../../models/mod.ts";
import { NEEDLE_FORMATS, RULER_TASKS } from "../generators/ruler/names.ts";
import { PUBLISHED_TEMPLATES } from "../published_templates.ts";
import { TEXT_TASKS } from "../registry.ts";
import { isTemplateFile, loadTemplateFile } from "../templates.ts";
import type { PromptTemplate } from "../wording.ts";

/** The tasks that any model with a tokenizer can be asked. */
export const WORD_TASKS: readonly string[] = [...RULER_TASKS, ...NEEDLE_FORMATS, ...TEXT_TASKS];

/** What of a text is remembered: asked of every model that knows text, unless others are named. */
export const MEMORY_TASKS: readonly string[] = TEXT_TASKS.filter((name) => name !== "text");

/** Options of the tasks about a text's memory that a model's training length decides. */
export function memoryOptions(
  task: string,
  trainLength: number | undefined,
): Readonly<Record<string, unknown>> {
  return task === "context-gain" && trainLength !== undefined ? { trainedLength: trainLength } : {};
}

/**
 * The template of a name, or of a file.
 *
 * @param folders Where the texts of a file's special tokens are: the first that has any counts.
 * @throws {RangeError} where the model has none of that name, with those that it has.
 * @throws {Error} where the file cannot be read, or holds no template.
 */
export async function findTemplate(
  model: string,
  name: string,
  templates: readonly PromptTemplate[],
  folders: readonly string[] = [],
): Promise<PromptTemplate> {
  if (isTemplateFile(name)) return await loadTemplateFile(name, folders);
  const known = [...templates, ...PUBLISHED_TEMPLATES];
  const template = known.find((template) => template.name === name);
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
