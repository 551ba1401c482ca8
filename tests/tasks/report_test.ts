import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { REPORT, reportCommand } from "../../tasks/commands/report.ts";
import { parseCommand } from "../../tasks/commands/options.ts";
import { resultsTable } from "../../tasks/commands/table.ts";
import { type Curve, curvesOf, panels, pool } from "../../tasks/report/curves.ts";
import { depthFields, depthLabels } from "../../tasks/report/depth.ts";
import { formatOf } from "../../tasks/generators/ruler/names.ts";
import { formatFields } from "../../tasks/report/formats.ts";
import { effectiveLength, taskMeans } from "../../tasks/report/mean.ts";
import { chooseRecall } from "../../tasks/report/recall.ts";
import { joinRuns, nameRuns } from "../../tasks/report/runs.ts";
import { bytes, looks, milliseconds, tokens } from "../../tasks/report/theme.ts";
import { formatRows, parseRows, type Row, writeReport } from "../../tasks/mod.ts";
import { FORMAT_DEPTHS, FORMATS, gridRows, RULER_MODELS, rulerRows } from "./example_ruler.ts";
import { exampleRows } from "./example_rows.ts";

/** The rows as a report sees them: through the CSV. */
const ROWS = parseRows(formatRows(exampleRows()), "example");
const RULER = rulerRows();
const MODELS = ["transformer", "mamba2", "gla", "griffin", "mamba2-attention"];

Deno.test("curves pool seeds and depths; loads are panels of their own", () => {
  const passkey = ROWS.filter(({ task }) => task === "passkey");
  const [{ points: [point] }] = curvesOf(passkey, "accuracy");
  assertEquals(point.samples, 32 * 3 * 5);
  const cells = passkey.filter((row) =>
    row.model === "transformer" && row.length === 64 && row.metric === "accuracy"
  );
  const mean = cells.reduce((sum, { value }) => sum + value, 0) / cells.length;
  assert(Math.abs(point.value - mean) < 1e-12);
  assert(point.high - point.low < cells[0].ci_high! - cells[0].ci_low!);
  const loads = ROWS.filter(({ task }) => task === "mqar")
    .flatMap((row) => [row, { ...row, load: 16 }]);
  assertEquals(panels(loads, "accuracy").map(({ title }) => title), [
    "mqar, load 4",
    "mqar, load 16",
  ]);
  // Without intervals there is a mean all the same.
  const [{ ci_low: _, ci_high: __, ...bare }] = cells;
  assertEquals(pool([bare, { ...bare, value: bare.value / 2, samples: 96 }]), {
    value: bare.value * 0.625,
    low: NaN,
    high: NaN,
    samples: 128,
  });
});

Deno.test("the mean is over the tasks that every model was asked, or else says who was not", () => {
  const [mean, ...more] = taskMeans(ROWS);
  assertEquals(more, []);
  assertEquals(mean.tasks, ["mqar", "induction", "passkey"]);
  assertEquals([mean.title, mean.leftOut, mean.tasksLeftOut], ["3 tasks", [], [
    "selective-copying",
  ]]);
  assertEquals(mean.curves.map(({ model }) => model), MODELS);
  assertEquals(mean.laws.map(({ model }) => model), ["griffin"]);
  assert(Math.abs(mean.chance! - (0.25 + 2 / 16) / 3) < 1e-12);
  // One model that shares a single task must not leave all others without a mean.
  const alone = ROWS.filter(({ model, task }) => model !== "griffin" || task === "mqar");
  const [rest] = taskMeans(alone);
  assertEquals(rest.tasks, ["mqar", "induction", "selective-copying", "passkey"]);
  assertEquals([rest.leftOut, rest.tasksLeftOut], [["griffin"], []]);
  const [point] = rest.curves[0].points;
  const parts = rest.tasks.map((task) =>
    curvesOf(alone.filter((row) => row.task === task), "accuracy")[0].points[0]
  );
  assert(Math.abs(point.value - parts.reduce((sum, { value }) => sum + value / 4, 0)) < 1e-12);
  assert(point.low < point.value && point.value < point.high);
  assert(point.high - point.low < Math.max(...parts.map(({ low, high }) => high - low)));
});

Deno.test("the haystacks of small models have a mean of their own, beside that of other models' tasks", () => {
  const haystacks: Record<string, string> = { passkey: "niah-noise", induction: "niah-essay" };
  const needles = ROWS.filter(({ task }) => task in haystacks)
    .map((row) => ({ ...row, task: haystacks[row.task], model: `${row.model}-niah` }));
  const [tasks, ...more] = taskMeans([...ROWS, ...needles]);
  assertEquals([tasks], taskMeans(ROWS));
  assertEquals(more.map(({ title, leftOut, curves }) => [title, leftOut, curves.length]), [
    ["2 haystacks", [], MODELS.length],
  ]);
});

Deno.test("RULER's mean is over its 13 tasks and none else, at lengths where all were asked", () => {
  const [ruler, others, formats] = taskMeans([...RULER, ...ROWS, ...gridRows()]);
  assertEquals([ruler.name, ruler.tasks.length, ruler.curves.length], ["ruler", 13, 3]);
  assertEquals([others.name, others.tasks.length], ["tasks", 3]);
  assertEquals([formats.name, formats.tasks.length], ["formats", FORMATS.length]);
  assertEquals(ruler.laws, []); // not every task has a window law
  const gap = RULER.filter(({ model, task, length }) =>
    model !== RULER_MODELS[1].model || task !== "qa_2" || length < 8192
  );
  const [{ curves }] = taskMeans(gap);
  assertEquals(curves[1].points.map(({ length }) => length), [1024, 2048, 4096]);
  // Without one of them it is a mean of tasks like any other.
  const twelve = taskMeans(RULER.filter(({ task }) => task !== "vt"));
  assertEquals(twelve.map(({ name, title }) => [name, title]), [["tasks", "12 tasks"]]);
  const unasked = RULER.filter(({ model, task }) =>
    model !== RULER_MODELS[0].model || task !== "vt"
  );
  assertEquals(taskMeans(unasked)[0].leftOut, [RULER_MODELS[0].model]);
});

Deno.test("the effective length is RULER's longest; the unbroken one stops at the first miss", () => {
  const curve = (values: readonly number[]): Curve => ({
    model: "m",
    points: values.map((value, i) => ({
      length: 1024 * 2 ** i,
      value,
      low: value - 0.02,
      high: value + 0.02,
      samples: 1,
    })),
  });
  assertEquals(effectiveLength(curve([0.9, 0.8, 0.856, 0.5])), {
    longest: 4096,
    unbroken: 1024,
    certain: 1024,
    asked: 8192,
  });
  assertEquals(effectiveLength(curve([0.8559, 0.1])), { asked: 2048 });
  assertEquals(effectiveLength(curve([0.8, 0.9])), {
    longest: 2048,
    certain: 2048,
    asked: 2048,
  });
  assertEquals(effectiveLength(curve([0.9, 0.9])), {
    longest: 2048,
    unbroken: 2048,
    certain: 2048,
    asked: 2048,
  });
  assertEquals(effectiveLength(curve([0.87])), { longest: 1024, unbroken: 1024, asked: 1024 });
});

Deno.test("depths are those that were fixed, else bands; formats are a grid in the paper's order", () => {
  const passkey = depthFields(
    ROWS.filter(({ task, model }) => task === "passkey" && model === "gla"),
  );
  assertEquals(depthLabels(passkey), ["0%", "25%", "50%", "75%", "100%"]);
  assertEquals(passkey.length, 30);
  assertEquals(passkey[0].samples, 96);
  const bands = depthFields(
    ROWS.filter(({ task, model }) => task === "induction" && model === "gla"),
  );
  assertEquals(depthLabels(bands), ["0–20%", "20–40%", "40–60%", "60–80%", "80–100%"]);
  assertEquals(depthFields(ROWS.filter(({ task }) => task === "mqar")), []);

  assertEquals(formatOf("niah_essay_word_uuid"), { haystack: "essay", key: "word", value: "uuid" });
  for (const other of ["niah_single_1", "niah_essay_word", "niah_essay_word_uuid_2", "passkey"]) {
    assertEquals(formatOf(other), undefined);
  }
  const { model } = RULER_MODELS[1];
  const shuffled = gridRows().filter((row) => row.model === model).toReversed();
  const fields = formatFields(shuffled);
  assertEquals(fields.length, FORMATS.length * FORMAT_DEPTHS.length * 2);
  assertEquals([...new Set(fields.map(({ format }) => format))].slice(0, 5), [
    "noise · word → number",
    "noise · word → uuid",
    "noise · uuid → number",
    "noise · uuid → uuid",
    "essay · word → number",
  ]);
  const free = gridRows().map(({ depth: _, ...row }): Row => row);
  assertEquals(new Set(formatFields(free).map(({ label }) => label)), new Set([""]));
});

Deno.test("recall is compared where models differ the most, or where one is told to", () => {
  const recall = chooseRecall(ROWS)!;
  assertEquals([recall.task, recall.load, recall.points.length], ["mqar", 4, 5]);
  const spreads = [64, 128, 256, 512, 1024, 2048].map((length) => {
    const values = chooseRecall(ROWS, { length })!.points.map(({ value }) => value);
    return { length, spread: Math.max(...values) - Math.min(...values) };
  });
  const widest = spreads.reduce((best, one) => one.spread > best.spread ? one : best);
  assertEquals(recall.length, widest.length);
  const [{ model, stateBytes }] = recall.points;
  assertEquals([model, stateBytes], ["transformer", 256 * recall.length + 4096]);
  const told = chooseRecall(ROWS, { task: "passkey", length: 128 })!;
  assertEquals([told.task, told.length], ["passkey", 128]);
  assertEquals(chooseRecall(ROWS.filter((row) => row.model === "gla")), undefined);
  assertThrows(() => chooseRecall(ROWS, { task: "vt" }), RangeError, "the tasks are mqar;");
  assertThrows(() => chooseRecall(ROWS, { length: 3 }), RangeError, "the lengths are 64, 128");
});

Deno.test("runs side by side: a model in several runs or templates is told apart", () => {
  const mqar = ROWS.filter(({ task }) => task === "mqar");
  const { runs, models, rows } = joinRuns([
    { name: "a", rows: mqar },
    { name: "b", rows: mqar.filter(({ model }) => model === "gla") },
  ]);
  assertEquals(runs, ["a", "b"]);
  assertEquals(models.map(({ model, run }) => [model, run]), [
    ["transformer", "a"],
    ["mamba2", "a"],
    ["gla (a)", "a"],
    ["griffin", "a"],
    ["mamba2-attention", "a"],
    ["gla (b)", "b"],
  ]);
  const extra = mqar.filter(({ model }) => model === "gla").length;
  assertEquals(rows.length, mqar.length + extra);
  assertEquals(rows.filter(({ model }) => model === "gla (b)").length, extra);
  const [chat, base] = RULER.filter(({ model }) => model === RULER_MODELS[2].model)
    .flatMap((row) => [row, { ...row, template: "base" }]);
  assertEquals(
    joinRuns([{ name: "a", rows: [chat, base, RULER[0]] }]).models
      .map(({ model, name, template }) => [model, name, template]),
    [
      ["recurrentgemma-2b-it (chat)", "recurrentgemma-2b-it", "chat"],
      ["recurrentgemma-2b-it (base)", "recurrentgemma-2b-it", "base"],
      ["transformer-2.7b", "transformer-2.7b", "base"],
    ],
  );
  const both = resultsTable([chat, base]);
  assert(both.includes("(chat)") && both.includes("(base)"), both);
  assertThrows(() => joinRuns([{ name: "a", rows }, { name: "a", rows }]), Error, "called a");
  assertThrows(() => joinRuns([{ name: "a", rows: [] }]), Error, "there are no results");
  assertEquals(nameRuns(["results/x", "old/x/", "y"]), ["results/x", "old/x", "y"]);
  assertEquals(nameRuns(["/p/1/x", "/q/1/x"]), ["p/1/x", "q/1/x"]);
  assertThrows(() => nameRuns(["a/b", "a/b/"]), Error, "a/b/ is listed twice");
});

Deno.test("a model in two runs, or two of an architecture, share a colour and differ in dashes", () => {
  const twice = ["a", "b"].flatMap((run) =>
    ["x", "y"].map((name) => ({ model: `${name} (${run})`, name, family: "f" }))
  );
  const two = ["a", "b"].flatMap((family) =>
    ["x", "y"].map((name) => ({ model: `${family}-${name}`, family }))
  );
  const shared = (look: ReturnType<typeof looks>, one: string, other: string): void => {
    assertEquals(look.get(one)!.colour, look.get(other)!.colour);
    assert(look.get(one)!.dashes !== look.get(other)!.dashes);
    assert(look.get(one)!.hollow !== look.get(other)!.hollow);
  };
  const [inRuns, inFamilies] = [looks(twice), looks(two)];
  shared(inRuns, "x (a)", "x (b)");
  assert(inRuns.get("x (a)")!.colour !== inRuns.get("y (a)")!.colour);
  shared(inFamilies, "a-x", "a-y");
  assert(inFamilies.get("a-x")!.colour !== inFamilies.get("b-x")!.colour);
  // Many of one architecture, as where a state size is swept, have looks of their own.
  const many = Array.from({ length: 12 }, (_, i) => ({ model: `m${i}`, family: "a" }));
  const all = [...looks(many).values()].map(({ colour, dashes }) => `${colour} ${dashes}`);
  assertEquals(new Set(all).size, 12);
});

Deno.test("deno task report: one folder into itself, several into one beside them, old CSVs too", async () => {
  const folder = await Deno.makeTempDir();
  const log = console.log;
  const said: string[] = [];
  console.log = (text: string) => said.push(text);
  try {
    const report = (...args: string[]): Promise<number> =>
      reportCommand(parseCommand(REPORT, args));
    const [a, b, c] = ["a", "b", "c"].map((name) => join(folder, name));
    const csv = formatRows(ROWS.filter(({ task }) => task === "mqar"));
    // As it was written before there were templates.
    const old = csv.replace("task,template,length", "task,length").replaceAll("mqar,,", "mqar,");
    for (const [run, text] of [[a, csv], [b, old], [c, csv]]) {
      await Deno.mkdir(run);
      await Deno.writeTextFile(join(run, "sweep.csv"), text);
    }
    assertEquals(await report(a), 0);
    const one = await Deno.readTextFile(join(a, "report.html"));
    assert(one.includes("5 models, from 64 to 2K tokens"));
    assertEquals(await report(a, b, "--recall", "mqar", "--recall-length", "1k"), 0);
    const two = await Deno.readTextFile(join(folder, "a+b", "report.html"));
    assert(two.includes("Sweeps “a” and “b”"));
    assert(two.includes("gla (a)") && two.includes("gla (b)"));
    assert(two.includes("mqar, load 4, at 1K tokens"));
    assertEquals(await report(a, b, c, "--out", join(folder, "out")), 0);
    assert(said[2].startsWith(join(folder, "out", "report.html")));
    await assertRejects(() => report(), Error, "takes folders");
    await assertRejects(() => report(a, a), Error, "twice");
    await assertRejects(() => report(join(folder, "none")), Error, "Cannot read");
    await assertRejects(() => report(a, "--recall", "vt"), RangeError, "the tasks are mqar");
    await assertRejects(() => report(a, "--recall-length", "8x"), Error, "takes tokens");
    await assertRejects(() => writeReport(folder, []), Error, "there are no results");
  } finally {
    console.log = log;
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("numbers are short", () => {
  assertEquals([64, 1024, 1536, 1100, 2 ** 20].map(tokens), ["64", "1K", "1.5K", "1100", "1M"]);
  assertEquals([512, 4096, 3 * 2 ** 19].map(bytes), ["512 B", "4 KiB", "1.5 MiB"]);
  assertEquals([0.05, 12.345, 2500, 90_000].map(milliseconds), [
    "50 µs",
    "12.3 ms",
    "2.5 s",
    "1.5 min",
  ]);
});
