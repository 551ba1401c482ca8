import { meanInterval } from "../statistics.ts";
import { nameWithoutForm } from "../subjects/description.ts";
import type { Row } from "../sweep/rows.ts";
import { costsOf, curvesOf, groupBy, panels, type Point } from "./curves.ts";
import { type Column, escape, table } from "./html.ts";
import { bytes, tokens, withInterval } from "./theme.ts";
import { muted } from "./words.ts";

/** What is compared, and how: a difference, or a ratio of what may be any size. */
const METRICS = {
  accuracy: "difference",
  perplexity: "ratio",
  forgetting_curve: "difference",
} as const;
/** The form that others are compared with. */
const EXACT = "f32";
/** Fewer cells say nothing of how far their mean is certain. */
const FEWEST_CELLS = 3;

/** A metric at a length, and how far it is from that of the exact weights on the same samples. */
export interface FormPoint extends Point {
  /** `value − exact`, or `value / exact − 1`; its ends are NaN where there are too few cells. */
  readonly change?: { readonly value: number; readonly low: number; readonly high: number };
}

/** A model with its weights in one form. */
export interface Form {
  /** How its weights are kept. */
  readonly dtype: string;
  /** The most GPU memory that reading a sample took, weights included, where that is known. */
  readonly peakBytes?: number;
  /** By length, the shortest first. */
  readonly points: readonly FormPoint[];
}

/** One model in several forms, asked the same. */
export interface FormComparison {
  /** Its name in the exact form. */
  readonly model: string;
  /** The task, with its load where it was asked with several. */
  readonly title: string;
  /** What is compared. */
  readonly metric: keyof typeof METRICS;
  /** The forms, in the order of the results. */
  readonly forms: readonly Form[];
}

/** Every model that was asked with its weights in several forms, by task and metric. */
export function compareForms(rows: readonly Row[]): FormComparison[] {
  const metrics = Object.keys(METRICS) as (keyof typeof METRICS)[];
  return [...groupBy(rows, ({ model, dtype }) => nameWithoutForm(model, dtype))]
    .flatMap(([model, ofModel]) => {
      const forms = groupBy(ofModel, ({ dtype = EXACT }) => dtype);
      if (forms.size < 2) return [];
      return metrics.flatMap((metric) =>
        panels(ofModel, metric).map(({ title, rows: asked }) => ({
          model,
          title,
          metric,
          forms: [...groupBy(asked, ({ dtype = EXACT }) => dtype)].map(([dtype, ofForm]) =>
            formOf(dtype, metric, ofForm, asked)
          ),
        }))
      );
    });
}

function formOf(
  dtype: string,
  metric: keyof typeof METRICS,
  rows: readonly Row[],
  all: readonly Row[],
): Form {
  const [curve] = curvesOf(rows, metric);
  const peak = costsOf(rows, "peak_bytes").flatMap(({ points }) => points)
    .reduce((most, { value }) => Math.max(most, value), 0);
  const exact = new Map(
    all.filter((row) => (row.dtype ?? EXACT) === EXACT && row.metric === metric)
      .map((row) => [cellOf(row), row.value]),
  );
  return {
    dtype,
    ...(peak > 0 && { peakBytes: peak }),
    points: (curve?.points ?? []).map((point) => {
      const cells = rows.filter((row) => row.metric === metric && row.length === point.length);
      const pairs = cells.flatMap((row) => {
        const other = exact.get(cellOf(row));
        return other === undefined ? [] : [[row.value, other] as const];
      });
      return dtype === EXACT || pairs.length === 0
        ? point
        : { ...point, change: changeOf(pairs, METRICS[metric]) };
    }),
  };
}

/** The same questions have the same cell, whatever the form. */
function cellOf({ task, template, length, depth, load, seed, train_seed }: Row): string {
  return JSON.stringify([task, template, length, depth, load, seed, train_seed]);
}

/** The mean change over cells, each of which asked both the same. */
function changeOf(
  pairs: readonly (readonly [value: number, exact: number])[],
  kind: "difference" | "ratio",
): { value: number; low: number; high: number } {
  const changes = pairs.map(([value, exact]) =>
    kind === "ratio" ? Math.log(value / exact) : value - exact
  );
  const mean = meanInterval(changes);
  const isKnown = pairs.length >= FEWEST_CELLS;
  const { value, low, high } = { ...mean, ...(isKnown ? {} : { low: NaN, high: NaN }) };
  if (kind === "difference") return { value, low, high };
  return { value: Math.expm1(value), low: Math.expm1(low), high: Math.expm1(high) };
}

/** The comparisons as the page has them; empty if no model was asked in several forms. */
export function formText(rows: readonly Row[]): string {
  const comparisons = compareForms(rows);
  if (comparisons.length === 0) return "";
  return muted(
    "The same model on the same samples, with the weights of its linear maps and its embedding kept in fewer bits: int8 and int4 are integers in groups of 32 with a scale each, embedding and head in 8 bits. Behind each value stands its change from f32, the mean over cells that were asked both, with its 95% interval from three cells on. Of perplexity it is a share.",
  ) + comparisons.map((comparison) =>
    `<h3>${escape(comparison.model)}: ${escape(comparison.title)}, ${
      comparison.metric.replaceAll("_", " ")
    }</h3>${formTable(comparison)}`
  ).join("\n");
}

function formTable({ metric, forms }: FormComparison): string {
  const lengths = [...new Set(forms.flatMap(({ points }) => points.map(({ length }) => length)))]
    .sort((a, b) => a - b);
  return table(forms, [
    { head: "weights", cell: ({ dtype }) => escape(dtype), text: "short" },
    {
      head: "GPU memory",
      cell: ({ peakBytes }) => peakBytes === undefined ? "–" : bytes(peakBytes),
    },
    ...lengths.map((length): Column<Form> => ({
      head: tokens(length),
      cell: ({ points }) => formCell(points.find((point) => point.length === length), metric),
    })),
  ]);
}

function formCell(point: FormPoint | undefined, metric: keyof typeof METRICS): string {
  if (point === undefined) return "–";
  const { change } = point;
  const format = METRICS[metric] === "ratio"
    ? (value: number): string => `${signed(100 * value, 1)} %`
    : (value: number): string => signed(value, 3);
  return point.value.toFixed(metric === "perplexity" ? 2 : 3) +
    (change === undefined ? "" : `<br><small>${withInterval(change, format)}</small>`);
}

function signed(value: number, digits: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
}
