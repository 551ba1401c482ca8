import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { changeGrid, dtypeOf } from "../../tasks/commands/grid.ts";
import { UsageError } from "../../tasks/commands/options.ts";
import {
  parseRows,
  type Row,
  runSweep,
  type SweepConfiguration,
  writeReport,
} from "../../tasks/mod.ts";
import { compareForms } from "../../tasks/report/forms.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { assertClose, inNewFolder } from "../testing.ts";

const SWEEP: SweepConfiguration = {
  name: "forms",
  models: ["transformer-mixture"],
  tasks: ["mqar"],
  lengths: [64, 128],
  depths: [],
  loads: [4],
  seeds: [0, 1, 2],
  samples: 4,
};

function withDtype(dtype: string, sweep = SWEEP): SweepConfiguration {
  return changeGrid(sweep, { values: new Map([["dtype", dtype]]) });
}

Deno.test("--dtype with several forms is an axis of a sweep's models; with one, all have it", () => {
  assertEquals(withDtype("f32,int8,int4").models, [
    { model: "transformer-mixture", dtype: "f32" },
    { model: "transformer-mixture", name: "transformer-mixture in int8", dtype: "int8" },
    { model: "transformer-mixture", name: "transformer-mixture in int4", dtype: "int4" },
  ]);
  const named = { ...SWEEP, models: [{ model: "gla-text", name: "gla", trainLength: 9 }] };
  assertEquals(withDtype("f32,int4", named).models, [
    { model: "gla-text", name: "gla", trainLength: 9, dtype: "f32" },
    { model: "gla-text", name: "gla in int4", trainLength: 9, dtype: "int4" },
  ]);
  const one = withDtype("int8");
  assertEquals([one.models, one.dtype], [["transformer-mixture"], "int8"]);
  const all = withDtype("f32,int8", { ...SWEEP, models: [] }).models;
  assert(all.length > 4 && all.length % 2 === 0, "the committed ones, each twice");
  assertThrows(() => withDtype("f32,int3"), UsageError, "int8, int4: current value is int3");
  assertThrows(() => dtypeOf("f32,int8"), UsageError, "sweep --dtype f32,int8 compares them");
});

/** A row of a model in a form. */
function row(dtype: string | undefined, change: Partial<Row>): Row {
  return {
    model: dtype === undefined || dtype === "f32" ? "m" : `m in ${dtype}`,
    ...(dtype === undefined ? {} : { dtype }),
    family: "gla",
    parameters: 10,
    state_bytes: 4,
    task: "mqar",
    length: 64,
    seed: 0,
    samples: 10,
    metric: "accuracy",
    value: 0.5,
    adapter: "a",
    version: "0",
    ...change,
  };
}

Deno.test("what a form costs is its mean change over cells that were asked both", () => {
  const rows = [0, 1, 2].flatMap((seed) => [
    row("f32", { seed, value: 0.9, peak_bytes: 1000 }),
    row("int8", { seed, value: 0.9 - 0.01 * seed, peak_bytes: 400 }),
    row("int4", { seed, value: 0.7 }),
    row("f32", { seed, length: 128, metric: "perplexity", task: "text", value: 10 }),
    row("int8", { seed, length: 128, metric: "perplexity", task: "text", value: 11 }),
  ]);
  // Asked of one form alone: no change is known there.
  rows.push(row("int4", { length: 256 }));
  rows.push({ ...row(undefined, {}), model: "other" });
  const [accuracy, perplexity, ...others] = compareForms(rows);
  assertEquals(others, []);
  assertEquals([accuracy.model, accuracy.title, accuracy.metric], ["m", "mqar", "accuracy"]);
  const [f32, int8, int4] = accuracy.forms;
  assertEquals([f32.dtype, f32.peakBytes, int8.peakBytes, int4.peakBytes], [
    "f32",
    1000,
    400,
    undefined,
  ]);
  assertEquals(f32.points.map(({ change }) => change), [undefined]);
  const { value, low, high } = int8.points[0].change!;
  // Student's interval of 0, −0.01 and −0.02: 4.303 · 0.01 / √3 to each side.
  assertClose([value, low, high], [-0.01, -0.03484, 0.01484], 1e-3, "int8");
  assertClose([int4.points[0].change!.value], [-0.2], 1e-9, "int4");
  assertEquals(int4.points[1].change, undefined);
  assertClose([perplexity.forms[1].points[0].change!.value], [0.1], 1e-9, "a share");
});

Deno.test("a sweep over forms has a row and a curve for each, and its report what they cost", () =>
  inNewFolder(async (out) => {
    await using source = new ModelSource();
    const configuration = withDtype("f32,int8,int4");
    await runSweep(configuration, source, { out });
    const rows = parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv");
    const models = new Map(rows.map(({ model, dtype }) => [model, dtype]));
    assertEquals([...models], [
      ["transformer-mixture", "f32"],
      ["transformer-mixture in int8", "int8"],
      ["transformer-mixture in int4", "int4"],
    ]);
    const peak = (model: string): number =>
      Math.max(...rows.flatMap((row) => row.model === model ? row.peak_bytes ?? [] : []));
    assert(peak("transformer-mixture in int4") < peak("transformer-mixture"));
    const report = await writeReport(out, [{ name: "forms", rows }], { files: [] });
    const page = await Deno.readTextFile(report.page);
    assertStringIncludes(page, "What fewer bits cost, by length");
    assertStringIncludes(page, "transformer-mixture: mqar, accuracy");
    assertStringIncludes(page, '<td class="text">int4</td>');
  }));
