import { EFFECTIVE, formatOf, RULER_TASKS } from "../generators/ruler/names.ts";
import { isTrainedLength, type Row } from "../sweep/rows.ts";
import type { Curve, Point } from "./curves.ts";
import { type Column, escape, table } from "./html.ts";
import { type EffectiveLength, effectiveLength, type TaskMean } from "./mean.ts";
import type { ReportModel, Results } from "./runs.ts";
import { bytes, callNames, type Look, tokens, withInterval } from "./theme.ts";

/** What a model is called, with its colour. */
function chip(name: string, { colour }: Look): string {
  return `<span class="chip" style="background:${colour}"></span>${escape(name)}`;
}

/** A mean by model and length with its interval, and how far each model's accuracy reaches. */
export function meanTable({ curves }: TaskMean, look: ReadonlyMap<string, Look>): string {
  const lengths = [...new Set(curves.flatMap(({ points }) => points.map(({ length }) => length)))]
    .sort((a, b) => a - b);
  const names = callNames(curves.map(({ model }) => model), look);
  const pointAt = ({ points }: Curve, length: number): Point | undefined =>
    points.find((point) => point.length === length);
  return table(curves, [
    {
      head: "model",
      cell: ({ model }) => chip(names.get(model)!, look.get(model)!),
      text: "short",
    },
    {
      head: "effective length",
      cell: (curve) => reach(effectiveLength(curve), "longest"),
    },
    {
      head: "unbroken up to",
      cell: (curve) => reach(effectiveLength(curve), "unbroken"),
    },
    {
      head: "certain at",
      cell: (curve) => reach(effectiveLength(curve), "certain"),
    },
    ...lengths.map((length): Column<Curve> => ({
      head: tokens(length),
      cell: (curve) => meanCell(pointAt(curve, length)),
    })),
  ]);
}

function meanCell(point: Point | undefined): string {
  if (point === undefined) return "–";
  const [text, ...interval] = withInterval(point).split(/ (?=\[)/);
  return (point.value >= EFFECTIVE ? `<b>${text}</b>` : text) +
    interval.map((ends) => `<br><small>${ends}</small>`).join("");
}

function reach(effective: EffectiveLength, which: "longest" | "unbroken" | "certain"): string {
  const length = effective[which];
  if (length === undefined) return "none";
  return `<b>${length === effective.asked ? "≥ " : ""}${tokens(length)}</b>`;
}

/** What was run: what is the same for all models, and a line per model with what differs. */
export function runTable({ runs, models, rows }: Results, look: ReadonlyMap<string, Look>): string {
  const rowsOf = Map.groupBy(rows, ({ model }) => model);
  const listed = (column: keyof Row) => ({ model }: ReportModel): string => {
    const values = [
      ...new Set(
        rowsOf.get(model)!.map((row) => row[column]).filter((value) => value !== undefined),
      ),
    ];
    const ordered = values.every((value) => typeof value === "number")
      ? values.sort((a, b) => a - b)
      : values;
    return values.length === 0 ? "–" : escape(ordered.join(", "));
  };
  const columns: Column<ReportModel>[] = [
    {
      head: "model",
      cell: ({ model, name }) => chip(name, look.get(model)!),
      text: "short",
    },
    ...(runs.length > 1
      ? [{ head: "run", cell: ({ run }: ReportModel) => escape(run), text: "short" as const }]
      : []),
    { head: "architecture", cell: ({ family }) => escape(family), text: "short" },
    { head: "parameters", cell: ({ parameters }) => count(parameters) },
    {
      head: "trained at",
      cell: ({ trainLength }) => trainLength === undefined ? "–" : tokens(trainLength),
    },
    { head: "template", cell: ({ template }) => escape(template ?? "–"), text: "short" },
    { head: "seeds", cell: listed("seed"), text: "short" },
    {
      head: "trainings",
      cell: ({ trainSeeds }) => trainSeeds.length === 0 ? "–" : String(trainSeeds.length),
    },
    { head: "tokens of training", cell: tokensOf },
    { head: "learning rate", cell: listed("learning_rate") },
    { head: "state at the training length", cell: stateOf },
    { head: "samples per cell", cell: samplesOf },
    { head: "cells", cell: ({ model }) => String(cellsOf(rowsOf.get(model)!)) },
    { head: "version", cell: listed("version"), text: "short" },
    { head: "adapter", cell: listed("adapter"), text: "short" },
    {
      head: "lengths",
      cell: ({ model }) =>
        [...new Set(rowsOf.get(model)!.map(({ length }) => length))].sort((a, b) => a - b)
          .map(tokens).join(", "),
      text: "short",
    },
    { head: "loads", cell: listed("load"), text: "short" },
    { head: "depths", cell: listed("depth"), text: "short" },
    { head: "tasks", cell: ({ model }) => escape(tasksOf(rowsOf.get(model)!)), text: "long" },
  ];
  // What is the same for all is told once: what is left can be seen at once.
  const [identity, ...others] = columns;
  const shared = models.length === 1
    ? []
    : others.filter(({ cell }) => new Set(models.map(cell)).size === 1);
  const told = shared.filter(({ cell }) => cell(models[0]) !== "–")
    .map(({ head, cell }) => `${head}: ${cell(models[0])}`);
  const of = told.length === 0 ? "" : `<p>The same for all: ${told.join("; ")}.</p>`;
  const differing = others.filter((column) => !shared.includes(column));
  return of + table(models, [identity, ...withinPage(differing)], { cards: true });

  function tokensOf({ model }: ReportModel): string {
    const values = rowsOf.get(model)!.flatMap((row) => row.train_tokens ?? []);
    if (values.length === 0) return "–";
    const [low, high] = [Math.min, Math.max].map((end) => values.reduce((a, b) => end(a, b)));
    return low === high ? count(low) : `${count(low)}–${count(high)}`;
  }

  function stateOf({ model }: ReportModel): string {
    const near = rowsOf.get(model)!.filter(isTrainedLength);
    return near.length === 0
      ? "–"
      : bytes(near.map((row) => row.state_bytes).reduce((a, b) => Math.max(a, b)));
  }

  function samplesOf({ model }: ReportModel): string {
    const counts = rowsOf.get(model)!.filter(({ metric }) => !metric.includes("@"))
      .map(({ samples }) => samples);
    const [low, high] = [Math.min, Math.max].map((end) => counts.reduce((a, b) => end(a, b)));
    return low === high ? String(low) : `${low}–${high}`;
  }
}

/** More columns than these do not fit a page: some are then one, in words. */
const MOST_COLUMNS = 14;
const IN_WORDS = ["seeds", "samples per cell", "version", "adapter", "lengths", "loads", "depths"];

function withinPage(columns: readonly Column<ReportModel>[]): readonly Column<ReportModel>[] {
  if (columns.length <= MOST_COLUMNS) return columns;
  const inWords = columns.filter(({ head }) => IN_WORDS.includes(head));
  return [
    ...columns.filter((column) => !inWords.includes(column)),
    {
      head: "how it was asked",
      cell: (model) => inWords.map(({ head, cell }) => `${head}: ${cell(model)}`).join("; "),
      text: "long",
    },
  ];
}

/** Cells that have no result, those alike but for depth, load and seed in one line, and why. */
export function failureTable(failures: readonly Row[]): string {
  const groups = Map.groupBy(
    failures,
    ({ model, task, length, reason }) => JSON.stringify([model, task, length, reason]),
  );
  const listed = (column: "depth" | "load" | "seed") => (rows: readonly Row[]): string => {
    const values = new Set(rows.flatMap((row) => row[column] ?? []));
    return values.size === 0 ? "–" : [...values].sort((a, b) => a - b).join(", ");
  };
  return table([...groups.values()], [
    { head: "model", cell: ([{ model }]) => escape(model), text: "short" },
    { head: "task", cell: ([{ task }]) => escape(task), text: "short" },
    { head: "length", cell: ([{ length }]) => tokens(length) },
    { head: "loads", cell: listed("load"), text: "short" },
    { head: "depths", cell: listed("depth"), text: "short" },
    { head: "seeds", cell: listed("seed"), text: "short" },
    {
      head: "cells",
      cell: (rows) => String(rows.reduce((sum, { value }) => sum + value, 0)),
    },
    { head: "why", cell: ([{ reason }]) => escape(reason ?? "unknown"), text: "long" },
  ], { cards: true });
}

/** Small numbers in full, large ones short: 24,736, 2.68B. */
function count(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)}B`;
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  return value.toLocaleString("en");
}

function cellsOf(rows: readonly Row[]): number {
  return new Set(
    rows.map(({ task, length, depth, load, seed }) =>
      JSON.stringify([task, length, depth, load, seed])
    ),
  ).size;
}

/** The tasks of rows: RULER's as one where all are there, so the needle's formats where they are many. */
function tasksOf(rows: readonly Row[]): string {
  const all = [...new Set(rows.map(({ task }) => task))];
  const ruler = RULER_TASKS.every((task) => all.includes(task))
    ? new Set<string>(RULER_TASKS)
    : new Set<string>();
  const formats = all.filter((task) => formatOf(task) !== undefined);
  const short = formats.length > 2;
  return [
    ...(ruler.size > 0 ? ["RULER’s 13"] : []),
    ...(short ? [`${formats.length} formats of a needle`] : formats),
    ...all.filter((task) => !ruler.has(task) && formatOf(task) === undefined),
  ].join(", ");
}
