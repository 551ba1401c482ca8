import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { parseHTML } from "linkedom";
import {
  type PromptTemplate,
  type RulerName,
  runSweep,
  type Subject,
  type SweepConfiguration,
} from "../../tasks/mod.ts";
import { parseCommand } from "../../tasks/commands/options.ts";
import { REPORT, reportCommand } from "../../tasks/commands/report.ts";
import { tellResults } from "../../tasks/commands/running.ts";
import { readSamples, SAMPLES } from "../../tasks/sweep/sample_log.ts";
import { inFolder } from "../testing.ts";
import { oracles, windowOracle } from "./window_oracle.ts";
import { wordsOracle, type WordsOracleOptions } from "./words_oracle.ts";

const GRID: SweepConfiguration = {
  name: "zeros",
  models: [],
  tasks: [],
  lengths: [1024],
  depths: [],
  loads: [],
  seeds: [0, 1],
  samples: 4,
};

/** Runs something, and gives what it printed. */
async function printed(run: () => Promise<unknown>): Promise<string> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (line: string) => void lines.push(line);
  try {
    await run();
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}

function page(folder: string, name = "report.html"): Promise<Document> {
  return Deno.readTextFile(join(folder, name)).then((html) => parseHTML(html).document);
}

/** A template that loses long numbers. */
const LOSES: PromptTemplate = {
  name: "base",
  special: true,
  render: (question, prefix) => question.replaceAll(/\d{6,}/g, "…") + prefix,
};
/** One that keeps the end of a question alone. */
const CUTS: PromptTemplate = {
  name: "base",
  special: true,
  render: (question, prefix) => question.slice(-200) + prefix,
};

const TASK = ["niah_single_1"] as const satisfies readonly RulerName[];
const never = (says: string): WordsOracleOptions => ({ reply: () => says });

for (
  const [what, subject, reason] of [
    ["empty replies", () => wordsOracle("mute", TASK, never(" \n")), "all 8 replies are empty"],
    [
      "replies that end early",
      () => wordsOracle("curt", TASK, never("12")),
      "all 8 replies ended too early for an answer, after 1 tokens at most",
    ],
    [
      "another template",
      () => wordsOracle("chatty", TASK, never("<|assistant|> Sure! ".repeat(60))),
      "all 8 replies hold the marks of another template than base",
    ],
    [
      "thoughts",
      () => wordsOracle("thinker", TASK, never("<think>Let me see. ".repeat(40))),
      "all 8 replies begin with thoughts, which use up their 128 tokens",
    ],
    [
      "replies that are wrong",
      () => wordsOracle("liar", TASK, never("a long story that goes on and on ".repeat(20))),
      "the replies are as long as they may be, and wrong",
    ],
  ] as const satisfies readonly (readonly [string, () => Subject & AsyncDisposable, string])[]
) {
  Deno.test(`why an accuracy is 0: ${what}`, () =>
    inFolder(async (out) => {
      const { table } = await runSweep(GRID, oracles([subject()]), { out, logSamples: true });
      const text = await printed(() => tellResults(table, [], out, { files: [] }));
      assertStringIncludes(text, `niah_single_1, 1024 tokens: ${reason}`);
      const zeros = (await page(out)).querySelector("#section-zeros")!;
      assertStringIncludes(zeros.textContent!, reason);
    }));
}

Deno.test("why an accuracy is 0: prompts that are cut", () =>
  inFolder(async (out) => {
    const options = { template: LOSES, reply: () => "I see no number here" };
    const source = oracles([wordsOracle("cut", TASK, options)]);
    const { table } = await runSweep(GRID, source, { out, logSamples: true });
    const text = await printed(() => tellResults(table, [], out, { files: [] }));
    assertStringIncludes(
      text,
      "all 8 prompts do not hold their answer: the template or the tokenizer cuts them",
    );
  }));

Deno.test("a template that gives no more tokens for a longer text is an error that says so", async () => {
  const task = await wordsOracle("cut", TASK, { template: CUTS }).task("niah_single_1");
  assertThrows(
    () => task.sample({ length: 4096, seed: 0, index: 0, split: "test" }),
    RangeError,
    "however long the text is: the template base or the tokenizer cuts it",
  );
});

Deno.test("why an accuracy is 0: longer than it was trained at, where nothing else tells", () =>
  inFolder(async (out) => {
    const liar = wordsOracle("liar", TASK, never("on and on ".repeat(60)));
    const { table } = await runSweep({ ...GRID, lengths: [4096] }, oracles([liar]), { out });
    const text = await printed(() => tellResults(table, [], out, { files: [] }));
    assertStringIncludes(text, "4096 tokens: it is 4 times as long as it was trained at");
  }));

Deno.test("why an accuracy is 0: evidence past the window", () =>
  inFolder(async (out) => {
    const near = wordsOracle("near", TASK, { ...never("one two three".repeat(40)), window: 4 });
    const configuration = { ...GRID, lengths: [1024, 4096] };
    for (const logSamples of [false, true]) { // the CSV alone tells it too
      const folder = join(out, String(logSamples));
      const { table } = await runSweep(configuration, oracles([near]), { out: folder, logSamples });
      const text = await printed(() => tellResults(table, [], folder, { files: [] }));
      assertStringIncludes(text, "answers stand farther back than the model’s attention reaches");
    }
  }));

Deno.test("the report of a sweep shows the best and worst few of each cell, and how it was run", () =>
  inFolder(async (out) => {
    const half = wordsOracle("half", ["niah_single_1", "vt"], {
      reply: (_, right, index) => index % 2 === 0 ? right : "<b>I do not know</b>",
    });
    const source = oracles([half, windowOracle("near", 32, ["mqar"])]);
    const configuration = { ...GRID, lengths: [1024], samples: 8 };
    const { table } = await runSweep(configuration, source, {
      out,
      logSamples: true,
      command: "deno task sweep --log-samples 'a <b>'",
    });
    await printed(() => tellResults(table, [], out, { files: [] }));
    const samples = await page(out, "samples.html");
    const details = [...samples.querySelectorAll("details")];
    assertEquals(details.map((each) => each.querySelectorAll("dl").length), [6, 6, 6]);
    const first = details[0].textContent!;
    assertStringIncludes(first, "half, 1K tokens: accuracy 0.50 over 16 samples");
    assertStringIncludes(first, "<b>I do not know</b>");
    assert(details[0].querySelector("dd mark"), "what is due is marked in the prompt");
    assertEquals(details[0].querySelector("b"), null);

    const report = await page(out);
    const head = report.querySelector("header")!;
    assertStringIncludes(head.textContent!, "deno task sweep --log-samples 'a <b>'");
    assert(
      /Run on \d{4}-\d\d-\d\d \d\d:\d\d to .* UTC; its 6 cells took /.test(head.textContent!),
    );
    assert(/on no GPU and \w+ \w+, \d+ cores, Deno [\d.]+/.test(head.textContent!));
    const links = [...head.querySelectorAll("a")].map((link) => link.getAttribute("href"));
    assert(links.includes("sweep.csv") && links.includes("samples.html"), links.join());
    const long = report.querySelector("#section-long table")!;
    assertEquals(long.querySelectorAll("tbody tr").length, 3);
    const shares = [...long.querySelectorAll("tbody tr")]
      .map((row) => Number.parseInt(row.lastElementChild!.textContent!));
    const total = shares.reduce((sum, share) => sum + share, 0);
    assert(total > 96 && total < 104, shares.join());

    const elsewhere = join(out, "a report #2");
    const report2 = parseCommand(REPORT, [out, "--out", elsewhere, "--predictions"]);
    const text = await printed(() => reportCommand(report2));
    assertEquals(
      (await page(elsewhere)).querySelector('header a[href="../sweep.csv"]')?.textContent,
      "../sweep.csv",
    );
    const folder = join(elsewhere, "predictions", "half", "1024", "pred");
    assertStringIncludes(text, `${folder}  for RULER's evaluate.py --data_dir`);
    const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assertEquals(files, ["niah_single_1.jsonl", "vt.jsonl"]);
    const logged = (await Array.fromAsync(readSamples(join(out, SAMPLES))))
      .filter(({ cell }) => cell.task === "vt");
    const lines = (await Deno.readTextFile(join(folder, "vt.jsonl"))).trimEnd().split("\n")
      .map((line) => JSON.parse(line));
    assertEquals(lines.map(({ index }) => index), logged.map((_, i) => i));
    assertEquals(lines.map(({ pred }) => pred), logged.map(({ pred }) => pred));
    assertEquals(Object.keys(lines[0]).sort(), [
      ...["index", "input", "length", "others", "outputs", "pred", "truncation"],
    ]);
  }));
