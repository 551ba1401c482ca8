import { basename, dirname, join } from "@std/path";
import {
  describeModel,
  downloadModel,
  holdsTokenizer,
  loadTokenizer,
  weightBytes,
} from "../../models/mod.ts";
import type { DownloadProgress, HubModel, Tokenizer } from "../../models/mod.ts";
import { fingerprint } from "../fingerprint.ts";
import { checkTaskName, createTask } from "../registry.ts";
import { RULER_TASKS } from "../generators/ruler/names.ts";
import type { SubjectCard } from "../subject.ts";
import { loadTemplates } from "../templates.ts";
import { BASE_TEMPLATE } from "../wording.ts";
import { describeConfiguration } from "./card.ts";
import type { ModelDescription } from "./description.ts";
import type { KnownCheckpoint } from "./known.ts";
import { changed } from "./resolve.ts";
import { readStopTokens } from "./stop_tokens.ts";
import { findTemplate, MEMORY_TASKS, memoryOptions, tokenizerFolder, WORD_TASKS } from "./words.ts";

/** Files that hold a model. */
const MODEL_FILES = /\.(safetensors|bin|pth|json|jinja|txt)$/;
/** RULER's questions about passages need files that the user names. */
const ASKED: readonly string[] = [
  ...RULER_TASKS.filter((name) => !name.startsWith("qa_")),
  ...MEMORY_TASKS,
];

/** A published checkpoint, resolved. */
export type PublishedDescription = ModelDescription & { readonly kind: "published" };

/** How published checkpoints are found. */
export interface PublishedOptions {
  /** Called with the folder before weights are downloaded into it; what it throws ends that. */
  readonly onDescribed?: (folder: string) => Promise<void>;
  /** Called at the begin of each file of a download and as its bytes arrive. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Whether the weights of one on the hub are downloaded. @default true */
  readonly weights?: boolean;
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
  description: PublishedDescription,
  options: PublishedOptions = {},
): Promise<PublishedCheckpoint> {
  const { name, place, hub, known, dtype = "f32" } = description;
  const { onProgress, onDescribed, weights = true } = options;
  const path = hub === undefined
    ? place
    : await downloadedPath(place, hub, { onProgress, onDescribed, weights });
  const { configuration, trainedLength } = await describeModel(path);
  const file = (await Deno.stat(path)).isFile ? basename(path) : undefined;
  const folder = file === undefined ? path : dirname(path);
  const trainLength = description.trainLength ?? trainedLength ?? known?.trainLength;
  const elsewhere = description.tokenizer ??
    (await holdsTokenizer(folder) ? undefined : await besideOrOnHub(folder, known?.tokenizer));
  const words = elsewhere === undefined ? folder : await tokenizerFolder(elsewhere, onProgress);
  const isThere = elsewhere !== undefined || await holdsTokenizer(folder);
  const tokenizer = isThere ? await loadTokenizer(words) : undefined;
  const templates = tokenizer ? await loadTemplates(words, folder) : [];
  const reason = tokenizer ? undefined : await reasonWithoutTokenizer(path);
  // In f16, or with another tokenizer, a checkpoint is another model to a sweep.
  const marks = [
    await fingerprint(folder, file ? [file] : await modelFiles(folder)),
    dtype,
    ...(description.tokenizer === undefined ? [] : [description.tokenizer]),
  ];
  return {
    path,
    tokenizer,
    stopTokens: await readStopTokens(folder, tokenizer),
    card: {
      ...describeConfiguration(changed(configuration, description, trainLength)),
      name,
      description,
      trainLength,
      weightBytes: weightBytes(configuration, dtype),
      isAbsent: !weights && file === undefined && !await holdsWeights(folder),
      template: description.template,
      tasks: tokenizer ? ASKED : [],
      otherTasks: tokenizer ? WORD_TASKS.filter((task) => !ASKED.includes(task)) : [],
      ...(reason === undefined ? {} : { cannotBeAsked: reason }),
      fingerprint: marks.join(" "),
      task: async (taskName, taskOptions = {}, template = BASE_TEMPLATE.name) => {
        checkTaskName(taskName);
        if (tokenizer === undefined) throw new Error(`Cannot ask ${name} as ${reason}`);
        const wording = {
          tokenizer,
          template: await findTemplate(name, template, templates, [words, folder]),
        };
        const known = memoryOptions(taskName, trainLength);
        return await createTask(taskName, { ...known, ...taskOptions }, wording);
      },
    },
  };
}

/** Where a model on the hub is in the cache; without its weights, they may be there all the same. */
async function downloadedPath(
  place: string,
  { file }: HubModel,
  options: Parameters<typeof downloadModel>[1],
): Promise<string> {
  const path = await downloadModel(place, options);
  if (options?.weights !== false || file === undefined) return path;
  const whole = join(path, file);
  return await Deno.stat(whole).then(() => whole, () => path);
}

/** Where a tokenizer on the hub is: in a folder beside the checkpoint's, where there is one, or there. */
async function besideOrOnHub(
  folder: string,
  tokenizer: KnownCheckpoint["tokenizer"],
): Promise<string | undefined> {
  if (tokenizer === undefined) return undefined;
  const { owner, name } = tokenizer;
  for (const beside of [join("..", name), join("..", owner, name), join("..", "..", owner, name)]) {
    const place = join(folder, beside);
    if (await Deno.stat(place).then(({ isDirectory }) => isDirectory, () => false)) return place;
  }
  return `hf:${owner}/${name}`;
}

async function holdsWeights(folder: string): Promise<boolean> {
  return (await modelFiles(folder)).some((name) => /\.(safetensors|bin|pth)$/.test(name));
}

/** That a checkpoint has no tokenizer, why, and where to get one. */
async function reasonWithoutTokenizer(path: string): Promise<string> {
  const reason = await loadTokenizer(path).then(() => "", (error: Error) => error.message);
  return `it has no tokenizer (${reason}): give the folder or the hub's name of its tokenizer with --tokenizer`;
}

/** The names of the files that hold a model. */
async function modelFiles(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder)))
    .filter(({ name, isDirectory }) => !isDirectory && MODEL_FILES.test(name))
    .map(({ name }) => name);
}
