import { formatOf } from "../generators/ruler/names.ts";
import {
  HUANG_2025,
  type PublishedFigure,
  type PublishedTables,
} from "../experiments/published/mod.ts";
import { averageEstimates, type Estimate, wilson } from "../statistics.ts";
import type { Row } from "../sweep/rows.ts";
import { groupBy, poolTrainings } from "./curves.ts";
import { escape, table } from "./html.ts";
import type { ReportModel, Results } from "./runs.ts";
import { callNames, type Look, tokens } from "./theme.ts";

/** A published figure beside one's own. */
export interface Comparison {
  /** The published figure. */
  readonly figure: PublishedFigure;
  /** The label of the model that it is compared with. */
  readonly model: string;
  /** What was published, with the interval of as many independent answers. */
  readonly theirs: Estimate;
  /** One's own. */
  readonly ours: Estimate;
  /** One's own less the published one; from a range, how far outside of it. */
  readonly difference: Estimate;
}

/** RULER's single needles by their format. */
const FORMATS: Readonly<Record<string, string>> = {
  niah_noise_word_number: "niah_single_1",
  niah_essay_word_number: "niah_single_2",
  niah_essay_word_uuid: "niah_single_3",
};

/** What a model is recognised by: its checkpoint's name, however the results call it. */
function keyOf({ name, traits }: ReportModel): string {
  return (traits?.checkpoint ?? nameAlone(name)).toLowerCase();
}

/** The last part of a name without changes: of results whose journal does not say what the model is. */
function nameAlone(name: string): string {
  return name.split("+")[0].replace(/[@:][^/]*$/, "").replace(/\/+$/, "").split(/[/\\:]/).at(-1)!;
}

function taskOf(task: string): string {
  return formatOf(task) === undefined ? task : FORMATS[task] ?? task;
}

/**
 * Sets results beside what was published: each figure whose model, tasks, length and depth were asked.
 * A model is recognised by the last part of its checkpoint's name, so that a folder will do.
 */
export function compareWithPublished(
  { models, rows }: Pick<Results, "models" | "rows">,
  { figures }: PublishedTables = HUANG_2025,
): Comparison[] {
  const accuracies = rows.filter(({ metric }) => metric === "accuracy");
  const byModel = groupBy(accuracies, ({ model }) => model);
  return figures.flatMap((figure) =>
    models.filter((each) => keyOf(each) === figure.model.toLowerCase()).flatMap(({ model }) => {
      const ours = ownFigure(byModel.get(model) ?? [], figure);
      if (ours === undefined) return [];
      const theirs = publishedEstimate(figure);
      return [{ figure, model, theirs, ours, difference: differenceOf(ours, figure) }];
    })
  );
}

function ownFigure(
  rows: readonly Row[],
  { tasks, length, depth }: PublishedFigure,
): Estimate | undefined {
  const parts = tasks.map((task) =>
    rows.filter((row) =>
      row.length === length && taskOf(row.task) === taskOf(task) &&
      (depth === undefined || row.depth === depth)
    )
  );
  if (parts.some((part) => part.length === 0)) return undefined;
  return averageEstimates(parts.map(poolTrainings));
}

/** The interval of as many independent answers; of a range, from its lower end's to its upper end's. */
function publishedEstimate({ value, to = value, samples }: PublishedFigure): Estimate {
  return { value, low: wilson(value, samples).low, high: wilson(to, samples).high };
}

/** The ends' distances add in squares (Zou & Donner 2008). */
function differenceOf(
  ours: Estimate,
  { value: from, to = from, samples }: PublishedFigure,
): Estimate {
  const near = wilson(Math.min(Math.max(ours.value, from), to), samples);
  const value = ours.value - near.value;
  return {
    value,
    low: value - Math.hypot(ours.value - ours.low, near.high - near.value),
    high: value + Math.hypot(ours.high - ours.value, near.value - near.low),
  };
}

/** Whether the interval of a difference leaves out 0. */
export function differs({ difference: { low, high } }: Comparison): boolean {
  return low > 0 || high < 0;
}

function inPercent(value: number): string {
  return (100 * value).toFixed(1);
}

function percent({ value, low, high }: Estimate): string {
  return low <= high
    ? `${inPercent(value)} [${inPercent(low)}, ${inPercent(high)}]`
    : inPercent(value);
}

/** The comparison as the report shows it; empty where there is nothing to compare. */
export function publishedText(results: Results, look: ReadonlyMap<string, Look>): string {
  const compared = compareWithPublished(results);
  if (compared.length === 0) return "";
  const names = callNames(results.models.map(({ model }: ReportModel) => model), look);
  const notes = compared.flatMap(({ figure: { table, note } }) =>
    note === undefined ? [] : [`Table ${table}: ${note}`]
  );
  const off = compared.filter(differs).length;
  return `<p>${compared.length} published figures have one of ours beside them; ${
    off === 0 ? "none differs" : off === 1 ? "one differs" : `${off} differ`
  } by more than both intervals allow (printed bold).</p>${
    table(compared, [
      { head: "table", cell: ({ figure }) => escape(figure.table) },
      { head: "model", cell: ({ model }) => escape(names.get(model)!), text: "short" },
      { head: "of", cell: ({ figure }) => escape(figure.title), text: "short" },
      { head: "length", cell: ({ figure }) => tokens(figure.length) },
      {
        head: "depth",
        cell: ({ figure }) =>
          figure.depth === undefined ? "–" : `${Math.round(100 * figure.depth)}%`,
      },
      {
        head: "published, %",
        cell: ({ figure, theirs }) =>
          figure.to === undefined
            ? percent(theirs)
            : `${inPercent(figure.value)} to ${inPercent(figure.to)}`,
      },
      { head: "here, %", cell: ({ ours }) => percent(ours) },
      {
        head: "difference",
        cell: (one) => differs(one) ? `<b>${percent(one.difference)}</b>` : percent(one.difference),
      },
    ])
  }<p class="muted">${
    escape(
      `${HUANG_2025.source}. Published figures come without intervals: theirs are Wilson’s, of as many independent answers as there were samples. A difference’s interval has the ends of both, added in squares. Only figures that are known here are listed. ${
        [...new Set(notes)].join(" ")
      }`,
    )
  }</p>`;
}
