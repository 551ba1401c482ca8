import { fromFileUrl } from "@std/path";
import { BYTE_TOKENIZER, loadTokenizer } from "../../models/mod.ts";
import {
  BASE_TEMPLATE,
  createTask,
  RULER_NAMES,
  type RulerName,
  type RulerOptions,
  type Sample,
  type SampleCoordinates,
  type Task,
  type TaskTokenizer,
} from "../../tasks/mod.ts";
import { rulerFiles } from "./ruler_files.ts";
import { wordTokenizer } from "./word_tokenizer.ts";

/** What qa_1 and qa_2 are asked about; dispose of it when a file of tests ends. */
export const FILES = rulerFiles();
/** Options with those files. */
export const OPTIONS: RulerOptions = { squad: FILES.squad, hotpotqa: FILES.hotpotqa };
const GOLDEN = fromFileUrl(new URL("../golden/checkpoints", import.meta.url));
/** Tokenizers of several kinds. */
export const TOKENIZERS: Readonly<Record<string, TaskTokenizer>> = {
  bytes: BYTE_TOKENIZER,
  words: wordTokenizer(),
  "byte-level BPE": await loadTokenizer(`${GOLDEN}/tokenizer_bytelevel`),
  "Llama's BPE": await loadTokenizer(`${GOLDEN}/tokenizer_llama`),
};
/** The needles of every format. */
export const NEEDLES = RULER_NAMES.filter((name) => name.startsWith("niah_"));
/** Where a sample is, by default. */
export const AT = { length: 4096, seed: 0, index: 0, split: "test" } as const;

/** A task of RULER in the base template. */
export function make(
  name: RulerName,
  tokenizer = TOKENIZERS.words,
  options = OPTIONS,
): Promise<Task> {
  return createTask(name, options, { tokenizer, template: BASE_TEMPLATE });
}

/** Its first samples. */
export function samplesOf(
  task: Task,
  count: number,
  at: Partial<SampleCoordinates> = {},
): Sample[] {
  return Array.from({ length: count }, (_, index) => task.sample({ ...AT, index, ...at }));
}

/** A prompt as text. */
export function textOf({ tokens }: Sample, tokenizer = TOKENIZERS.words): string {
  return tokenizer.decode(tokens);
}

/** How often a part stands in a text. */
export function timesOf(part: string, text: string): number {
  return text.split(part).length - 1;
}
