import { type Curve, curvesOf, type Panel, panels } from "../report/curves.ts";
import { describeFailures, weigh } from "../report/learning.ts";
import { taskMeans } from "../report/mean.ts";
import { joinRuns } from "../report/runs.ts";
import { withInterval } from "../report/theme.ts";
import type { Row } from "../sweep/rows.ts";

/** A sweep's results as text: model × length for each task, and the mean over tasks. */
export function resultsTable(results: readonly Row[]): string {
  const joined = joinRuns([{ name: "", rows: results }]);
  const { rows, failures } = joined;
  const { learning, claimed } = weigh(joined);
  const failedIn = ({ task, load }: Panel): readonly Row[] =>
    failures.filter((row) => row.task === task && (load === undefined || row.load === load));
  const blocks = [
    ...panels(rows, "accuracy").map((panel) =>
      [
        block(
          `${panel.title}: accuracy${chanceOf(panel.rows)}`,
          curvesOf(panel.rows, "accuracy"),
          accuracy,
          failedIn(panel),
        ),
        ...describeFailures(learning.filter(({ task }) => task === panel.title)),
      ].join("\n")
    ),
    ...panels(rows, "perplexity").map((panel) =>
      block(
        `${panel.title}: perplexity`,
        curvesOf(panel.rows, "perplexity"),
        threeDigits,
        failedIn(panel),
      )
    ),
  ];
  for (const { title, tasks, tasksLeftOut, curves } of taskMeans(claimed.rows)) {
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
  failures: readonly Row[] = [],
): string {
  const lengths = [
    ...new Set([
      ...curves.flatMap(({ points }) => points.map(({ length }) => length)),
      ...failures.map(({ length }) => length),
    ]),
  ].sort((a, b) => a - b);
  const without = new Set(failures.map(({ model }) => model))
    .difference(new Set(curves.map(({ model }) => model)));
  const all: readonly Curve[] = [
    ...curves,
    ...[...without].map((model) => ({ model, points: [] })),
  ];
  const cells = all.map(({ model, points }) => [
    model,
    ...lengths.map((length) => {
      const point = points.find((candidate) => candidate.length === length);
      if (point === undefined) {
        const failed = failures.some((row) => row.model === model && row.length === length);
        return failed ? "failed" : "";
      }
      return withInterval(point, format);
    }),
  ]);
  return `${title}\n${folded([["", ...lengths.map(String)], ...cells])}`;
}

/** How wide a table may be before its columns go on below. */
const WIDTH = 100;

/** Rows of text in columns, as many beside each other as fit, the first column before each part. */
function folded(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => 2 + Math.max(...rows.map((row) => row[column].length)));
  const parts: number[][] = [];
  let left = 0;
  for (const [column, width] of widths.entries()) {
    if (column === 0) continue;
    if (parts.length === 0 || width > left) {
      parts.push([]);
      left = WIDTH - widths[0];
    }
    parts.at(-1)!.push(column);
    left -= width;
  }
  return parts.map((columns) => aligned(rows.map((row) => [0, ...columns].map((at) => row[at]))))
    .join("\n\n");
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
