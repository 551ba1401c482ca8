import { basename, dirname } from "@std/path";
import {
  describeModel,
  downloadModel,
  holdsTokenizer,
  isHubModel,
  loadTokenizer,
} from "../../models/mod.ts";
import type { DownloadProgress, Tokenizer } from "../../models/mod.ts";
import { fingerprint } from "../fingerprint.ts";
import { checkTaskName, createTask } from "../registry.ts";
import { RULER_TASKS } from "../generators/ruler/names.ts";
import type { SubjectCard } from "../subject.ts";
import { loadTemplates } from "../templates.ts";
import { BASE_TEMPLATE } from "../wording.ts";
import { knownCheckpoint } from "./known.ts";
import { describeConfiguration } from "./card.ts";
import { changed, type ModelName } from "./name.ts";
import { readStopTokens } from "./stop_tokens.ts";
import { checkTemplate, tokenizerFolder, WORD_TASKS } from "./words.ts";

/** Files that hold a model. */
const MODEL_FILES = /\.(safetensors|bin|pth|json|jinja|txt)$/;
/** RULER's questions about passages need files that the user names. */
const ASKED = RULER_TASKS.filter((name) => !name.startsWith("qa_"));

/** How published checkpoints are found. */
export interface PublishedOptions {
  /** The tokenizer's folder or `hf:owner/name`, where it is not the checkpoint's own. */
  readonly tokenizer?: string;
  /** Called with the folder before weights are downloaded into it; what it throws ends that. */
  readonly onDescribed?: (folder: string) => Promise<void>;
  /** Called at the begin of each file of a download and as its bytes arrive. */
  readonly onProgress?: (progress: DownloadProgress) => void;
}

/** A published checkpoint on this machine's disk. */
export interface PublishedCheckpoint {
  /** Its folder, or the file of its weights. */
  readonly path: string;
  /** Its tokenizer, where it has one. */
  readonly tokenizer: Tokenizer | undefined;
  /** The tokens that end a reply: those that its files name, and the tokenizer's end. */
  readonly stopTokens: readonly number[];
  /** What a sweep must know of it. */
  readonly card: SubjectCard;
}

/**
 * Finds a published checkpoint: a folder, a file of weights, or `hf:owner/name` or `hf:owner/name:file`,
 * which is downloaded where it is not in the cache. Nothing of it is loaded.
 *
 * @throws {Error} where it cannot be downloaded, or is of an unknown kind.
 */
export async function findPublished(
  asked: ModelName,
  options: PublishedOptions = {},
): Promise<PublishedCheckpoint> {
  const { name, model } = asked;
  const { onProgress, onDescribed } = options;
  const path = isHubModel(model) ? await downloadModel(model, { onProgress, onDescribed }) : model;
  const description = await describeModel(path);
  const file = (await Deno.stat(path)).isFile ? basename(path) : undefined;
  const folder = file === undefined ? path : dirname(path);
  const known = knownCheckpoint(model);
  const trainLength = description.trainedLength ?? known?.trainLength;
  const elsewhere = options.tokenizer ?? known?.tokenizer;
  const place = elsewhere === undefined ? folder : await tokenizerFolder(elsewhere, onProgress);
  const isThere = elsewhere !== undefined || await holdsTokenizer(folder);
  const tokenizer = isThere ? await loadTokenizer(place) : undefined;
  const templates = tokenizer ? await loadTemplates(place, folder) : [];
  return {
    path,
    tokenizer,
    stopTokens: await readStopTokens(folder, tokenizer),
    card: {
      ...describeConfiguration(changed(description.configuration, asked, trainLength)),
      name,
      trainLength,
      tasks: tokenizer ? ASKED : [],
      otherTasks: tokenizer ? WORD_TASKS.filter((task) => !ASKED.includes(task as never)) : [],
      fingerprint: await fingerprint(folder, file ? [file] : await modelFiles(folder)),
      task: async (taskName, taskOptions = {}, template = BASE_TEMPLATE.name) => {
        checkTaskName(taskName);
        if (tokenizer === undefined) return await failWithoutTokenizer(name, path);
        const wording = { tokenizer, template: checkTemplate(name, template, templates) };
        return await createTask(taskName, taskOptions, wording);
      },
    },
  };
}

/** @throws {Error} always: that there is no tokenizer, and where to get one. */
async function failWithoutTokenizer(name: string, path: string): Promise<never> {
  const reason = await loadTokenizer(path).then(() => "", (error: Error) => error.message);
  throw new Error(
    `Cannot ask ${name} in words as it has no tokenizer (${reason}): give the folder or the hub's name of its tokenizer with --tokenizer`,
  );
}

/** The names of the files that hold a model. */
async function modelFiles(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder)))
    .filter(({ name, isDirectory }) => !isDirectory && MODEL_FILES.test(name))
    .map(({ name }) => name);
}
