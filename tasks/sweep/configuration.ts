import type { WeightType } from "../../models/mod.ts";
import { canonical } from "../canonical.ts";
import { parseTokens } from "../sizes.ts";
import { type AskedModel, nameOf } from "../subjects/description.ts";
import type { Metric } from "../task.ts";
import { checkTrainings, type Training } from "./trainings.ts";

/** Tokens, or a multiple of a model's training length: `512`, `"8x"`. */
export type Length = number | `${number}x`;

/**
 * A sweep as plain data: a grid of cells, one for each model × task × length × depth × load × seed.
 * It prints as JSON, and its hash says whether a journal is of the same sweep.
 */
export interface SweepConfiguration {
  /** Names the results' folder. */
  readonly name: string;
  /** The publication that it reproduces. */
  readonly source?: string;
  /** What differs from that, and what of it is not known for sure, a sentence or more each. */
  readonly differences?: readonly string[];
  /** Whether it is of the published size, or of one that fits a machine without a GPU. */
  readonly scale?: "published" | "small";
  /** Models that are trained first; what is there already is not trained again. */
  readonly trainings?: readonly Training[];
  /**
   * The models, by name or each with settings of its own: template, tokenizer, training length, dtype;
   * empty for those that are trained first, or for all committed ones.
   */
  readonly models: readonly AskedModel[];
  /** The tasks; empty for those that each model was trained on. */
  readonly tasks: readonly string[];
  /** The lengths, each model's own where they are multiples. */
  readonly lengths: readonly Length[];
  /** Where the needle goes in tasks that have one; empty where each sample draws its own depth. */
  readonly depths: readonly number[];
  /** How much is to be remembered in tasks that have a load; empty for the task's default. */
  readonly loads: readonly number[];
  /** Lengths with their loads, in place of every length with every load. */
  readonly points?: readonly SweepPoint[];
  /** The longest length that models of an architecture are asked, in tokens, by its name. */
  readonly longest?: Readonly<Record<string, number>>;
  /** The prompt templates of tasks in words: `base`, `chat` or a file. @default ["base"] */
  readonly templates?: readonly string[];
  /** Seeds of the test samples. */
  readonly seeds: readonly number[];
  /**
   * Samples in a cell. Of a task that asks something after every token, as many of them as hold
   * {@linkcode TOKENS_ASKED} tokens, but not fewer than {@linkcode FEWEST_SAMPLES}, are enough.
   */
  readonly samples: number;
  /** Stands in for each model's own training length. */
  readonly trainLength?: number;
  /** Stands in for the tokenizer of each published checkpoint. */
  readonly tokenizer?: string;
  /** How weights are kept on the GPU. @default "f32" */
  readonly dtype?: WeightType;
  /**
   * A folder that may hold checkpoints which are named as on the hub: `hf:owner/name` is `owner/name`
   * or `name` in it, where there is one.
   */
  readonly checkpoints?: string;
  /** What of the grid is different for a task, by the task's name. */
  readonly grids?: Readonly<Record<string, TaskGrid>>;
  /** Options of tasks by their name, over those the model was trained with. */
  readonly taskOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /**
   * Whether models that were trained here are asked the sweep's tasks too that they were not trained on,
   * where {@linkcode SweepConfiguration.taskOptions} say in which layout. @default false
   */
  readonly unlearned?: boolean;
}

/** What a sweep asks where it is not said. */
export const SWEEP_DEFAULTS = {
  models: [],
  tasks: [],
  lengths: ["1x", "2x", "4x", "8x", "16x", "32x"],
  depths: [],
  loads: [],
  seeds: [0, 1, 2],
  samples: 8,
} as const satisfies Partial<SweepConfiguration>;

/** A length, and how much is to be remembered in it. */
export interface SweepPoint {
  /** The length. */
  readonly length: Length;
  /** The load, in the task's unit. */
  readonly load: number;
}

/** What of a sweep's grid a task may have for itself. */
export type TaskGrid = Partial<
  Pick<SweepConfiguration, "lengths" | "depths" | "loads" | "points" | "seeds" | "samples">
>;

/** The sweep as it is for a task. */
export function gridOf(configuration: SweepConfiguration, task: string): SweepConfiguration {
  const { grids = {}, ...shared } = configuration;
  return { ...shared, ...grids[task] };
}

/** Tokens after which a perplexity's interval is narrow enough. */
export const TOKENS_ASKED = 2 ** 15;
/** The fewest samples for an interval. */
export const FEWEST_SAMPLES = 4;

/** How many samples a cell has. */
export function samplesOf(
  { samples }: SweepConfiguration,
  metric: Metric,
  length: number,
): number {
  if (metric === "accuracy") return samples;
  return Math.min(samples, Math.max(FEWEST_SAMPLES, Math.ceil(TOKENS_ASKED / length)));
}

/**
 * A length as it is typed.
 *
 * @throws {RangeError} where it is neither a number of tokens nor a multiple such as `8x`.
 */
export function parseLength(text: string): Length {
  const tokens = parseTokens(text);
  if (tokens !== undefined) return tokens;
  const multiple = /^(\d+(?:\.\d+)?)x$/i.exec(text);
  if (multiple && Number(multiple[1]) > 0) return `${Number(multiple[1])}x`;
  throw new RangeError(
    `${text} is not a length: give tokens (512, 4k, 1m) or multiples of the training length (8x)`,
  );
}

/** A length in tokens. */
export function tokensOf(length: Length, trainLength: number): number {
  return typeof length === "number" ? length : Math.round(Number.parseFloat(length) * trainLength);
}

/**
 * Checks what can be checked before a model is looked at.
 *
 * @throws {RangeError} for an empty axis, a depth outside 0 to 1, a number that is not whole.
 */
export function checkConfiguration(configuration: SweepConfiguration): void {
  const { models, tasks, lengths, depths, loads, seeds, samples, trainLength } = configuration;
  const { templates = ["base"], points = [], longest = {} } = configuration;
  const fail = (reason: string): never => {
    throw new RangeError(`Cannot sweep as ${reason}`);
  };
  if (lengths.length + points.length === 0) fail("there must be at least one length");
  if (seeds.length === 0) fail("there must be at least one seed");
  if (templates.length === 0) fail("there must be at least one template");
  const whole = (name: string, value: number, low: number, high = 2 ** 31 - 1): void => {
    if (!Number.isInteger(value) || value < low || value > high) {
      fail(`${name} must be an integer from ${low} to ${high}: current value is ${value}`);
    }
  };
  whole("samples", samples, 1);
  for (const seed of seeds) whole("a seed", seed, 0, 2 ** 32 - 1);
  for (const load of loads) whole("a load", load, 1);
  for (const { load } of points) whole("a load", load, 1);
  for (const length of Object.values(longest)) whole("a longest length", length, 1);
  checkTrainings(configuration.trainings ?? []);
  for (const length of [trainLength, ...models.map(ownTrainLength)]) {
    if (length !== undefined) whole("the training length", length, 1);
  }
  for (const depth of depths) {
    if (!(depth >= 0 && depth <= 1)) {
      fail(`a depth must be from 0 to 1: current depth is ${depth}`);
    }
  }
  const axes: Record<string, readonly (number | string)[]> = {
    model: models.map(nameOf),
    task: tasks,
    length: lengths,
    depth: depths,
    load: loads,
    point: points.map(({ length, load }) => `${length} with ${load}`),
    template: templates,
    seed: seeds,
  };
  for (const [name, values] of Object.entries(axes)) {
    const twice = values.find((value, i) => values.indexOf(value) !== i);
    if (twice === undefined) continue;
    const hint = name === "model" ? ': give one of them another "name"' : "";
    fail(`${name} ${twice} is listed twice${hint}`);
  }
  for (const task of Object.keys(configuration.grids ?? {})) {
    checkConfiguration(gridOf(configuration, task));
  }
}

function ownTrainLength(asked: AskedModel): number | undefined {
  return typeof asked === "string" ? undefined : asked.trainLength;
}

/** SHA-256 of plain data, in hexadecimal; the order of keys does not matter. */
export async function hashOf(value: unknown): Promise<string> {
  const bytes = new TextEncoder().encode(canonical(value));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
