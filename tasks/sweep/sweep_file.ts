import { basename } from "@std/path";
import * as v from "valibot";
import {
  check,
  described,
  exactly,
  FLAG,
  hint,
  integer,
  listOf,
  NOT_NEGATIVE,
  oneOf,
  optional,
  parseJson,
  POSITIVE,
  type Schema,
  TEXT,
} from "../../models/schema.ts";
import { WEIGHT_TYPES } from "../../models/mod.ts";
import { readNamed } from "../errors.ts";
import { isSmall, optionNames } from "../option_names.ts";
import { TASK_NAMES } from "../registry.ts";
import type { AskedModel, ModelEntry } from "../subjects/description.ts";
import {
  COUNT,
  OPTION,
  readRecipe,
  RECIPE,
  SEED,
  TOKENS,
  wholeRecipe,
} from "../training/recipe_file.ts";
import {
  type Length,
  parseLength,
  SWEEP_DEFAULTS,
  type SweepConfiguration,
  type SweepPoint,
  type TaskGrid,
} from "./configuration.ts";
import type { Training } from "./trainings.ts";

/** A training as a file has it: its recipe may be a name or another file. */
type TrainingInFile = Omit<Training, "recipe" | "seeds"> & {
  readonly recipe: string | v.InferOutput<typeof RECIPE>;
  readonly seeds?: readonly number[];
};

/** A sweep as a file has it: what is usual may be left out. */
type SweepInFile = Partial<Omit<SweepConfiguration, "trainings">> & {
  readonly $schema?: string;
  readonly hash?: string;
  readonly trainings?: readonly TrainingInFile[];
};

const LENGTHS_EXPECTED = 'tokens (512, "4k") or a multiple of the training length ("8x")';
const LENGTH: Schema<Length> = v.pipe(
  v.union([
    integer(1, 2 ** 31 - 1),
    v.pipe(v.string(), v.regex(/^(\d+[km]?|\d+(\.\d+)?x)$/i, LENGTHS_EXPECTED)),
  ], LENGTHS_EXPECTED),
  v.transform((length): Length => typeof length === "number" ? length : parseLength(length)),
);
const LENGTHS = listOf(LENGTH);
const SHARE: Schema<number> = v.pipe(NOT_NEGATIVE, v.maxValue(1, "from 0 to 1"));
const TASK = oneOf(TASK_NAMES) as Schema<string>;
const POINTS = listOf(exactly<SweepPoint>({ length: LENGTH, load: COUNT }));
const NAME: Schema<string> = v.pipe(TEXT, v.regex(/\S/, "a name, which is not empty"));
const TEMPLATE = described(
  TEXT,
  "The prompt template of tasks in words: base, chat (the model's own), or the path of a Jinja file.",
);
const DTYPE = described(oneOf(WEIGHT_TYPES), "How weights are kept on the GPU; f32 by default.");

function byTask<Value>(value: Schema<Value>): Schema<Readonly<Record<string, Value>>> {
  const name = v.picklist(
    TASK_NAMES,
    ({ input }) => `by tasks' names${hint(input, TASK_NAMES)}`,
  );
  return v.record(name, value, "an object by the names of tasks") as Schema<Record<string, Value>>;
}

/** An object with some fields, each of which may be left out. */
function fieldsOf<Value>(fields: Record<string, Schema<Value>>): Schema<Record<string, Value>> {
  const optionals = Object.entries(fields).map(([name, schema]) => [name, optional(schema)]);
  return exactly<Record<string, Value>>(Object.fromEntries(optionals));
}

function optionsOf(names: readonly string[]): Schema<Record<string, unknown>> {
  return fieldsOf(Object.fromEntries(names.map((name) => [name, OPTION])));
}

/** The options of RULER's tasks. */
export const RULER_OPTIONS: Schema<Record<string, unknown>> = optionsOf(optionNames("vt"));

/** Options by the names of the tasks that have them. */
const TASK_OPTIONS = fieldsOf(
  Object.fromEntries(TASK_NAMES.map((name) => [
    name,
    isSmall(name) ? optionsOf(optionNames(name)) : RULER_OPTIONS,
  ])),
);

const ASKED: Schema<AskedModel> = v.union([
  TEXT,
  exactly<ModelEntry>({
    model: described(
      TEXT,
      "A committed model, a folder, a file of weights, hf:owner/name, a recipe or its file; with changes behind a +.",
    ),
    name: optional(described(NAME, "What results call it; by default as it is written.")),
    template: optional(TEMPLATE),
    tokenizer: optional(
      described(TEXT, "A folder or hf:owner/name, where a checkpoint has none of its own."),
    ),
    trainLength: optional(described(TOKENS, "The length that it was trained at.")),
    dtype: optional(DTYPE),
    optional: optional(
      described(FLAG, "Whether the sweep continues without it where it cannot be found."),
    ),
    lengths: optional(described(LENGTHS, "Its lengths, in place of the sweep's.")),
  }),
], "a name, or an object with a model's name and settings of its own");

const GRID = exactly<TaskGrid>({
  lengths: optional(LENGTHS),
  depths: optional(listOf(SHARE)),
  loads: optional(listOf(COUNT)),
  points: optional(POINTS),
  seeds: optional(listOf(SEED)),
  samples: optional(COUNT),
});

/** What checks a sweep where it comes from a file. */
export const SWEEP: Schema<SweepInFile> = exactly<SweepInFile>({
  $schema: optional(described(TEXT, "This schema.")),
  hash: optional(described(TEXT, "What --print adds; it is not read.")),
  name: optional(
    described(NAME, "Names the results' folder; by default the file's own name."),
  ),
  source: optional(described(TEXT, "The publication that it reproduces.")),
  differences: optional(
    described(listOf(TEXT), "What differs from that, and what of it is not known for sure."),
  ),
  scale: optional(oneOf(["published", "small"])),
  trainings: optional(
    described(
      listOf(exactly<TrainingInFile>({
        recipe: described(
          v.union([TEXT, RECIPE], "a recipe, or the name or the file of one"),
          "How it is trained: a recipe, or the name or the file of one.",
        ),
        learningRates: optional(
          described(listOf(POSITIVE), "Learning rates to try: results are of the best."),
        ),
        seeds: optional(
          described(listOf(SEED), "Seeds of trainings, one model each; by default the recipe's."),
        ),
        interventions: optional(
          described(listOf(TEXT), "Changes once it is trained, each a model of its own: yarn8."),
        ),
      })),
      "Models that are trained first, each once.",
    ),
  ),
  models: optional(
    described(
      listOf(ASKED),
      "By default those that are trained first, or all committed ones. Those that are trained first are called by their recipe and seed: hybrid-s1.",
    ),
  ),
  tasks: optional(described(listOf(TASK), "By default those that each model was trained on.")),
  lengths: optional(
    described(LENGTHS, "Tokens, or multiples of each model's training length; 1x to 32x."),
  ),
  depths: optional(
    described(listOf(SHARE), "Where the needle goes, from 0 to 1; by default anywhere."),
  ),
  loads: optional(
    described(listOf(COUNT), "How much is to be remembered, such as mqar's pairs."),
  ),
  points: optional(
    described(POINTS, "Lengths with their loads, in place of every length with every load."),
  ),
  longest: optional(
    described(
      v.record(v.string(), TOKENS, "an object"),
      "The longest length that models of an architecture are asked, by its name.",
    ),
  ),
  templates: optional(described(listOf(TEMPLATE), "Of models that have none of their own.")),
  seeds: optional(described(listOf(SEED), "Seeds of the samples; 0, 1, 2 by default.")),
  samples: optional(described(COUNT, `Samples in a cell; ${SWEEP_DEFAULTS.samples} by default.`)),
  trainLength: optional(
    described(TOKENS, "Stands in for the training length of models that give none here."),
  ),
  tokenizer: optional(
    described(TEXT, "Of published checkpoints that are given none here: a folder, hf:owner/name."),
  ),
  dtype: optional(DTYPE),
  checkpoints: optional(
    described(TEXT, "A folder in which hf:owner/name may be as owner/name or name."),
  ),
  grids: optional(
    described(
      byTask(GRID),
      "What of the grid is different for a task, by its name.",
    ),
  ),
  unlearned: optional(
    described(
      v.boolean("true or false"),
      "Whether models are asked tasks too that they were not trained on, in the layout of taskOptions.",
    ),
  ),
  taskOptions: optional(
    described(
      TASK_OPTIONS,
      'Options of tasks by their names: { "text": { "file": "book.txt" }, "vt": { "set": "results/ruler" } }.',
    ),
  ),
});

/**
 * Reads a sweep from a file, as `./run sweep --print` writes it or by hand; what is usual may be
 * left out. Paths in it are seen from where the program runs, as those of a command line.
 *
 * @throws {Error} where it cannot be read, is not valid JSON or not a sweep, with the field and what
 * it must be; where it names an unknown recipe.
 */
export async function readSweep(path: string): Promise<SweepConfiguration> {
  const value = parseJson(await readNamed(path, "the sweep"), path);
  if (isRecipe(value)) {
    throw new Error(
      `Cannot sweep ${path} as it is a recipe: ./run train ${path} trains it, and ./run sweep --models ${path} trains it and asks it`,
    );
  }
  const { $schema: _, hash: __, trainings, ...sweep } = check(SWEEP, value, path);
  const whole = {
    name: basename(path, ".json"),
    ...SWEEP_DEFAULTS,
    ...sweep,
    ...(trainings === undefined
      ? {}
      : { trainings: await Promise.all(trainings.map((each) => readTraining(each, path))) }),
  };
  return inOrderOf(value, whole) as SweepConfiguration;
}

/** A value with the fields of its objects in another's order, so that `--print` prints what was read. */
function inOrderOf(written: unknown, value: unknown): unknown {
  if (Array.isArray(written) && Array.isArray(value)) {
    return value.map((item, i) => inOrderOf(written[i], item));
  }
  if (!isObject(written) || !isObject(value)) return value;
  const first = Object.keys(written).filter((field) => Object.hasOwn(value, field));
  const fields = new Set([...first, ...Object.keys(value)]);
  return Object.fromEntries(
    [...fields].map((field) => [field, inOrderOf(written[field], value[field])]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a file's value is a recipe: a list of layers stands in no sweep. */
function isRecipe(value: unknown): boolean {
  return typeof value === "object" && value !== null && "model" in value;
}

async function readTraining(
  { recipe, seeds, ...rest }: TrainingInFile,
  path: string,
): Promise<Training> {
  const whole = typeof recipe === "string"
    ? await readRecipe(recipe)
    : wholeRecipe(recipe, `${path}, "trainings", "recipe"`);
  return { recipe: whole, ...rest, seeds: seeds ?? [whole.seed] };
}
