import { induction, type InductionOptions } from "./generators/induction.ts";
import { mqar, type MqarOptions } from "./generators/mqar.ts";
import { niah, type NiahOptions } from "./generators/niah.ts";
import { passkey, type PasskeyOptions } from "./generators/passkey.ts";
import { selectiveCopying, type SelectiveCopyingOptions } from "./generators/selective_copying.ts";
import { text, type TextOptions } from "./generators/text.ts";
import { RULER_TASKS, type RulerName } from "./generators/ruler/names.ts";
import { RULER_NAMES, type RulerOptions, rulerTask } from "./generators/ruler/tasks.ts";
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
  /** Of {@linkcode text}. */
  "text": TextOptions;
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
  "text": text,
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

/** The names of all tasks in words, the formats of a needle taken together. */
export const TASKS_IN_WORDS: string = [
  ...SMALL_TASK_NAMES,
  ...RULER_TASKS,
  "niah_{noise,essay,needle}_{word,number,uuid}_{word,number,uuid}",
].join(", ");

/** Whether a task has this name. */
export function isTaskName(name: string): name is TaskName {
  return Object.hasOwn(TASKS, name);
}

/** Checks a task's name. @throws {RangeError} listing the right names. */
export function checkTaskName(name: string): asserts name is TaskName {
  if (!isTaskName(name)) {
    throw new RangeError(`There is no task ${name}: the tasks are ${TASKS_IN_WORDS}`);
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
 * unless told.
 * @throws {RangeError} for a name that no task has, listing the right ones.
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
 * which 0 is blank, 1 to 4 and 7 name the task, 5 and 6 are the marks of induction and copying, 8 to
 * 10 those of needles, 16 to 63 are keys, values, symbols and noise. Text has its own vocabulary,
 * bytes.
 *
 * @param mixture Whether the sample begins with the task's token, as a model needs that was trained
 * on several tasks.
 */
export function smallLayout<Name extends SmallTaskName>(
  name: Name,
  mixture: boolean = false,
): TaskOptions[Name] {
  const layouts: { readonly [Other in SmallTaskName]: TaskOptions[Other] } = {
    "mqar": { vocabulary: 64, pairs: 4, keys: [16, 39], values: [40, 63], ...token(1) },
    "induction": { vocabulary: 64, mark: 5, symbols: [16, 31], ...token(2) },
    "selective-copying": { vocabulary: 64, count: 8, mark: 6, symbols: [16, 31], ...token(3) },
    "passkey": { vocabulary: 64, ...token(4) },
    "niah-noise": { vocabulary: 64, ...token(7) },
    "niah-essay": { vocabulary: 64, ...token(7) },
    "niah-needles": { vocabulary: 64, ...token(7) },
    "text": {},
  };
  return layouts[name];

  function token(taskToken: number): { taskToken?: number } {
    return mixture ? { taskToken } : {};
  }
}
