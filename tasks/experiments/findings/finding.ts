import type { ModelConfiguration } from "../../../models/mod.ts";
import { panels, type Pooled, poolTrainings } from "../../report/curves.ts";
import { hasLearned, learningOf } from "../../report/learning.ts";
import { permutationTest } from "../../statistics.ts";
import type { SweepConfiguration } from "../../sweep/configuration.ts";
import type { Row } from "../../sweep/rows.ts";
import type { Training } from "../../sweep/trainings.ts";
import { NO_AXES, type Setting } from "../experiment.ts";

/** What the trainings of a finding say of its claim. */
export type Verdict = "holds" | "does not hold" | "undecided";

/** A part of a claim, as it was measured. */
export interface Check {
  /** What must be so, in words, with the figures that were measured. */
  readonly says: string;
  /** Whether it is. */
  readonly verdict: Verdict;
}

/** A claim about architectures that one command puts to the test. */
export interface Finding {
  /** `finding-N`. */
  readonly name: `finding-${number}`;
  /** The claim, a sentence. */
  readonly claim: string;
  /** Where it was made. */
  readonly source: string;
  /** The picture of its report that shows it. */
  readonly picture: string;
  /** The models that are trained, and what they are asked. */
  readonly configuration: SweepConfiguration;
  /** The sweep that tried the learning rates, by a training seed and samples that are not reported. */
  readonly tuning: SweepConfiguration;
  /** Holds the claim against results. */
  readonly check: (evidence: Evidence) => Check[];
  /** What its results show besides, which decides nothing. */
  readonly besides?: (evidence: Evidence) => Check[];
}

/** The training seed by which learning rates are chosen. */
export const TUNING_TRAINING_SEED = 0;
/** The learning rates that are tried. */
export const RATES = [2e-3, 5e-3, 1e-2] as const;
/** The largest chance of an accident by which a difference counts. */
const SIGNIFICANT = 0.05;

/** A model of a finding. */
export interface FindingVariant {
  /** What it is called. */
  readonly name: string;
  /** What is trained. */
  readonly model: ModelConfiguration;
  /** The rate that its tuning chose, one of {@linkcode RATES}. */
  readonly learningRate: number;
  /** What of its training is its own. */
  readonly training?: Partial<
    Pick<Setting, "points" | "length" | "statePassing" | "batch" | "steps" | "tasks">
  >;
}

/** What a finding asks of its models, and how it trains them. */
export interface FindingOptions {
  readonly name: Finding["name"];
  readonly variants: readonly FindingVariant[];
  readonly setting: Omit<
    Setting,
    "learningRate" | "seed" | "warmupSteps" | "firstTaskSteps" | "targetAccuracy"
  >;
  /** The steps for which each learning rate is tried, of a training's. @default 0.5, half of them */
  readonly tuningShare?: number;
  /** How many trainings each model has; 5 by default, as learning is all or nothing. */
  readonly trainings?: number;
  readonly grid:
    & Pick<SweepConfiguration, "tasks" | "lengths" | "samples">
    & Partial<SweepConfiguration>;
}

/** The sweep of a finding, and that of its learning rates: one protocol for all variants. */
export function protocol(
  { name, variants, setting, tuningShare = 0.5, trainings = 5, grid }: FindingOptions,
): Pick<Finding, "name" | "configuration" | "tuning"> {
  const of = (seeds: readonly number[], rates?: readonly number[]): Training[] =>
    variants.map(({ name, model, learningRate, training }) => {
      const steps = training?.steps ?? setting.steps;
      return {
        recipe: {
          warmupSteps: 20,
          firstTaskSteps: 0,
          targetAccuracy: 1,
          ...setting,
          ...training,
          steps: rates === undefined ? steps : Math.round(steps * tuningShare),
          name,
          model,
          learningRate,
          seed: seeds[0],
        },
        ...(rates === undefined ? {} : { learningRates: rates }),
        seeds,
      };
    });
  const shared = { ...NO_AXES, scale: "small" as const, ...grid };
  return {
    name,
    configuration: {
      ...shared,
      name,
      trainings: of(Array.from({ length: trainings }, (_, i) => i + 1)),
      seeds: [0, 1, 2],
    },
    tuning: {
      ...shared,
      name: `${name}-tuning`,
      trainings: of([TUNING_TRAINING_SEED], RATES),
      lengths: grid.points ? [] : ["1x"],
      ...(grid.points
        ? { points: grid.points.filter(({ length }) => Number(length) <= setting.length) }
        : {}),
      seeds: [0],
      samples: 3 * grid.samples,
    },
  };
}

/** Where something was asked. */
export interface Place {
  /** Tokens in a sample. */
  readonly length: number;
  /** How much was to be remembered. */
  readonly load?: number;
  /** How far back the answers stood, as the CSV writes it; all of them where it is left out. */
  readonly distance?: string;
  /** The task, where there are several. */
  readonly task?: string;
}

/** The results of a finding's trainings, in words and by number. */
export class Evidence {
  readonly #rows: readonly Row[];

  /** Of the lines of a sweep's `variants.csv`. */
  constructor(rows: readonly Row[]) {
    this.#rows = rows;
  }

  /** A variant's accuracy over its trainings; undefined where it was not measured. */
  accuracy(variant: string, { length, load, distance, task }: Place): Pooled | undefined {
    const cells = this.#rows.filter((row) =>
      row.model === variant && row.length === length && row.distance === distance &&
      (load === undefined || row.load === load) && (task === undefined || row.task === task) &&
      row.metric === (distance === undefined ? "accuracy" : "accuracy_at_distance")
    );
    const loads = new Set(cells.map((cell) => cell.load));
    if (loads.size > 1) {
      throw new RangeError(`Cannot judge ${variant} at ${length} tokens as it has several loads`);
    }
    return cells.length === 0 ? undefined : poolTrainings(cells);
  }

  /** A level such as `chance` or `window_law` that stands beside a variant's accuracy, over all samples. */
  level(variant: string, metric: string, { length, load }: Place): number | undefined {
    const values = this.#rows.filter((row) =>
      row.model === variant && row.length === length && row.load === load && row.metric === metric
    ).map(({ value }) => value);
    return values.length === 0
      ? undefined
      : values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  /** That most trainings of each variant learned the task at the training length. */
  learned(variants: readonly string[], load?: number): Check {
    const rows = this.#rows.filter((row) =>
      variants.includes(row.model) && (load === undefined || row.load === load)
    );
    const learning = panels(rows, "accuracy").flatMap(learningOf);
    const not = learning.filter((one) => !hasLearned(one));
    const absent = variants.filter((variant) => !learning.some(({ model }) => model === variant));
    return {
      says: not.length + absent.length === 0
        ? `${variants.join(", ")} learned at the training length`
        : `${
          [...new Set([...not.map(({ model }) => model), ...absent])].join(", ")
        } did not learn at the training length`,
      verdict: not.length + absent.length === 0 ? "holds" : "undecided",
    };
  }

  /** That one variant is better than another at a place, or than itself at another place. */
  exceeds(better: string, worse: string, place: Place, other: Place = place): Check {
    const [a, b] = [this.accuracy(better, place), this.accuracy(worse, other)];
    if (a === undefined || b === undefined) return unmeasured(`${better} against ${worse}`);
    const says = `${better} ${show(a)} above ${worse} ${show(b)} at ${where(place)}${
      place === other ? "" : ` against ${where(other)}`
    }`;
    return { says, verdict: compare(valuesOf(a), valuesOf(b)) };
  }

  /** That a variant's accuracy is a bound at least, in every training, or most. */
  atLeast(variant: string, bound: number, place: Place): Check {
    const found = this.accuracy(variant, place);
    if (found === undefined) return unmeasured(variant);
    return judgeEach(
      `${variant} ${show(found)} at ${where(place)}, at least ${short(bound)}`,
      valuesOf(found).map((value) => value >= bound),
    );
  }

  /** That a variant's accuracy is a bound at most, in every training, or most. */
  atMost(variant: string, bound: number, place: Place): Check {
    const found = this.accuracy(variant, place);
    if (found === undefined) return unmeasured(variant);
    return judgeEach(
      `${variant} ${show(found)} at ${where(place)}, at most ${short(bound)}`,
      valuesOf(found).map((value) => value <= bound),
    );
  }

  /** That a variant scores what a law says, within so much. */
  follows(variant: string, law: string, within: number, place: Place): Check {
    const found = this.accuracy(variant, place);
    const level = this.level(variant, law, place);
    if (found === undefined || level === undefined) return unmeasured(variant);
    return judgeEach(
      `${variant} ${show(found)} at ${where(place)}, within ${short(within)} of ${
        law.replaceAll("_", " ")
      } ${short(level)}`,
      valuesOf(found).map((value) => Math.abs(value - level) <= within),
    );
  }
}

/** What parts say together: all must hold; one that does not refutes. */
export function together(checks: readonly Check[]): Verdict {
  if (checks.some(({ verdict }) => verdict === "does not hold")) return "does not hold";
  return checks.every(({ verdict }) => verdict === "holds") ? "holds" : "undecided";
}

function compare(a: readonly number[], b: readonly number[]): Verdict {
  if (permutationTest(a, b) <= SIGNIFICANT) return "holds";
  return permutationTest(b, a) <= SIGNIFICANT ? "does not hold" : "undecided";
}

/** All trainings, or all of five but one: an exception does not refute. */
function judgeEach(says: string, holds: readonly boolean[]): Check {
  const count = holds.filter(Boolean).length;
  const allowed = holds.length >= 5 ? 1 : 0;
  if (holds.length < 3) return { says, verdict: "undecided" };
  if (count >= holds.length - allowed) return { says, verdict: "holds" };
  return { says, verdict: count <= allowed ? "does not hold" : "undecided" };
}

function unmeasured(what: string): Check {
  return { says: `${what} was not measured`, verdict: "undecided" };
}

function valuesOf({ value, trainings }: Pooled): readonly number[] {
  return trainings?.map(({ value }) => value) ?? [value];
}

function show(found: Pooled): string {
  const { value, low, high } = found;
  return `${short(value)} [${short(low)}, ${short(high)}]`;
}

function short(value: number): string {
  return Number.isNaN(value) ? "?" : value.toFixed(2).replace(/^0(?=\.)/, "");
}

function where({ length, load, distance, task }: Place): string {
  return [
    ...(task === undefined ? [] : [task]),
    `${length} tokens`,
    ...(load === undefined ? [] : [`load ${load}`]),
    ...(distance === undefined ? [] : [`${distance} back`]),
  ].join(", ");
}
