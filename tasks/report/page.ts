import { EFFECTIVE } from "../generators/ruler/names.ts";
import type { Row } from "../sweep/rows.ts";
import { groupBy } from "./curves.ts";
import { escape, listOf } from "./html.ts";
import { type TaskMean, taskMeans } from "./mean.ts";
import { FITTED_POINTS } from "./pictures/cost.ts";
import { heatKey } from "./pictures/heat.ts";
import type { Picture, Section } from "./pictures/picture.ts";
import type { ReportModel, Results } from "./runs.ts";
import { STYLE } from "./style.ts";
import { failureTable, meanTable, runTable } from "./tables.ts";
import { type Look, looks, THEME, tokens } from "./theme.ts";

/** The report as one page that needs nothing from anywhere. */
export function makePage(results: Results, pictures: readonly Picture[]): string {
  const { runs, models, rows, failures } = results;
  const look = looks(models);
  const means = taskMeans(rows);
  const only = means.length === 1 && means[0].tasks.length === 1;
  const parts: readonly (readonly [name: Section, title: string, introduction: string])[] = [
    ["mean", only ? "Accuracy" : "Mean over tasks", meansText(means, models, look)],
    [
      "state",
      "Recall and the size of the state",
      muted(
        "What is remembered, against the bytes that it is remembered in. One picture compares all models at one task, load and length, where their accuracies lie farthest apart unless another was chosen; in the other a curve is a model and a point a length.",
      ),
    ],
    [
      "accuracy",
      "Accuracy by task",
      muted(
        "The share of answers that are right. A dashed grey line is chance, where that is more than 0; a finely dashed one in a model’s colour is its window law: what a perfect model scores that sees only as many last tokens.",
      ),
    ],
    [
      "formats",
      "Formats",
      muted(
        "Needles by what they lie in (repeated noise, essays, other needles) and by what their keys and values are, at each length and depth.",
      ) + key(),
    ],
    [
      "depth",
      "Depth and length",
      muted(
        "Accuracy by where the needle lies: 0% is the beginning of the sequence, 100% right before the question. Where depths were not fixed, samples are sorted into bands.",
      ) + key(),
    ],
    [
      "perplexity",
      "Perplexity",
      muted("exp of the mean negative log-likelihood of the next token: lower is better."),
    ],
    [
      "cost",
      "Time and memory",
      muted(
        `On logarithmic axes. The exponents are fitted over the ${FITTED_POINTS} longest lengths: L^1 is linear, L^0 does not grow. Times are the least of a length’s cells, on ${
          escape(listOf(different(rows, "adapter")))
        }.`,
      ),
    ],
  ];
  const sections = parts.map(([name, title, introduction]) => ({
    name,
    title,
    introduction,
    shown: pictures.filter((picture) => picture.section === name),
  })).filter(({ name, shown }) => shown.length > 0 || (name === "mean" && means.length > 0));
  const title = `${listOf(runs)} · Lengthwise`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<style>${THEME}${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(headline(results))}</h1>
<p class="muted">${runs.length === 1 ? "Sweep" : "Sweeps"} ${
    escape(listOf(runs.map((run) => `“${run}”`)))
  }, Lengthwise ${escape(listOf(different(rows, "version")))}, on ${
    escape(listOf(different(rows, "adapter")))
  }</p>
${warning(rows)}
${failed(failures)}
<nav>${
    [
      ...(failures.length > 0 ? [["failed", "Without a result"]] : []),
      ...sections.map(({ name, title }) => [name, title]),
      ["run", "What was run"],
    ]
      .map(([name, title]) => `<a href="#section-${name}">${title}</a>`).join("")
  }</nav>
${
    sections.map(({ name, title, introduction, shown }) =>
      `<section id="section-${name}"><h2>${title}</h2>${introduction}${figures(shown)}</section>`
    ).join("\n")
  }
<section id="section-run"><h2>What was run</h2>
${runTable(results, look)}
</section>
<section><h2>How to read it</h2>
<p>Shaded bands, bars and ranges in small print are 95% intervals. Those of accuracies are Wilson’s, over as many independent answers as the samples amount to: answers within one sample go together and count for less. A point pools all seeds and depths of its length; in a mean over tasks, the tasks’ intervals add in squares. ${
    results.rows.some((row) => row.training_seeds !== undefined)
      ? "Where models are means over training seeds, the intervals speak of training again, with another seed; elsewhere of the test samples alone."
      : "The intervals speak of the test samples, not of training again: another seed of the same training can give another model."
  }</p>
<p>A vertical dotted line is the training length: what lies right of it was never seen in training. It has a model’s colour where that model alone was trained at it.</p>
</section>
</main>
</body>
</html>
`;
}

function muted(text: string): string {
  return `<p class="muted">${text}</p>`;
}

function key(): string {
  return `<div class="key">${heatKey()}</div>`;
}

/** Pictures, under the headings of their groups. */
function figures(pictures: readonly Picture[]): string {
  return [...groupBy(pictures, ({ group }) => group?.heading)].map(([heading, group]) =>
    `${heading === undefined ? "" : `<h3>${escape(heading)}</h3>`}<div class="pictures">${
      group.map(figure).join("\n")
    }</div>`
  ).join("\n");
}

function figure({ name, title, group, svg, wide }: Picture): string {
  return `<figure id="${name}"${wide ? ' class="wide"' : ""}><figcaption>${
    escape(group?.caption ?? title)
  }<a href="${name}.svg" download>SVG</a></figcaption>${
    wide ? `<div class="scroll" tabindex="0">${svg}</div>` : svg
  }</figure>`;
}

/** That cells failed, and which: what is missing here was not 0. */
function failed(failures: readonly Row[]): string {
  if (failures.length === 0) return "";
  const cells = failures.reduce((sum, { value }) => sum + value, 0);
  return `<section id="section-failed"><h2>Without a result</h2><p class="note">${cells} ${
    cells === 1 ? "cell was" : "cells were"
  } tried and failed. They are missing in every picture and mean, and count as nothing, not as 0; <code>--resume</code> tries them again.</p>
${failureTable(failures)}
</section>`;
}

function headline({ models, rows }: Results): string {
  if (rows.length === 0) return "No results";
  const count = new Set(models.map(({ name }) => name)).size;
  const lengths = rows.map(({ length }) => length);
  const low = lengths.reduce((least, length) => Math.min(least, length));
  const high = lengths.reduce((most, length) => Math.max(most, length));
  return `${count} ${count === 1 ? "model" : "models"}, ${
    low === high ? tokens(low) : `from ${tokens(low)} to ${tokens(high)}`
  } tokens`;
}

/** Each mean as a table, with what is in it and what is not. */
function meansText(
  means: readonly TaskMean[],
  models: readonly ReportModel[],
  look: ReadonlyMap<string, Look>,
): string {
  if (means.length === 0) return "";
  const modelOf = new Map(models.map((model) => [model.model, model]));
  return means.map((mean) => {
    const { title, tasks, tasksLeftOut, curves } = mean;
    const inIt = curves.map(({ model }) => modelOf.get(model)!);
    // That another run of a model in it asked for something else goes without saying.
    const leftOut = mean.leftOut.filter((model) =>
      !inIt.some(({ name, run }) =>
        name === modelOf.get(model)!.name && run !== modelOf.get(model)!.run
      )
    );
    const of = tasks.length === 1
      ? `Accuracy on ${escape(title)}.`
      : `Mean accuracy over ${escape(title)}, each counting the same: ${escape(listOf(tasks))}.`;
    const others = tasksLeftOut.length === 0
      ? ""
      : ` Not every model here was asked ${
        escape(listOf(tasksLeftOut))
      }: what is not shared is not in the mean.`;
    const missing = leftOut.length === 0
      ? ""
      : ` ${escape(listOf(leftOut))} ${leftOut.length === 1 ? "was" : "were"} not asked all of ${
        tasks.length === 1 ? "it" : "them"
      } and ${leftOut.length === 1 ? "has" : "have"} no comparable mean.`;
    return `<p>${of}${others}${missing}</p>${meanTable(mean, look)}`;
  }).join("\n") + muted(
    `The effective length is RULER’s: the longest length with at least ${EFFECTIVE} (printed bold)${
      means.some(({ name }) => name === "ruler") ? "" : ", a bar that was set for RULER’s 13 tasks"
    }. “Unbroken up to” is the longest that has it together with all shorter lengths that were asked, “certain at” the longest whose whole interval has it. “≥” says that no longer one was asked.`,
  );
}

function warning(rows: readonly Row[]): string {
  if (rows.length === 0) return "";
  const seeds = new Set(rows.map(({ seed }) => seed)).size;
  const trained = Math.min(...new Set(rows.map((row) => row.training_seeds ?? 0)));
  return seeds >= 3 || trained >= 3
    ? ""
    : trained > 0
    ? `<p class="note">Some models were trained with fewer than three seeds: train more before you call a difference a finding.</p>`
    : `<p class="note">Only ${seeds} ${
      seeds === 1 ? "seed" : "seeds"
    } of samples: take three or more before you call a difference a finding.</p>`;
}

function different(rows: readonly Row[], column: "adapter" | "version"): string[] {
  return [...new Set(rows.map((row) => row[column]))];
}
