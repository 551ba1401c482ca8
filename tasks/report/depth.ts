import type { Row } from "../sweep/rows.ts";
import { groupBy, poolTrainings } from "./curves.ts";

const ACCURACY_AT = "accuracy@";

/** The accuracy at a length with the needle at a depth. */
export interface DepthField {
  /** Tokens in a sample. */
  readonly length: number;
  /** Where the needle is, or the band's beginning: 0 is the sequence's beginning, 1 its end. */
  readonly depth: number;
  /** The depth in words: `25%`, `20–40%`. */
  readonly label: string;
  /** The accuracy, over all seeds. */
  readonly value: number;
  /** The interval's lower end; NaN if there is none. */
  readonly low: number;
  /** The interval's upper end; NaN if there is none. */
  readonly high: number;
  /** Samples it is of. */
  readonly samples: number;
}

/**
 * One model's accuracy in a task by length and depth: from the cells whose depth was fixed where
 * there are any, else from the bands of depth that samples with depths of their own are sorted into;
 * none where a task has no needle.
 */
export function depthFields(rows: readonly Row[]): DepthField[] {
  const fixed = rows.filter(({ metric, depth }) => metric === "accuracy" && depth !== undefined);
  const chosen = fixed.length > 0
    ? fixed
    : rows.filter(({ metric }) => metric.startsWith(ACCURACY_AT));
  return [...groupBy(chosen, (row) => `${row.length} ${placeOf(row).label}`).values()]
    .map((cells) => ({ length: cells[0].length, ...placeOf(cells[0]), ...poolTrainings(cells) }))
    .sort((a, b) => a.length - b.length || a.depth - b.depth);
}

/** The depths' labels, the beginning of the sequence first. */
export function depthLabels(fields: readonly DepthField[]): string[] {
  const ordered = fields.toSorted((a, b) => a.depth - b.depth);
  return [...new Set(ordered.map(({ label }) => label))];
}

function placeOf({ depth, metric }: Row): { readonly depth: number; readonly label: string } {
  const percent = (value: number): number => Number((value * 100).toPrecision(3));
  if (depth !== undefined) return { depth, label: `${percent(depth)}%` };
  const [low, high] = metric.slice(ACCURACY_AT.length).split("-").map(Number);
  return { depth: low, label: `${percent(low)}–${percent(high)}%` };
}
