import type { Estimate } from "../statistics.ts";
import type { Row } from "../sweep/rows.ts";
import { costsOf, curvesOf, type Panel, panels } from "./curves.ts";

/** What recall is compared at, where the caller chooses. */
export interface RecallChoice {
  /** A task as the report titles it: `mqar`, `mqar, load 16`. */
  readonly task?: string;
  /** Tokens in a sample. */
  readonly length?: number;
}

/** Recall against the size of the state: one point per model, at one task, load and length. */
export interface Recall {
  /** The task as the report titles it. */
  readonly task: string;
  /** How much was to be remembered, in tasks that have a load. */
  readonly load?: number;
  /** Tokens in a sample. */
  readonly length: number;
  /** A point for each model that was asked this. */
  readonly points: readonly (Estimate & {
    /** The model's label. */
    readonly model: string;
    /** How large its state is there. */
    readonly stateBytes: number;
  })[];
}

/** Tasks that ask for what was read before, those that were made to measure it first. */
const RECALL_TASKS = [/^mqar/, /^(passkey|niah|phone)/, /./];

/**
 * Where models differ the most in recall: among the tasks that ask for it, the load and the length
 * that the most models were asked, and there the one where their accuracies lie farthest apart.
 * Undefined where no two models were asked the same.
 *
 * @throws {RangeError} where the caller's choice is not a task or a length of the results.
 */
export function chooseRecall(
  rows: readonly Row[],
  { task, length }: RecallChoice = {},
): Recall | undefined {
  const all = panels(rows, "accuracy");
  if (task !== undefined && all.every(({ title }) => title !== task)) {
    throw new RangeError(
      `Cannot compare recall in ${task}: the tasks are ${all.map(({ title }) => title).join("; ")}`,
    );
  }
  const candidates = all.filter(({ title }) => task === undefined || title === task)
    .flatMap((panel) => recallsOf(panel, "accuracy"));
  const lengths = [...new Set(candidates.map((candidate) => candidate.length))];
  if (length !== undefined && lengths.length > 0 && !lengths.includes(length)) {
    throw new RangeError(
      `Cannot compare recall at ${length} tokens: the lengths are ${
        lengths.sort((a, b) => a - b).join(", ")
      }`,
    );
  }
  const chosen = candidates.filter((candidate) =>
    length === undefined || candidate.length === length
  );
  for (const pattern of RECALL_TASKS) {
    const comparable = chosen.filter((candidate) =>
      pattern.test(candidate.task) && candidate.points.length > 1
    );
    if (comparable.length > 0) return farthestApart(comparable);
  }
  return undefined;
}

/**
 * The same of the forgetting curve: the length that the most models were asked, and there the one where
 * they lie farthest apart. Undefined where no two models were asked the same.
 */
export function chooseMemory(rows: readonly Row[]): Recall | undefined {
  const comparable = panels(rows, "forgetting_curve")
    .flatMap((panel) => recallsOf(panel, "forgetting_curve"))
    .filter(({ points }) => points.length > 1);
  return comparable.length === 0 ? undefined : farthestApart(comparable);
}

/** Of some, the one with the most models, and of those where they differ the most. */
function farthestApart(candidates: readonly Recall[]): Recall {
  return candidates.reduce((best, candidate) =>
    (candidate.points.length - best.points.length || spread(candidate) - spread(best)) > 0
      ? candidate
      : best
  );
}

/** A panel at each of its lengths. */
function recallsOf({ title, load, rows }: Panel, metric: string): Recall[] {
  const curves = curvesOf(rows, metric);
  const states = new Map(
    costsOf(rows, "state_bytes").map(({ model, points }) => [
      model,
      new Map(points.map(({ length, value }) => [length, value])),
    ]),
  );
  const lengths = [...new Set(curves.flatMap(({ points }) => points.map(({ length }) => length)))];
  return lengths.map((length) => ({
    task: title,
    ...(load === undefined ? {} : { load }),
    length,
    points: curves.flatMap(({ model, points }) => {
      const point = points.find((candidate) => candidate.length === length);
      const stateBytes = states.get(model)!.get(length) ?? 0;
      if (point === undefined || stateBytes === 0) return [];
      const { value, low, high } = point;
      return [{ model, stateBytes, value, low, high }];
    }),
  }));
}

function spread({ points }: Recall): number {
  const values = points.map(({ value }) => value);
  return Math.max(...values) - Math.min(...values);
}
