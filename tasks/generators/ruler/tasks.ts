import type { Task } from "../../task.ts";
import type { Wording } from "../../wording.ts";
import { commonWordsTask } from "./common_words.ts";
import { HOTPOTQA, SQUAD } from "./documents.ts";
import { frequentWordsTask } from "./frequent_words.ts";
import { formatOf, NEEDLE_FORMATS, type NeedleKind, RULER_TASKS, type RulerName } from "./names.ts";
import { type NeedleFormat, needleTask } from "./niah.ts";
import type { QuestionTask } from "./question.ts";
import { questionAnsweringTask } from "./question_answering.ts";
import { setTask } from "./set.ts";
import { variableTrackingTask } from "./variable_tracking.ts";

/** Options of RULER's tasks; each reads those that concern it. */
export interface RulerOptions {
  /**
   * Essays, in place of the State of the Union addresses: a file of plain text, or JSON with `text`, as
   * RULER's `PaulGrahamEssays.json`.
   */
  readonly essays?: string;
  /** What a needle's values are, in place of what the task's name says. */
  readonly value?: NeedleKind;
  /** SQuAD 2.0 for `qa_1`: `dev-v2.0.json` as published. */
  readonly squad?: string;
  /** HotpotQA for `qa_2`: `hotpot_dev_distractor_v1.json` as published. */
  readonly hotpotqa?: string;
  /**
   * Which of RULER's two recipes `cwe` has: `short` for ten words ×6 among others ×1, `long` for ×30
   * among ×3. Unless told, `long` from 4096 tokens on, where a prompt of it fits.
   */
  readonly recipe?: "short" | "long";
  /**
   * Samples that were made before, in place of ours: a `validation.jsonl` of RULER, or the folder that
   * its `run.sh` or `./run ruler` fills.
   */
  readonly set?: string;
}

/** The names of RULER's tasks, and of needles in other formats. */
export const RULER_NAMES: readonly RulerName[] = [...RULER_TASKS, ...NEEDLE_FORMATS];

const NEEDLES: Readonly<Record<string, NeedleFormat>> = {
  niah_single_1: { haystack: "noise" },
  niah_single_2: { haystack: "essay" },
  niah_single_3: { haystack: "essay", value: "uuid" },
  niah_multikey_1: { haystack: "essay", load: "keys" },
  niah_multikey_2: { haystack: "needle" },
  niah_multikey_3: { haystack: "needle", key: "uuid", value: "uuid" },
  niah_multivalue: { haystack: "essay", load: "values" },
  niah_multiquery: { haystack: "essay", load: "queries" },
};

/**
 * One of RULER's tasks (Hsieh et al. 2024, "RULER: What's the real context size of your long-context
 * language models?"), with its prompts, answer prefixes, budgets and scores, for any tokenizer and at
 * any length that the task fits in; or of a set that was made before.
 *
 * @throws {Error} where a file that it needs is not named, or cannot be read.
 */
export async function rulerTask(
  name: RulerName,
  options: RulerOptions,
  wording: Wording,
): Promise<Task> {
  return options.set === undefined
    ? await rulerQuestions(name, options, wording)
    : setTask(name, options.set, wording);
}

/** One of RULER's tasks, whose prompts can be had as text. @throws {Error} as {@linkcode rulerTask}. */
export async function rulerQuestions(
  name: RulerName,
  options: RulerOptions,
  wording: Wording,
): Promise<QuestionTask> {
  switch (name) {
    case "vt":
      return variableTrackingTask(name, wording);
    case "cwe":
      return await commonWordsTask(name, options, wording);
    case "fwe":
      return frequentWordsTask(name, wording);
    case "qa_1":
      return await questionAnsweringTask(name, SQUAD, options.squad, wording);
    case "qa_2":
      return await questionAnsweringTask(name, HOTPOTQA, options.hotpotqa, wording);
    default:
      return await needleTask(name, NEEDLES[name] ?? formatOf(name)!, options, wording);
  }
}
