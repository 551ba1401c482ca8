import type { SampleRecord } from "../sweep/samples.ts";
import { visibleText } from "../names.ts";
import { escape, listOf } from "./html.ts";
import type { Results } from "./runs.ts";
import type { SampleDigest } from "./samples.ts";
import { THEME, tokens } from "./theme.ts";

/** The page's file. */
export const SAMPLES_PAGE = "samples.html";

/** Characters of a prompt's end, of what surrounds its answer, and of a reply, that are shown. */
const PROMPT_END = 240;
const AROUND = 60;
const REPLY = 600;

const STYLE = `
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.5rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.1rem;margin:28px 0 4px}
a{color:var(--series-0)}
.muted,dt{color:var(--muted)}
summary{cursor:pointer;padding:4px 0}
details{border-bottom:1px solid var(--grid)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 12px;margin:8px 0 16px;padding:8px 12px;background:var(--panel)}
dd{margin:0;min-width:0;white-space:pre-wrap;overflow-wrap:anywhere}
dt{font-size:.85rem}
mark{background:var(--series-4);color:var(--paper);padding:0 2px;border-radius:2px}
@media (max-width:600px){dl{grid-template-columns:1fr}dt{margin-top:6px}}
`;

/**
 * The best and the worst few samples of each model, task and length as a page that needs nothing from
 * anywhere; undefined where no samples were logged.
 */
export function makeSamplesPage({ runs, samples }: Results): string | undefined {
  const digests = runs.flatMap((run) =>
    [...samples.get(run)?.values() ?? []].map((digest) => ({ run, digest }))
  );
  if (digests.length === 0) return undefined;
  const count = digests.reduce((sum, { digest }) => sum + digest.samples, 0);
  const sections = [
    ...Map.groupBy(
      digests,
      ({ digest: { task, template } }) => template === undefined ? task : `${task} (${template})`,
    ),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Samples · ${escape(listOf(runs))} · Lengthwise</title>
<style>${THEME}${STYLE}</style>
</head>
<body>
<main>
<h1>What was asked, and what was answered</h1>
<p class="muted">The best and the worst few of ${
    count.toLocaleString("en")
  } samples, by task, model and length. All of them are in samples.jsonl. <a href="report.html">Back to the report</a></p>
${
    sections.map(([title, group]) =>
      `<section><h2>${escape(title)}</h2>${
        group.map(({ run, digest }) => details(digest, runs.length > 1 ? run : undefined))
          .join("\n")
      }</section>`
    ).join("\n")
  }
</main>
</body>
</html>
`;
}

function details(digest: SampleDigest, run: string | undefined): string {
  const { model, length, load, samples, total, best, worst } = digest;
  const isLoss = best[0].outputs.length === 0;
  const where = [
    model,
    ...(run === undefined ? [] : [run]),
    `${tokens(length)} tokens`,
    ...(load === undefined ? [] : [`load ${load}`]),
  ].join(", ");
  const mean = (total / samples).toFixed(2);
  const score = isLoss ? `mean perplexity ${mean}` : `accuracy ${mean}`;
  return `<details><summary>${escape(where)}: ${score} over ${samples} samples</summary>${
    best.map((record) => sample(record, "best")).join("")
  }${worst.map((record) => sample(record, "worst")).join("")}</details>`;
}

function sample(record: SampleRecord, which: "best" | "worst"): string {
  const { cell, index, score, pred, outputs, prompt_tokens, reply_tokens, reply_budget } = record;
  const fields: readonly (readonly [string, string])[] = [
    [
      which,
      `${outputs.length === 0 ? "perplexity" : "score"} ${
        Number(score.toPrecision(3))
      }, seed ${cell.seed}, sample ${index}`,
    ],
    ...(outputs.length === 0 ? [] : [
      [
        "reply",
        pred.trim() === ""
          ? '<span class="muted">empty</span>'
          : marked(cut(pred, REPLY), reply_budget === undefined ? [] : outputs),
      ] as const,
      ["due", escape(cut(outputs.join(reply_budget === undefined ? " " : "\n"), REPLY))] as const,
    ]),
    ...(reply_tokens === undefined
      ? []
      : [["length of the reply", `${reply_tokens} of at most ${reply_budget} tokens`] as const]),
    ...place(record),
    [
      `end of the prompt, of ${prompt_tokens.toLocaleString("en")} tokens`,
      escape(visibleText(record.input.slice(-PROMPT_END).toWellFormed())),
    ],
  ];
  return `<dl>${fields.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join("")}</dl>`;
}

/** Where the answer stood, and what stands there. */
function place(
  { evidence, asked, prompt_tokens, outputs, input, reached }: SampleRecord,
): (readonly [
  string,
  string,
])[] {
  const fields: [string, string][] = [];
  if (evidence !== undefined && evidence.length > 0) {
    const shown = evidence.slice(0, 8);
    const back = shown.map((position, i) => (asked?.[i] ?? prompt_tokens) - position);
    const more = evidence.length > shown.length ? ", …" : "";
    fields.push(["tokens back to the answer", back.join(", ") + more]);
  }
  if (reached !== undefined) {
    fields.push(["of it within the attention’s reach", `${Math.round(100 * reached)}%`]);
  }
  const [due] = outputs;
  const at = asked === undefined && due !== undefined
    ? input.toLowerCase().indexOf(due.toLowerCase())
    : -1;
  if (at >= 0) {
    const around = input.slice(Math.max(0, at - AROUND), at + due.length + AROUND).toWellFormed();
    fields.push(["where it stands", `…${marked(around, [due])}…`]);
  }
  return fields;
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most).toWellFormed()}…`;
}

/** A text with what is due in it marked. */
function marked(text: string, due: readonly string[]): string {
  const shown = visibleText(text);
  const parts = due.filter((part) => part !== "").map((part) => RegExp.escape(part));
  if (parts.length === 0) return escape(shown);
  // What stands in the brackets is every second part.
  return shown.split(new RegExp(`(${parts.join("|")})`, "i"))
    .map((part, i) => i % 2 === 0 ? escape(part) : `<mark>${escape(part)}</mark>`).join("");
}
