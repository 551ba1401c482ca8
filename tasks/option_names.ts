import { didYouMean } from "../models/did_you_mean.ts";
import type { LayoutOptions } from "./generators/layout.ts";
import type { RulerOptions } from "./generators/ruler/tasks.ts";
import {
  SMALL_TASK_NAMES,
  type SmallTaskName,
  type TaskName,
  type TaskOptions,
} from "./registry.ts";

/** The names of a type's fields: none can be forgotten. */
type Names<Options> = Readonly<Record<keyof Options, true>>;

const LAYOUT: Names<LayoutOptions> = { vocabulary: true, taskToken: true };
const PAIRS: Names<TaskOptions["in-context-recall"]> = { ...LAYOUT, keys: true, values: true };
const NEEDLE: Names<TaskOptions["niah-noise"]> = {
  ...{ ...PAIRS, haystack: true, keyCount: true, valueCount: true, queryCount: true },
  ...{ valueLength: true, needle: true, question: true, next: true, fillers: true },
};
const STRINGS: Names<TaskOptions["copying"]> = {
  ...LAYOUT,
  letters: true,
  begin: true,
  end: true,
  blank: true,
};
const TEXT: Names<TaskOptions["text"]> = { file: true, heldOut: true };

const SMALL: { readonly [Name in SmallTaskName]: Names<TaskOptions[Name]> } = {
  "mqar": { ...PAIRS, pairs: true, randomFill: true, writes: true },
  "induction": { ...LAYOUT, mark: true, symbols: true },
  "selective-copying": {
    ...{ ...LAYOUT, count: true, symbols: true, blank: true, mark: true, layout: true },
  },
  "passkey": { ...PAIRS, fillers: true },
  "niah-noise": NEEDLE,
  "niah-essay": NEEDLE,
  "niah-needles": NEEDLE,
  "parity": { ...LAYOUT, first: true },
  "s5": { ...LAYOUT, first: true, inputs: true },
  "in-context-recall": PAIRS,
  "fuzzy-in-context-recall": { ...PAIRS, blank: true, keyLength: true, valueLength: true },
  "noisy-in-context-recall": { ...PAIRS, noise: true, noiseShare: true },
  "compression": { ...LAYOUT, mark: true, symbols: true },
  "memorization": { ...PAIRS, mark: true, map: true },
  "copying": STRINGS,
  "ngram-lookup": { ...STRINGS, query: true, ngram: true, answerLength: true },
  "phone-book": {
    ...{ ...LAYOUT, firstNames: true, lastNames: true, digits: true, newline: true },
    ...{ colon: true, numberLength: true, examples: true },
  },
  "text": TEXT,
  "forgetting-curve": TEXT,
  "context-gain": { ...TEXT, shortContext: true, trainedLength: true, evaluator: true },
};

const RULER: Names<RulerOptions> = {
  ...{ essays: true, squad: true, hotpotqa: true, recipe: true, set: true, value: true },
};

/** The names of a task's options. */
export function optionNames(task: TaskName): string[] {
  return Object.keys(isSmall(task) ? SMALL[task] : RULER);
}

/** Whether a task has a vocabulary of its own. */
export function isSmall(task: TaskName): task is SmallTaskName {
  return (SMALL_TASK_NAMES as readonly string[]).includes(task);
}

/**
 * Checks the names of a task's options where they come from a file.
 *
 * @param where The file and the place in it, for errors.
 * @throws {RangeError} for one that the task does not have, which would change nothing.
 */
export function checkOptionNames(
  task: TaskName,
  options: Readonly<Record<string, unknown>>,
  where: string,
): void {
  const names = optionNames(task);
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const all = `its options are ${names.join(", ")}`;
    throw new RangeError(
      `Cannot read ${where}: ${didYouMean(`option of ${task}`, name, names, all)}`,
    );
  }
}
