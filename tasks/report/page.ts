import type { Row } from "../sweep/rows.ts";
import { curvesOf, groupBy, modelsOf, panels, taskMean } from "./curves.ts";
import type { Picture } from "./pictures.ts";
import { looks, THEME, tokens } from "./theme.ts";

/** RULER's bar: a model holds a length while its mean is above it (Hsieh et al. 2024, section 4). */
const EFFECTIVE = 0.856;

const STYLE = `
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.2rem;margin:40px 0 4px}
p{max-width:70ch;margin:4px 0 12px}
.muted{color:var(--muted)}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:28px 24px;margin-top:12px}
figure{margin:0;min-width:0}
figcaption{font-weight:600;margin-bottom:6px}
figcaption a{color:var(--muted);font-weight:400;font-size:.8rem;margin-left:6px}
figure svg{display:block;width:100%;height:auto;font-family:system-ui,sans-serif}
.scroll{overflow-x:auto;margin:12px 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;min-width:100%}
th,td{padding:6px 12px 6px 0;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
th{font-weight:600;color:var(--muted)}
th:first-child,td:first-child,.text{text-align:left}
.chip{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:7px}
.strong{font-weight:650}
.note{background:var(--panel);border-left:3px solid var(--series-1);padding:8px 12px;max-width:70ch}
`;

/** Options of {@linkcode makePage}. */
export interface PageOptions {
  /** The sweep's name. */
  readonly title: string;
}

/** The report as one page that needs nothing from anywhere. */
export function makePage(
  rows: readonly Row[],
  pictures: readonly Picture[],
  { title }: PageOptions,
): string {
  const sections = [
    section("Mean over tasks", meanText(rows), pictures.filter(inSection("mean"))),
    section(
      "Accuracy by task",
      "The share of answers that are right. A dashed grey line is chance; a finely dashed one in a model’s colour is its window law: what a perfect model scores that sees only as many last tokens.",
      pictures.filter(inSection("accuracy")),
    ),
    section(
      "Perplexity",
      "exp of the mean negative log-likelihood of the next token: lower is better.",
      pictures.filter(inSection("perplexity")),
    ),
    section(
      "Depth and length",
      "Accuracy by where the needle lies: 0% is the beginning of the sequence, 100% right before the question.",
      pictures.filter(inSection("depth")),
    ),
    section(
      "Time and memory",
      `On logarithmic axes. The exponents are fitted over the four longest lengths: L^1 is linear, L^0 does not grow. Times are the least of a length’s cells, on ${
        adapters(rows).join(" and ")
      }.`,
      pictures.filter(inSection("cost")),
    ),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)} · Lengthwise</title>
<style>${THEME}${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(headline(rows))}</h1>
<p class="muted">Sweep “${escape(title)}”, Lengthwise ${escape(versions(rows))}, on ${
    escape(adapters(rows).join(" and "))
  }</p>
${warning(rows)}
${summaryTable(rows)}
${sections.join("\n")}
<h2>What was run</h2>
${runTable(rows)}
<h2>How to read it</h2>
<p>Shaded bands and “±” are 95% intervals. Those of accuracies are Wilson’s, over as many independent answers as the samples amount to: answers within one sample go together and count for less. A point pools all seeds and depths of its length. The intervals speak of the test samples, not of training again: another seed of the same training can give another model.</p>
<p>A vertical dotted line is the training length: what lies right of it was never seen in training.</p>
</main>
</body>
</html>
`;
}

function inSection(name: Picture["section"]): (picture: Picture) => boolean {
  return ({ section }) => section === name;
}

function section(title: string, text: string, pictures: readonly Picture[]): string {
  if (pictures.length === 0) return "";
  const figures = pictures.map(({ name, title, svg }) =>
    `<figure id="${name}"><figcaption>${
      escape(title)
    }<a href="${name}.svg" download>SVG</a></figcaption>${svg}</figure>`
  );
  return `<section><h2>${title}</h2><p class="muted">${text}</p><div class="pictures">${
    figures.join("\n")
  }</div></section>`;
}

function headline(rows: readonly Row[]): string {
  const models = modelsOf(rows).length;
  const lengths = rows.map(({ length }) => length);
  const [low, high] = [Math.min(...lengths), Math.max(...lengths)];
  return `${models} ${models === 1 ? "model" : "models"}, ${
    low === high ? tokens(low) : `from ${tokens(low)} to ${tokens(high)}`
  } tokens`;
}

function meanText(rows: readonly Row[]): string {
  const { tasks, leftOut } = taskMean(rows);
  return `Over ${
    tasks.map(escape).join(", ")
  }, each task counting the same; against the size of the state, a point is a length.${
    leftOut.length === 0
      ? ""
      : ` ${leftOut.map(escape).join(", ")} ${
        leftOut.length === 1 ? "was" : "were"
      } not asked all of them and ${leftOut.length === 1 ? "has" : "have"} no comparable mean.`
  }`;
}

function warning(rows: readonly Row[]): string {
  const seeds = new Set(rows.map(({ seed }) => seed)).size;
  return seeds >= 3
    ? ""
    : `<p class="note">Only ${seeds} ${
      seeds === 1 ? "seed" : "seeds"
    } of samples: take three or more before you call a difference a finding.</p>`;
}

/** Each model's accuracy by length: in the mean where it has one, else in its own tasks. */
function summaryTable(rows: readonly Row[]): string {
  const tasks = panels(rows, "accuracy");
  if (tasks.length === 0) return "";
  const mean = taskMean(rows);
  const single = tasks.length === 1;
  const curves = single ? curvesOf(tasks[0].rows, "accuracy") : mean.curves;
  if (curves.length === 0) return "";
  const lengths = [...new Set(curves.flatMap(({ points }) => points.map(({ length }) => length)))]
    .sort((a, b) => a - b);
  const look = looks(modelsOf(rows));
  const body = curves.map(({ model, points }) => {
    const effective = points.findIndex(({ value }) => value < EFFECTIVE);
    const held = effective < 0 ? points.at(-1) : points[effective - 1];
    return `<tr><td><span class="chip" style="background:${look.get(model)!.colour}"></span>${
      escape(model)
    }</td>${
      lengths.map((length) => {
        const point = points.find((candidate) => candidate.length === length);
        return `<td${point && point.value >= EFFECTIVE ? ' class="strong"' : ""}>${
          point === undefined ? "" : point.value.toFixed(2)
        }</td>`;
      }).join("")
    }<td>${
      held === undefined ? "none" : `${effective < 0 ? "≥ " : ""}${tokens(held.length)}`
    }</td></tr>`;
  });
  return `<p>${
    single ? `Accuracy on ${escape(tasks[0].title)}` : `Mean accuracy over ${tasks.length} tasks`
  } at each length. The effective length is the longest up to which it stays at ${EFFECTIVE} or above, as RULER has it.</p>
<div class="scroll"><table><thead><tr><th>model</th>${
    lengths.map((length) => `<th>${tokens(length)}</th>`).join("")
  }<th>effective</th></tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

function runTable(rows: readonly Row[]): string {
  const look = looks(modelsOf(rows));
  const body = [...groupBy(rows, ({ model }) => model)].map(([model, ofModel]) => {
    const [{ family, parameters, train_length }] = ofModel;
    const cells = new Set(
      ofModel.map(({ task, length, depth, load, seed }) =>
        [task, length, depth, load, seed].join(" ")
      ),
    );
    const samples = [...new Set(ofModel.map((row) => row.samples))].join(", ");
    return `<tr><td><span class="chip" style="background:${look.get(model)!.colour}"></span>${
      escape(model)
    }</td><td class="text">${escape(family)}</td><td>${parameters.toLocaleString("en")}</td><td>${
      tokens(train_length)
    }</td><td class="text">${escape(listed(ofModel, "task"))}</td><td class="text">${
      listed(ofModel, "load")
    }</td><td class="text">${listed(ofModel, "depth")}</td><td class="text">${
      listed(ofModel, "seed")
    }</td><td>${samples}</td><td>${cells.size}</td></tr>`;
  });
  const heads = ["family", "parameters", "trained at", "tasks", "loads", "depths", "seeds"];
  const texts = ["family", "tasks", "loads", "depths", "seeds"];
  return `<div class="scroll"><table><thead><tr><th>model</th>${
    [...heads, "samples a cell", "cells"].map((head) =>
      `<th${texts.includes(head) ? ' class="text"' : ""}>${head}</th>`
    ).join("")
  }</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

function listed(rows: readonly Row[], column: "task" | "load" | "depth" | "seed"): string {
  const values = [
    ...new Set(rows.map((row) => row[column]).filter((value) => value !== undefined)),
  ];
  return values.length === 0 ? "–" : values.join(", ");
}

function adapters(rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ adapter }) => adapter))];
}

function versions(rows: readonly Row[]): string {
  return [...new Set(rows.map(({ version }) => version))].join(" and ");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

function escape(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character]);
}
