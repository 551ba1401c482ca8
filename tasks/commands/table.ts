import { type Curve, curvesOf, type Panel, panels } from "../report/curves.ts";
import { describeEffects, describeFailures, weigh } from "../report/learning.ts";
import { taskMeans } from "../report/mean.ts";
import { joinRuns, type Run } from "../report/runs.ts";
import { withInterval } from "../report/theme.ts";
import type { Row } from "../sweep/rows.ts";
import { isMainMetric } from "../task.ts";

/**
 * A sweep's results as text: model × length for each task, and the mean over tasks.
 *
 * @param width Columns of the screen, past which a table continues below; a file has no end.
 * @param traits What the models are besides, where that is known.
 */
export function resultsTable(
  results: readonly Row[],
  width: number = Infinity,
  traits: Run["traits"] = new Map(),
): string {
  const joined = joinRuns([{ name: "", rows: results, traits }]);
  const { rows, failures } = joined;
  const { learning, effects, claimed } = weigh(joined);
  const failedIn = ({ task, load }: Panel): readonly Row[] =>
    failures.filter((row) => row.task === task && (load === undefined || row.load === load));
  const blocks = [
    ...panels(rows, "accuracy").map((panel) =>
      [
        block(
          `${panel.title}: accuracy${chanceOf(panel.rows)}`,
          curvesOf(panel.rows, "accuracy"),
          { format: accuracy, width, failures: failedIn(panel) },
        ),
        ...describeFailures(learning.filter(({ task }) => task === panel.title)),
        ...describeEffects(effects.filter(({ task }) => task === panel.title)),
      ].join("\n")
    ),
    ...OTHERS.flatMap(([metric, format]) =>
      panels(rows, metric).map((panel) =>
        block(
          `${panel.title}: ${metric.replaceAll("_", " ")}`,
          curvesOf(panel.rows, metric),
          { format, width, failures: isMainMetric(metric) ? failedIn(panel) : [] },
        )
      )
    ),
  ];
  for (const { title, tasks, tasksLeftOut, curves } of taskMeans(claimed.rows)) {
    const which = tasksLeftOut.length === 0 ? "" : ` (${tasks.join(", ")})`;
    if (tasks.length > 1) {
      blocks.push(block(`mean of ${title}${which}: accuracy`, curves, { format: accuracy, width }));
    }
  }
  return blocks.join("\n\n");
}

/** What is shown behind accuracies, and how a value is written. */
const OTHERS: readonly (readonly [metric: string, format: (value: number) => string])[] = [
  ["perplexity", threeDigits],
  ["forgetting_curve", accuracy],
  ["context_gain", threeDigits],
  ["long_perplexity", threeDigits],
];

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

/** How a block of the table is written. */
interface BlockOptions {
  readonly format: (value: number) => string;
  readonly width: number;
  readonly failures?: readonly Row[];
}

function block(
  title: string,
  curves: readonly Curve[],
  { format, width, failures = [] }: BlockOptions,
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
  return `${title}\n${folded([["", ...lengths.map(String)], ...cells], width)}`;
}

/** Rows of text in columns, as many beside each other as fit, the first column before each part. */
function folded(rows: readonly (readonly string[])[], width: number): string {
  const widths = rows[0].map((_, column) => 2 + Math.max(...rows.map((row) => row[column].length)));
  const parts: number[][] = [];
  let left = 0;
  for (const [column, taken] of widths.entries()) {
    if (column === 0) continue;
    if (parts.length === 0 || taken > left) {
      parts.push([]);
      left = width - widths[0];
    }
    parts.at(-1)!.push(column);
    left -= taken;
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
