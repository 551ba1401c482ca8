import type { ModelDescription } from "../subjects/description.ts";
import { lastPart } from "../subjects/known.ts";
import { type ModelCells, taskKey } from "./cells.ts";

/** What a sweep was to ask a model, and what its rows do not say of it. */
export interface PlannedModel {
  /** Its name. */
  readonly name: string;
  /** What was changed about it after its training. */
  readonly changes?: readonly string[];
  /** The name of the swept model that has the same weights, unchanged. */
  readonly unchanged?: string;
  /** What it is called on the hub, or its folder or file is, where it is a published checkpoint. */
  readonly checkpoint?: string;
  /** Whether layers other than limited attention carry the past. */
  readonly carries?: boolean;
  /** How many cells it has, by task and length. */
  readonly cells: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** A grid as a journal notes it: whose report can tell what is missing, and what was changed. */
export function planOf(grid: readonly ModelCells[]): PlannedModel[] {
  const plain = grid.map(({ card }) => card)
    .filter(({ description }) => description?.changes.length === 0);
  return grid.map(({ card: { name, description, carries }, cells }) => {
    const changes = description?.changes ?? [];
    const same = changes.length === 0
      ? []
      : plain.filter((other) => weightsOf(other.description!) === weightsOf(description!));
    const unchanged = same.find((other) => other.description!.dtype === description!.dtype) ??
      same.at(0);
    return {
      name,
      ...(changes.length === 0 ? {} : { changes }),
      ...(unchanged === undefined ? {} : { unchanged: unchanged.name }),
      ...(description?.kind === "published"
        ? { checkpoint: lastPart(description.hub?.repository ?? description.place) }
        : {}),
      ...(carries === true ? { carries } : {}),
      cells: Object.fromEntries(
        [...Map.groupBy(cells, taskKey)].map(([task, ofTask]) => [
          task,
          Object.fromEntries(
            [...Map.groupBy(ofTask, ({ length }) => length)]
              .map(([length, { length: count }]) => [length, count]),
          ),
        ]),
      ),
    };
  });
}

/** Which weights a model has, whatever was changed about it. */
function weightsOf(description: ModelDescription): string {
  switch (description.kind) {
    case "committed":
      return `committed ${description.model}`;
    case "trained":
    case "recipe":
      return `folder ${description.folder}`;
    case "published":
      return `published ${description.place}`;
  }
}

/** How much of a plan has a result. */
export interface Progress {
  /** Cells that have one. */
  readonly done: number;
  /** Cells in all. */
  readonly total: number;
  /** What has no result at all yet, in words: "gla: mqar at 128, 256 tokens". */
  readonly missing: readonly string[];
  /** How many lengths of tasks have some of their results, and not all. */
  readonly begun: number;
}

/**
 * How far a plan is.
 *
 * @param finished Cells that have a result, by `cellKey`.
 * @param failed Cells that were tried and have none.
 */
export function progressOf(
  plan: readonly PlannedModel[],
  finished: Iterable<string>,
  failed: Iterable<string>,
): Progress {
  const kindOf = (key: string): string => JSON.stringify(JSON.parse(key).slice(0, 3));
  const count = (keys: Iterable<string>): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const key of keys) counts.set(kindOf(key), (counts.get(kindOf(key)) ?? 0) + 1);
    return counts;
  };
  const [done, without] = [count(finished), count(failed)];
  let [have, total, begun] = [0, 0, 0];
  const missing = plan.flatMap(({ name, cells }) => {
    let isBegun = false;
    const tasks = Object.entries(cells).flatMap(([task, lengths]) => {
      const left = Object.entries(lengths).filter(([length, planned]) => {
        const kind = JSON.stringify([name, task, Number(length)]);
        const [answered, tried] = [done.get(kind) ?? 0, without.get(kind) ?? 0];
        have += answered;
        total += planned;
        isBegun ||= answered + tried > 0;
        if (answered + tried > 0 && answered + tried < planned) begun++;
        return answered + tried === 0;
      });
      return left.length === 0
        ? []
        : [`${task} at ${left.map(([length]) => length).join(", ")} tokens`];
    });
    if (tasks.length === 0) return [];
    return [isBegun ? `${name}: ${tasks.join("; ")}` : `all of ${name}`];
  });
  return { done: have, total, missing, begun };
}
