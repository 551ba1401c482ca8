import { type Curve, curvesOf, panels } from "../report/curves.ts";
import { taskMeans } from "../report/mean.ts";
import { joinRuns } from "../report/runs.ts";
import { withInterval } from "../report/theme.ts";
import type { Row } from "../sweep/rows.ts";

/** A sweep's results as text: model × length for each task, and the mean over tasks. */
export function resultsTable(results: readonly Row[]): string {
  const { rows } = joinRuns([{ name: "", rows: results }]);
  const blocks = [
    ...panels(rows, "accuracy").map(({ title, rows }) =>
      block(`${title}: accuracy${chanceOf(rows)}`, curvesOf(rows, "accuracy"), accuracy)
    ),
    ...panels(rows, "perplexity").map(({ title, rows }) =>
      block(`${title}: perplexity`, curvesOf(rows, "perplexity"), threeDigits)
    ),
  ];
  for (const { title, tasks, tasksLeftOut, curves } of taskMeans(rows)) {
    const which = tasksLeftOut.length === 0 ? "" : ` (${tasks.join(", ")})`;
    if (tasks.length > 1) {
      blocks.push(block(`mean of ${title}${which}: accuracy`, curves, accuracy));
    }
  }
  return blocks.join("\n\n");
}

function chanceOf(rows: readonly Row[]): string {
  const chance = rows.find(({ metric }) => metric === "chance");
  return chance === undefined ? "" : ` (chance ${accuracy(chance.value)})`;
}

function accuracy(value: number): string {
  return value.toFixed(2);
}

function threeDigits(value: number): string {
  return value.toPrecision(3);
}

function block(
  title: string,
  curves: readonly Curve[],
  format: (value: number) => string,
): string {
  const lengths = [...new Set(curves.flatMap(({ points }) => points.map(({ length }) => length)))]
    .sort((a, b) => a - b);
  const cells = curves.map(({ model, points }) => [
    model,
    ...lengths.map((length) => {
      const point = points.find((candidate) => candidate.length === length);
      if (point === undefined) return "";
      return withInterval(point, format);
    }),
  ]);
  return `${title}\n${aligned([["", ...lengths.map(String)], ...cells])}`;
}

/** Rows of text in columns: the first to the left, the others to the right. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    "  " +
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ")
      .trimEnd()
  ).join("\n");
}
