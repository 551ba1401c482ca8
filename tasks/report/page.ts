import type { Row } from "../sweep/rows.ts";
import { figures, switchBoard, type Switches } from "./figures.ts";
import { findingText, judgeFinding } from "./finding.ts";
import { formText } from "./forms.ts";
import { escape, listOf } from "./html.ts";
import { describeEffects, describeFailures, type Evidence, weigh } from "./learning.ts";
import { taskMeans } from "./mean.ts";
import { longTable, originText, sourceText } from "./origin.ts";
import { FEWEST_POINTS, FITTED_POINTS } from "./pictures/cost.ts";
import { heatKey } from "./pictures/heat.ts";
import type { Picture, Section } from "./pictures/picture.ts";
import { publishedText } from "./published.ts";
import type { Results } from "./runs.ts";
import { SAMPLES_PAGE } from "./samples_page.ts";
import { shareShapes } from "./share.ts";
import { STYLE } from "./style.ts";
import { failureTable, runTable } from "./tables.ts";
import { looks, THEME } from "./theme.ts";
import { headline, incompleteLines, meansText, muted, readingText, warnings } from "./words.ts";
import { zerosOf, zeroTable } from "./zeros.ts";

/** A part of the page: its pictures, an explanation before them, and what comes behind. */
interface Part {
  readonly name: Section;
  readonly title: string;
  readonly before?: string;
  readonly behind?: string;
}

/** The most bytes of a page. */
const LARGEST = 1_000_000;

/** What a page that is too large has as links first: pictures of one model, then those read least. */
const LINKED_FIRST: readonly Section[] = [
  ...["depth", "formats", "cost", "state", "distance", "matched", "perplexity", "memory"] as const,
  ...["accuracy", "published", "mean"] as const,
];

/**
 * The report as one page that needs nothing from anywhere. Where it would be larger than a megabyte,
 * pictures are links to their files: its maps, then its costs, and so on.
 *
 * @param files The kinds of files that the pictures have beside it.
 * @param linkOf How the page links a run's CSV.
 */
export function makePage(
  results: Results,
  pictures: readonly Picture[],
  files: readonly string[] = ["svg"],
  linkOf: (csv: string) => string = (csv) => csv,
): string {
  const sections = LINKED_FIRST.filter((name) => pictures.some(({ section }) => section === name));
  for (let count = 0;; count++) {
    const linked = sections.slice(0, count);
    const page = shareShapes(layPage(results, pictures, { files, linkOf, linked }));
    if (count >= sections.length || new TextEncoder().encode(page).length <= LARGEST) return page;
  }
}

/** How a page is laid out. */
interface Layout extends Pick<Switches, "files" | "linked"> {
  readonly linkOf: (csv: string) => string;
}

function layPage(
  results: Results,
  pictures: readonly Picture[],
  { linkOf, ...how }: Layout,
): string {
  const { runs, models, failures } = results;
  const look = looks(models);
  const zeros = zerosOf(results);
  const long = longTable(results);
  const hasSamples = [...results.samples.values()].some(({ size }) => size > 0);
  const evidence = weigh(results);
  const { learning } = evidence;
  const switches: Switches = {
    ...how,
    pictures: pictures.length,
    models: look,
    tasks: new Map(
      [...new Set(pictures.flatMap(({ task }) => task ?? []))].map((task, i) => [task, `t${i}`]),
    ),
  };
  const board = switchBoard(switches);
  const sections = partsOf(results, evidence, pictures).map((part) => ({
    ...part,
    shown: pictures.filter((picture) => picture.section === part.name),
  })).filter(({ name, shown, behind }) =>
    shown.length > 0 || behind || (name === "accuracy" && learning.length > 0)
  );
  const title = `${listOf(runs)} · Lengthwise`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<style>${THEME}${STYLE}${board.rules}</style>
</head>
<body>
<main>
${board.inputs}
<header>
<h1>${escape(headline(results))}</h1>
<p class="muted">${runs.length === 1 ? "Sweep" : "Sweeps"} ${
    escape(listOf(runs.map((run) => `“${run}”`)))
  }</p>
<div class="muted">${originText(results, linkOf)}</div>
${warnings(results, learning)}
${incompleteNote(results)}
${failedNote(failures)}
<nav>${
    [
      ...sections.map(({ name, title }) => [name, title]),
      ...(zeros.length > 0 ? [["zeros", "Where accuracy is 0"]] : []),
      ...(failures.length > 0 ? [["failed", "Without a result"]] : []),
      ["run", "What was run"],
      ...(long === "" ? [] : [["long", "What took long"]]),
    ]
      .map(([name, title]) => `<a href="#section-${name}">${title}</a>`).join("")
  }${hasSamples ? `<a href="${SAMPLES_PAGE}">Samples and replies</a>` : ""}</nav>
</header>
${board.menu}
${claims(results)}
${
    sections.map(({ name, title, before = "", behind = "", shown }) =>
      `<section id="section-${name}"><h2>${title}</h2>${before}${
        figures(shown, switches)
      }${behind}</section>`
    ).join("\n")
  }
${
    zeros.length === 0 ? "" : `<section id="section-zeros"><h2>Where accuracy is 0</h2>
${zeroTable(zeros)}
${hasSamples ? `<p><a href="${SAMPLES_PAGE}">The replies themselves</a></p>` : ""}</section>`
  }
${failed(failures)}
<section id="section-run"><h2>What was run</h2>
${runTable(results, look)}
${sourceText(results)}
</section>
${
    long === "" ? "" : `<section id="section-long"><h2>What took long</h2>
${long}</section>`
  }
<section><h2>How to read it</h2>
${readingText(results.rows)}
</section>
</main>
</body>
</html>
`;
}

/** The claims that runs are of, each with its verdict. */
function claims({ runs, models, rows }: Results): string {
  return runs.flatMap((run) => {
    const names = new Map(
      models.filter((model) => model.run === run).map(({ model, name }) => [model, name]),
    );
    const own = rows.filter(({ model }) => names.has(model))
      .map((row) => ({ ...row, model: names.get(row.model)! }));
    const judged = judgeFinding(run, own);
    return judged === undefined ? [] : [findingText(judged)];
  }).join("\n");
}

/** The parts of the page, a picture being what comes first. */
function partsOf(
  results: Results,
  evidence: Evidence,
  pictures: readonly Picture[],
): readonly Part[] {
  const { models, rows } = results;
  const look = looks(models);
  const means = taskMeans(evidence.claimed.rows);
  const drawn = pictures.some(({ section }) => section === "mean");
  const published: Part = {
    name: "published",
    title: "Beside the published figures",
    behind: publishedText(results, look),
  };
  const mean: Part = {
    name: "mean",
    title: drawn ? "Mean over tasks" : "Accuracy in numbers",
    behind: meansText(means, models, look),
  };
  const accuracy: Part = {
    name: "accuracy",
    title: "Accuracy by task",
    before: muted(
      "The share of answers that are right. Dashed grey lines are chance, where that is more than 0, what a guesser scores who knows which answers stand in the sequence, and what a model scores that answers rightly as far back as it was trained, and guesses beyond. A finely dashed one in a model’s colour is its window law: what a perfect model scores that sees only as many last tokens.",
    ) + unlearned(evidence, pictures),
  };
  return [
    ...(drawn ? [mean, published, accuracy] : [published, accuracy, mean]),
    {
      name: "distance",
      title: "Accuracy by distance",
      before: muted(
        "Of tasks that ask several questions per sample, by how many tokens back the answer stood. Their accuracy above is a mean that mixes near and far.",
      ),
    },
    {
      name: "state",
      title: "Recall and the size of the state",
      before: muted(
        "What is remembered, against the bytes that it is remembered in. One picture compares all models at one task, load and length, where their accuracies lie farthest apart unless another was chosen; in the other a curve is a model and a point per length.",
      ),
    },
    {
      name: "formats",
      title: "Formats",
      before: muted(
        "Needles by what they lie in (repeated noise, essays, other needles) and by what their keys and values are, at each length and depth.",
      ) + key(),
    },
    {
      name: "depth",
      title: "Depth and length",
      before: muted(
        "Accuracy by where the needle lies: 0% is the beginning of the sequence, 100% right before the question. Where depths were not fixed, samples are sorted into bands.",
      ) + key(),
    },
    {
      name: "matched",
      title: "By mixer and by share of attention",
      before: muted(
        "Models that share their size, their data and their tokens. A picture holds the mixer and shows the ratios of its layers to those of attention, or holds the ratio and shows the mixers.",
      ),
    },
    {
      name: "forms",
      title: "What fewer bits cost, by length",
      behind: formText(rows),
    },
    {
      name: "memory",
      title: "Memory without a prompt",
      before: muted(
        "The forgetting curve is the accuracy of copying a stretch of text, token by token with the true ones before it, less that of predicting the same stretch behind other text: 0 where nothing is remembered. What is copied stood half the length back. The gain of a long context is by how many nats a token is likelier behind all that stood before it than behind a short context; key tokens are those that it makes much likelier. Where a model says itself which they are, their perplexity compares little between models.",
      ),
    },
    {
      name: "perplexity",
      title: "Perplexity",
      before: muted("exp of the mean negative log-likelihood of the next token: lower is better."),
    },
    {
      name: "cost",
      title: "Time and memory",
      before: muted(
        `On logarithmic axes. ${exponentsIn(rows)}Times are the least of a length’s cells, on ${
          escape(listOf(adapters(rows)))
        }.`,
      ),
    },
  ];
}

/** How exponents are fitted; empty where there are too few lengths. */
function exponentsIn(rows: readonly Row[]): string {
  const most = [...Map.groupBy(rows, ({ model }) => model).values()]
    .map((ofModel) => new Set(ofModel.map(({ length }) => length)).size)
    .reduce((a, b) => Math.max(a, b), 0);
  if (most < FEWEST_POINTS) return "";
  const fitted = most > FITTED_POINTS ? `the ${FITTED_POINTS} longest` : "all";
  return `The exponents are fitted over ${fitted} lengths: L^1 is linear, L^0 does not grow. `;
}

/** Tasks that no model learned get a sentence in place of a picture. */
function unlearned({ learning, effects }: Evidence, pictures: readonly Picture[]): string {
  const drawn = new Set(
    pictures.filter(({ section }) => section === "accuracy").map(({ title }) => title),
  );
  return [...Map.groupBy(learning, ({ task }) => task)].filter(([task]) => !drawn.has(task))
    .map(([task, ofTask]) =>
      `<p class="note"><b>${escape(task)}</b>: ${
        escape(
          [
            ...describeFailures(ofTask),
            ...describeEffects(effects.filter((effect) => effect.task === task)),
          ].join(" "),
        )
      }</p>`
    ).join("");
}

function key(): string {
  return `<div class="key">${heatKey()}</div>`;
}

/** That runs were not finished when the report was made. */
function incompleteNote({ origins }: Results): string {
  return incompleteLines(origins).map((line) => `<p class="note">${escape(line)}</p>`).join("");
}

/** That cells failed: what is missing here was not 0. */
function failedNote(failures: readonly Row[]): string {
  if (failures.length === 0) return "";
  const cells = failures.reduce((sum, { value }) => sum + value, 0);
  return `<p class="note">${cells} ${
    cells === 1 ? "cell was" : "cells were"
  } tried and failed (<a href="#section-failed">which, and why</a>). They are missing in every picture and mean, and count as nothing, not as 0; <code>--resume</code> tries them again.</p>`;
}

/** Which cells failed, and why. */
function failed(failures: readonly Row[]): string {
  return failures.length === 0 ? "" : `<section id="section-failed"><h2>Without a result</h2>
${failureTable(failures)}
</section>`;
}

function adapters(rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ adapter }) => adapter))];
}
