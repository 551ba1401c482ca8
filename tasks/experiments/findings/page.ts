/**
 * Keeps the results of findings in `tasks/experiments/results/`, and writes their page and pictures:
 * `deno run -A tasks/experiments/findings/page.ts results/finding-1 results/finding-4`. Without folders
 * it writes the page of what is there.
 *
 * @module
 */
import { basename, join } from "@std/path";
import { makePictures, standAlone } from "../../report/pictures.ts";
import { type JudgedFinding, judgeFinding } from "../../report/finding.ts";
import { joinRuns } from "../../report/runs.ts";
import { formatRows, parseRows, type Row } from "../../sweep/rows.ts";
import { VARIANTS } from "../../sweep/variants.ts";
import { FINDINGS, type Verdict } from "./mod.ts";

const RESULTS = join(import.meta.dirname!, "../results");
/** What claims and pictures rest on: costs of the machine and bands of depth are left out. */
const KEPT = /^(accuracy|accuracy_at_distance|chance|guess|\w+_law)$/;

const VERDICTS: Readonly<Record<Verdict, string>> = {
  "holds": "Holds",
  "does not hold": "Does not hold",
  "undecided": "Undecided",
};

/** The page's text, and its pictures by the names of their files, of the CSVs in a folder. */
export async function makeResults(
  folder: string,
): Promise<{ readonly page: string; readonly pictures: ReadonlyMap<string, string> }> {
  const pictures = new Map<string, string>();
  const parts: string[] = [];
  for (const { name, picture } of FINDINGS) {
    const path = join(folder, `${name}.csv`);
    const csv = await Deno.readTextFile(path).catch((error: unknown) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    if (csv === undefined) continue;
    const rows = parseRows(csv, path);
    const results = joinRuns([{ name, rows }]);
    const judged = judgeFinding(name, results.rows);
    const drawn = makePictures(results).find((one) => one.name === picture);
    if (judged === undefined || drawn === undefined) {
      throw new Error(
        `Cannot make the page as ${path} has no picture ${picture}: run ${name} again`,
      );
    }
    pictures.set(`${name}.svg`, standAlone(drawn) + "\n");
    parts.push(section(judged, results.rows));
  }
  return { page: [HEAD, ...parts].join("\n"), pictures };
}

const HEAD = `# Findings

What each \`finding-N\` found on a software adapter with two cores, with models of some 7,000 to 90,000
weights. The claims are of larger models: what holds here holds at this size. Every figure is the mean
over trainings with its 95% interval; a difference counts where an exact permutation test over the
trainings (one-sided, in both directions) gives 5% or less, of which three against three can give no
less, and no correction is made for several; a bound where all trainings keep it, or all of five but one.
Of rates that did equally well the least was taken; what each scored is in \`finding-N-tuning.csv\`. Make
one again with \`./run sweep finding-1\`; its learning rates were chosen by \`./run sweep finding-1-tuning\`,
on a training, mostly of half as many steps, and samples that are not reported here. This page is written
by \`deno run -A tasks/experiments/findings/page.ts\` from the CSVs beside it.
`;

/** A claim, its verdict in a sentence, its picture, and what it rests on. */
function section(
  { finding, verdict, checks, besides }: JudgedFinding,
  rows: readonly Row[],
): string {
  const { name, claim, source } = finding;
  const told = (parts: JudgedFinding["checks"]): string =>
    parts.map(({ says, verdict }) => `${says}: ${verdict}`).join("; ");
  const commits = [...new Set(rows.map(({ commit = "unknown" }) => commit))].sort();
  const facts = [...Map.groupBy(rows, ({ model }) => model)].map(([model, ofModel]) => {
    const [{ family, parameters, train_tokens, learning_rate }] = ofModel;
    const trainings = new Set(ofModel.map(({ train_seed }) => train_seed)).size;
    const state = Math.max(...ofModel.map(({ state_bytes }) => state_bytes));
    return `| ${model} | ${family} | ${parameters} | ${trainings} | ${train_tokens} | ${learning_rate} | ${state} |`;
  });
  return `## ${name}

**${VERDICTS[verdict]}:** ${claim} (${told(checks)}.)${
    besides.length === 0 ? "" : ` Besides: ${told(besides)}.`
  }

![${name}](${name}.svg)

| model | family | parameters | trainings | tokens each | learning rate | state bytes at most |
| --- | --- | --- | --- | --- | --- | --- |
${facts.join("\n")}

Claimed by ${source}. Results: [${name}.csv](${name}.csv), ${rows[0].adapter}, ${
    commits.length === 1 ? "commit" : "commits"
  } ${commits.join(", ")}.
`;
}

/** Copies what a finding's sweep found in that folder. */
async function keep(folder: string): Promise<void> {
  const path = join(folder, VARIANTS);
  const rows = parseRows(await Deno.readTextFile(path), path)
    .filter(({ metric }) => KEPT.test(metric))
    .map(({ prefill_ms: _, step_ms: _1, peak_bytes: _2, seconds: _3, started: _4, ...row }) => row);
  await Deno.writeTextFile(join(RESULTS, `${basename(folder)}.csv`), formatRows(rows as Row[]));
}

if (import.meta.main) {
  for (const folder of Deno.args) await keep(folder);
  const { page, pictures } = await makeResults(RESULTS);
  await Deno.writeTextFile(join(RESULTS, "README.md"), page);
  for (const [name, svg] of pictures) await Deno.writeTextFile(join(RESULTS, name), svg);
}
