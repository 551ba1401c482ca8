import { compression, type CompressionOptions } from "./generators/compression.ts";
import { contextGain, type ContextGainOptions } from "./generators/context_gain.ts";
import {
  copying,
  type CopyingOptions,
  ngramLookup,
  type NgramLookupOptions,
} from "./generators/copying.ts";
import { forgettingCurve } from "./generators/forgetting_curve.ts";
import {
  fuzzyInContextRecall,
  type FuzzyInContextRecallOptions,
} from "./generators/fuzzy_in_context_recall.ts";
import {
  inContextRecall,
  type InContextRecallOptions,
  noisyInContextRecall,
  type NoisyInContextRecallOptions,
} from "./generators/in_context_recall.ts";
import { induction, type InductionOptions } from "./generators/induction.ts";
import { memorization, type MemorizationOptions } from "./generators/memorization.ts";
import { mqar, type MqarOptions } from "./generators/mqar.ts";
import { niah, type NiahOptions } from "./generators/niah.ts";
import { passkey, type PasskeyOptions } from "./generators/passkey.ts";
import { phoneBook, type PhoneBookOptions } from "./generators/phone_book.ts";
import { selectiveCopying, type SelectiveCopyingOptions } from "./generators/selective_copying.ts";
import {
  parity,
  s5,
  type S5Options,
  type StateTrackingOptions,
} from "./generators/state_tracking.ts";
import { text } from "./generators/text.ts";
import type { TextOptions } from "./generators/text_source.ts";
import type { RulerName } from "./generators/ruler/names.ts";
import { RULER_NAMES, type RulerOptions, rulerTask } from "./generators/ruler/tasks.ts";
import { didYouMean } from "../models/did_you_mean.ts";
import { BYTE_TOKENIZER } from "../models/tokenizers/mod.ts";
import type { Task } from "./task.ts";
import { BASE_TEMPLATE, type Wording } from "./wording.ts";

/** The options of each task, by its name; of RULER's tasks, {@linkcode RulerOptions}. */
export interface TaskOptions extends Readonly<Record<RulerName, RulerOptions>> {
  /** Of {@linkcode mqar}. */
  "mqar": MqarOptions;
  /** Of {@linkcode induction}. */
  "induction": InductionOptions;
  /** Of {@linkcode selectiveCopying}. */
  "selective-copying": SelectiveCopyingOptions;
  /** Of {@linkcode passkey}. */
  "passkey": PasskeyOptions;
  /** Of {@linkcode niah}, in noise. */
  "niah-noise": NiahOptions;
  /** Of {@linkcode niah}, in an essay. */
  "niah-essay": NiahOptions;
  /** Of {@linkcode niah}, among other needles. */
  "niah-needles": NiahOptions;
  /** Of {@linkcode parity}. */
  "parity": StateTrackingOptions;
  /** Of {@linkcode s5}. */
  "s5": S5Options;
  /** Of {@linkcode inContextRecall}. */
  "in-context-recall": InContextRecallOptions;
  /** Of {@linkcode fuzzyInContextRecall}. */
  "fuzzy-in-context-recall": FuzzyInContextRecallOptions;
  /** Of {@linkcode noisyInContextRecall}. */
  "noisy-in-context-recall": NoisyInContextRecallOptions;
  /** Of {@linkcode compression}. */
  "compression": CompressionOptions;
  /** Of {@linkcode memorization}. */
  "memorization": MemorizationOptions;
  /** Of {@linkcode copying}. */
  "copying": CopyingOptions;
  /** Of {@linkcode ngramLookup}. */
  "ngram-lookup": NgramLookupOptions;
  /** Of {@linkcode phoneBook}. */
  "phone-book": PhoneBookOptions;
  /** Of {@linkcode text}. */
  "text": TextOptions;
  /** Of {@linkcode forgettingCurve}. */
  "forgetting-curve": TextOptions;
  /** Of {@linkcode contextGain}. */
  "context-gain": ContextGainOptions;
}

/** The name of a task. */
export type TaskName = keyof TaskOptions;

/** The name of a task that has a vocabulary of its own, which small models can learn. */
export type SmallTaskName = Exclude<TaskName, RulerName>;

/** Bytes, and the question as it is. */
const BYTES: Wording = { tokenizer: BYTE_TOKENIZER, template: BASE_TEMPLATE };

const TASKS: {
  readonly [Name in TaskName]: (
    options: TaskOptions[Name],
    wording?: Wording,
  ) => Task | Promise<Task>;
} = {
  "mqar": mqar,
  "induction": induction,
  "selective-copying": selectiveCopying,
  "passkey": passkey,
  "niah-noise": (options) => niah({ ...options, haystack: "noise" }),
  "niah-essay": (options) => niah({ ...options, haystack: "essay" }),
  "niah-needles": (options) => niah({ ...options, haystack: "needles" }),
  "parity": parity,
  "s5": s5,
  "in-context-recall": inContextRecall,
  "fuzzy-in-context-recall": fuzzyInContextRecall,
  "noisy-in-context-recall": noisyInContextRecall,
  "compression": compression,
  "memorization": memorization,
  "copying": copying,
  "ngram-lookup": ngramLookup,
  "phone-book": phoneBook,
  "text": text,
  "forgetting-curve": forgettingCurve,
  "context-gain": contextGain,
  ...rulerTasks(),
};

function rulerTasks(): {
  readonly [Name in RulerName]: (options: RulerOptions, wording?: Wording) => Promise<Task>;
} {
  const tasks = RULER_NAMES.map((name) => [
    name,
    (options: RulerOptions, wording: Wording = BYTES) => rulerTask(name, options, wording),
  ]);
  return Object.fromEntries(tasks);
}

/** The names of all tasks. */
export const TASK_NAMES = Object.keys(TASKS) as readonly TaskName[];

/** The names of the tasks that have a vocabulary of their own. */
export const SMALL_TASK_NAMES: readonly SmallTaskName[] = TASK_NAMES.filter((name) =>
  !(RULER_NAMES as readonly TaskName[]).includes(name)
) as SmallTaskName[];

/** The names of the tasks that any text is asked for, as a whole and for what of it is remembered. */
export const TEXT_TASKS = ["text", "forgetting-curve", "context-gain"] as const;

/** Checks a task's name. @throws {RangeError} for an unknown one, naming one that is near. */
export function checkTaskName(name: string): asserts name is TaskName {
  if (!Object.hasOwn(TASKS, name)) {
    throw new RangeError(
      didYouMean("task", name, TASK_NAMES, "./run sweep --help lists all"),
    );
  }
}

/**
 * A task by its name.
 *
 * ```ts
 * import { createTask } from "@lengthwise/lengthwise/tasks";
 *
 * const task = await createTask("induction");
 * const { tokens, labels } = task.sample({ length: 12, seed: 0, index: 0, split: "test" });
 * console.log(tokens.join(" "), "→", labels.at(-1));
 * ```
 *
 * @param wording The tokenizer and the prompt template of tasks in words; bytes and the base template
 * by default.
 * @throws {RangeError} for an unknown name, with one that is near.
 */
export async function createTask<Name extends TaskName>(
  name: Name,
  options: TaskOptions[Name] = {},
  wording?: Wording,
): Promise<Task> {
  checkTaskName(name);
  const make = TASKS[name] as (options: TaskOptions[Name], wording?: Wording) => Promise<Task>;
  return await make(options, wording);
}

/**
 * The options of a task in the small shared layout of the committed models: a vocabulary of 64, in
 * which 0 is blank, 5, 6 and 8 to 10 are marks, 16 to 63 keys, values, symbols and noise, and the
 * others name the task. Permutations have a vocabulary of 128, text has bytes.
 *
 * @param mixture Whether the sample begins with the task's token, as a model needs that was trained
 * on several tasks.
 */
export function smallLayout<Name extends SmallTaskName>(
  name: Name,
  mixture: boolean = false,
): TaskOptions[Name] {
  const strings = { vocabulary: 64, letters: [16, 31], begin: 8, end: 9, blank: 0 } as const;
  const layouts: { readonly [Other in SmallTaskName]: TaskOptions[Other] } = {
    "mqar": { vocabulary: 64, pairs: 4, keys: [16, 39], values: [40, 63], ...token(1) },
    "induction": { vocabulary: 64, mark: 5, symbols: [16, 31], ...token(2) },
    "selective-copying": { vocabulary: 64, count: 8, mark: 6, symbols: [16, 31], ...token(3) },
    "passkey": { vocabulary: 64, ...token(4) },
    "niah-noise": { vocabulary: 64, ...token(7) },
    "niah-essay": { vocabulary: 64, ...token(7) },
    "niah-needles": { vocabulary: 64, ...token(7) },
    "parity": { vocabulary: 64, first: 16, ...token(60) },
    "s5": { vocabulary: 128, ...token(120) },
    "in-context-recall": { vocabulary: 64, keys: [16, 31], values: [32, 47], ...token(11) },
    "fuzzy-in-context-recall": {
      ...{ vocabulary: 64, keys: [16, 31], values: [32, 47], blank: 0 },
      ...token(12),
    },
    "noisy-in-context-recall": {
      ...{ vocabulary: 64, keys: [16, 31], values: [32, 47], noise: [48, 63] },
      ...token(10),
    },
    "compression": { vocabulary: 64, mark: 6, symbols: [16, 31], ...token(13) },
    "memorization": { vocabulary: 64, keys: [16, 39], values: [40, 63], mark: 6, ...token(14) },
    "copying": { ...strings, ...token(15) },
    "ngram-lookup": { ...strings, ngram: 2, ...token(62) },
    "phone-book": { vocabulary: 64, numberLength: 3, examples: 0, ...token(63) },
    "text": {},
    "forgetting-curve": {},
    "context-gain": {},
  };
  return layouts[name];

  function token(taskToken: number): { taskToken?: number } {
    return mixture ? { taskToken } : {};
  }
}
