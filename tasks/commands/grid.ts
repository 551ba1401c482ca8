import { checkTaskName, TASK_NAMES, TEXT_TASKS } from "../registry.ts";
import { parseLength, type SweepConfiguration, type TaskGrid } from "../sweep/configuration.ts";
import { WEIGHT_TYPES, type WeightType } from "../../models/mod.ts";
import { hint } from "../../models/schema.ts";
import { ZOO } from "../../models/zoo/mod.ts";
import { aboutTask } from "../about.ts";
import { CONFOUNDS } from "../experiments/paper.ts";
import { formatOf, HAYSTACK_KINDS, NEEDLE_KINDS, RULER_TASKS } from "../generators/ruler/names.ts";
import { PUBLISHED_TEMPLATES } from "../published_templates.ts";
import { type AskedModel, inForm, type ModelEntry, nameOf } from "../subjects/description.ts";
import type { ModelCells } from "../sweep/cells.ts";
import { trainedModels } from "../sweep/trainings.ts";
import { WORD_TASKS } from "../subjects/words.ts";
import {
  amountOf,
  listOf,
  numberOf,
  numbersOf,
  type Option,
  type ParsedCommand,
  tokensOf,
  UsageError,
} from "./options.ts";

/** Options that name the files that RULER's tasks are made of. */
export const RULER_FILES: Readonly<Record<string, Option>> = {
  haystack: {
    takes: "FILE",
    help: "essays for RULER's needles",
    default: "the State of the Union",
  },
  squad: { takes: "FILE", help: "SQuAD v2's published JSON, for qa_1", default: "no qa_1" },
  hotpotqa: { takes: "FILE", help: "HotpotQA's published JSON, for qa_2", default: "no qa_2" },
};

/** What each task asks, a line per task, for the help. */
export function taskLines(): string {
  const shown = TASK_NAMES.filter((name) => formatOf(name) === undefined);
  const width = Math.max(...shown.map(({ length }) => length));
  return [
    "Tasks:",
    ...shown.map((name) => `  ${name.padEnd(width)}  ${aboutTask(name)}`),
    `  niah_<haystack>_<key>_<value>, of ${HAYSTACK_KINDS.join(", ")} and of ${
      NEEDLE_KINDS.join(", ")
    }: a needle in any format.`,
  ].join("\n");
}

/** Options that say what is asked of which models. */
export const QUESTION_OPTIONS: Readonly<Record<string, Option>> = {
  models: {
    takes: "NAME,…",
    alias: "model",
    help:
      "committed models, folders, files of weights, recipes, hf:owner/name; each also with changes: +yarn8",
    default: "those of the sweep",
  },
  tasks: {
    takes: "NAME,…",
    alias: "task",
    help: "what is asked, as listed below",
    default: "all that a model was trained on; of a published one, RULER's",
  },
  lengths: {
    takes: "LENGTH,…",
    help: "tokens (512, 4k) or multiples of the training length (8x, 0.5x)",
    default: "those of the sweep; of eval 1x",
  },
  depths: { takes: "D,…", help: "where the needle goes, from 0 to 1", default: "anywhere" },
  loads: {
    takes: "N,…",
    help: "how much is to be remembered, such as mqar's pairs",
    default: "the task's own",
  },
  seeds: { takes: "N,…", help: "seeds of the samples", default: "0,1,2" },
  samples: { takes: "N", help: "samples in a cell", default: "those of the sweep; of eval 20" },
  template: {
    takes: "NAME,…",
    help: `prompt templates of tasks in words: base, chat (the model's own), ${
      PUBLISHED_TEMPLATES.map(({ name }) => name).join(", ")
    }, or Jinja files`,
    default: "base",
  },
  ...RULER_FILES,
  set: {
    takes: "FOLDER",
    help: "RULER's samples as its own scripts or ./run ruler made them",
    default: "ours",
  },
  text: {
    takes: "FILE",
    help: `the text that ${TEXT_TASKS.join(", ")} ask for`,
    default: "Moby-Dick",
  },
  evaluator: {
    takes: "MODEL",
    help: "the model that says which tokens context-gain is about",
    default: "each model itself",
  },
  "train-length": {
    takes: "LENGTH",
    help: "the length that models were trained at",
    default: "as their files say",
  },
  confounds: {
    takes: "NAME,…",
    help: `what a paper does that blurs what it shows: ${
      Object.keys(CONFOUNDS).join(", ")
    } (of paper-depth and paper-format: fixed-depth UUIDs ask for numbers)`,
    default: "none",
  },
};

/** Options that say how published checkpoints are loaded. */
export const MODEL_OPTIONS: Readonly<Record<string, Option>> = {
  dtype: {
    takes: WEIGHT_TYPES.join("|"),
    help: "how weights are kept on the GPU; sweep takes several, f32,int8, and compares them",
    default: "f32",
  },
  tokenizer: {
    takes: "FOLDER",
    help: "a tokenizer's folder or hf:owner/name",
    default: "the checkpoint's own",
  },
  checkpoints: {
    takes: "FOLDER",
    help: "where checkpoints are that are named hf:owner/name: owner/name or name in it",
    default: "the hub's cache",
  },
  memory: {
    takes: "BYTES",
    help: "GPU memory that may be used, such as 8GB: WebGPU does not say it",
    default: "no limit; of a software adapter, what the machine has free",
  },
};

/** The option that ends a sweep when its time is up. */
export const MINUTES: Option = {
  takes: "N",
  help: "stop after so many minutes, with as many samples as were asked until then",
  default: "no limit",
};

/** The option that keeps samples. */
export const LOG_SAMPLES: Option = {
  help: "write each sample's prompt, reply, references and score into samples.jsonl",
};

/** The option that prints what would be asked. */
export const PRINT: Option = {
  help: "print the sweep as JSON, as a file that sweep reads, and do no more",
};

/** How many minutes a sweep has, where that is said. @throws {UsageError} for any other number. */
export function minutesOf({ values }: Pick<ParsedCommand, "values">): number | undefined {
  const minutes = numberOf("minutes", values.get("minutes"));
  if (minutes === undefined || minutes > 0) return minutes;
  throw new UsageError(`--minutes takes numbers greater than 0: current value is ${minutes}`);
}

/** A sweep as the options change it. @throws {Error} for a value that an option does not take. */
export function changeGrid(
  named: SweepConfiguration,
  { values }: Pick<ParsedCommand, "values">,
): SweepConfiguration {
  const tasks = listOf(values.get("tasks"));
  tasks.forEach(checkTaskName);
  const trainLength = tokensOf("train-length", values.get("train-length"));
  const either = <T>(option: string, given: readonly T[], otherwise: readonly T[]): readonly T[] =>
    values.has(option) ? given : otherwise;
  const options = taskOptions(values);
  const { points, ...rest } = withModelOptions(named, { values });
  return {
    ...rest,
    ...(points === undefined || OF_POINTS.some((option) => values.has(option)) ? {} : { points }),
    models: inForms(
      either(
        "models",
        listOf(values.get("models")).map((name) => namedAs(name, rest.models)),
        rest.models,
      ),
      named,
      dtypesOf(values.get("dtype")),
    ),
    tasks: either("tasks", tasks, named.tasks),
    lengths: either("lengths", listOf(values.get("lengths")).map(parseLength), named.lengths),
    depths: either("depths", numbersOf("depths", values.get("depths")), named.depths),
    loads: either(
      "loads",
      listOf(values.get("loads")).map((load) => tokensOf("loads", load)),
      named.loads,
    ),
    ...(values.has("template") ? { templates: listOf(values.get("template")) } : {}),
    seeds: either("seeds", numbersOf("seeds", values.get("seeds")), named.seeds),
    samples: amountOf("samples", values.get("samples")) ?? named.samples,
    ...(named.grids === undefined ? {} : { grids: gridsBut(named.grids, values) }),
    ...(trainLength === undefined ? {} : { trainLength }),
    ...(Object.keys(options).length === 0
      ? {}
      : { taskOptions: { ...named.taskOptions, ...options } }),
  };
}

/** One of a sweep's models, with its settings, by its name or the last part of it; or another model. */
function namedAs(name: string, models: readonly AskedModel[]): AskedModel {
  return models.find((asked) => nameOf(asked) === name || nameOf(asked).endsWith(`/${name}`)) ??
    name;
}

/**
 * A sweep whose models are loaded as the options say, in place of what it says of all or of each.
 *
 * @throws {UsageError} for a value that an option does not take.
 */
export function withModelOptions(
  { models, ...sweep }: SweepConfiguration,
  { values }: Pick<ParsedCommand, "values">,
): SweepConfiguration {
  const dtypes = dtypesOf(values.get("dtype"));
  // Several are an axis: see changeGrid().
  const dtype = dtypes.length === 1 ? dtypes[0] : undefined;
  const tokenizer = values.get("tokenizer");
  const checkpoints = values.get("checkpoints");
  const without: readonly (keyof ModelEntry)[] = [
    ...(dtype === undefined ? [] : ["dtype"] as const),
    ...(tokenizer === undefined ? [] : ["tokenizer"] as const),
    ...(values.has("train-length") ? ["trainLength"] as const : []),
    ...(values.has("template") ? ["template"] as const : []),
    ...(values.has("lengths") ? ["lengths"] as const : []),
  ];
  return {
    ...sweep,
    models: models.map((asked) =>
      typeof asked === "string" ? asked : without.reduce(leaveOut, asked)
    ),
    ...(dtype === undefined ? {} : { dtype }),
    ...(tokenizer === undefined ? {} : { tokenizer }),
    ...(checkpoints === undefined ? {} : { checkpoints }),
  };
}

function leaveOut(asked: ModelEntry, setting: keyof ModelEntry): ModelEntry {
  const { [setting]: _, ...rest } = asked;
  return { ...rest, model: asked.model };
}

/** How weights are kept, where that is said once. @throws {UsageError} for an unknown type. */
export function dtypeOf(text: string | undefined): WeightType | undefined {
  const dtypes = dtypesOf(text);
  if (dtypes.length < 2) return dtypes[0];
  throw new UsageError(
    `--dtype takes one of ${
      WEIGHT_TYPES.join(", ")
    } here: ./run sweep --dtype ${text} compares them`,
  );
}

/** The ways in which weights are kept. @throws {UsageError} for an unknown type. */
export function dtypesOf(text: string | undefined): readonly WeightType[] {
  return listOf(text).map((name) => {
    const dtype = WEIGHT_TYPES.find((type) => type === name);
    if (dtype !== undefined) return dtype;
    throw new UsageError(
      `--dtype takes one of ${WEIGHT_TYPES.join(", ")}: current value is ${name}${
        hint(name, WEIGHT_TYPES)
      }`,
    );
  });
}

/** Each model in each of several forms; the models are those that are meant where none is named. */
function inForms(
  models: readonly AskedModel[],
  { trainings = [] }: Pick<SweepConfiguration, "trainings">,
  dtypes: readonly WeightType[],
): readonly AskedModel[] {
  if (dtypes.length < 2) return models;
  const trained = trainedModels(trainings).map(({ name }) => name);
  const meant = models.length > 0 ? models : trained.length > 0 ? trained : ZOO;
  return meant.flatMap((asked) => dtypes.map((dtype) => inForm(asked, dtype)));
}

/** Options in whose place a sweep may have lengths with their loads. */
const OF_POINTS = ["lengths", "loads"];

/** The tasks' own grids, but for what an option says for all tasks. */
function gridsBut(
  grids: Readonly<Record<string, TaskGrid>>,
  options: ReadonlyMap<string, string>,
): Readonly<Record<string, TaskGrid>> {
  return Object.fromEntries(
    Object.entries(grids).map(([task, grid]) => [
      task,
      Object.fromEntries(
        Object.entries(grid).filter(([axis]) =>
          !(axis === "points" ? OF_POINTS : [axis]).some((option) => options.has(option))
        ),
      ),
    ]),
  );
}

/** Options that are options of tasks: what tasks call them, and which have them. */
const OF_TASKS: readonly (readonly [option: string, key: string, tasks: readonly string[]])[] = [
  ["text", "file", TEXT_TASKS],
  ["evaluator", "evaluator", ["context-gain"]],
  ["set", "set", RULER_TASKS],
  ["squad", "squad", ["qa_1"]],
  ["hotpotqa", "hotpotqa", ["qa_2"]],
  ["haystack", "essays", WORD_TASKS.filter((name) => name.startsWith("niah_"))],
];

/**
 * Checks that what is typed changes what is asked.
 *
 * @throws {UsageError} for an option that none of the tasks has, or that none of the models takes.
 */
export function checkEffects(
  grid: readonly ModelCells[],
  { values }: Pick<ParsedCommand, "values">,
): void {
  const tasks = grid.flatMap(({ tasks }) => [...tasks.values()]);
  const names = [...new Set(tasks.map(({ name }) => name))];
  const fail = (option: string, reason: string, remedy: string): never => {
    throw new UsageError(
      `--${option} changes nothing as none of the tasks (${
        names.join(", ")
      }) ${reason}: leave it out, or ${remedy} with --tasks`,
    );
  };
  if (values.has("loads") && !tasks.some(({ loads }) => loads)) {
    fail("loads", "has a load", "name one that has, such as mqar,");
  }
  if (values.has("depths") && !tasks.some(({ depths }) => depths)) {
    fail("depths", "has a depth", "name one that has, such as passkey,");
  }
  const isForeign = grid.some(({ card }) => card.description?.kind === "published");
  for (const option of ["tokenizer", "checkpoints"]) {
    if (!values.has(option) || isForeign) continue;
    throw new UsageError(
      `--${option} changes nothing as none of the models is a published checkpoint: leave it out, or name one with --models`,
    );
  }
  for (const [option, , having] of OF_TASKS) {
    if (values.has(option) && !names.some((name) => having.includes(name))) {
      fail(option, "is made of it", `name ${having.slice(0, 3).join(" or ")}`);
    }
  }
}

/** The files that tasks are made of. */
function taskOptions(
  values: ReadonlyMap<string, string>,
): Record<string, Record<string, unknown>> {
  const options: Record<string, Record<string, unknown>> = {};
  for (const [option, key, tasks] of OF_TASKS) {
    const file = values.get(option);
    if (file === undefined) continue;
    for (const task of tasks) options[task] = { ...options[task], [key]: file };
  }
  for (const name of listOf(values.get("confounds"))) {
    if (!Object.hasOwn(CONFOUNDS, name)) {
      throw new UsageError(
        `--confounds takes ${Object.keys(CONFOUNDS).join(", ")}: current value is ${name}`,
      );
    }
    for (const [task, of] of Object.entries(CONFOUNDS[name])) {
      options[task] = { ...options[task], ...of };
    }
  }
  return options;
}
