import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { runSweep, type SweepConfiguration } from "../../tasks/mod.ts";
import { parseCommand } from "../../tasks/commands/options.ts";
import { REPORT, reportCommand } from "../../tasks/commands/report.ts";
import { parseRows } from "../../tasks/sweep/rows.ts";
import { RESULTS } from "../../tasks/sweep/run.ts";
import { inFolder } from "../testing.ts";
import { oracles, windowOracle } from "./window_oracle.ts";

const GRID: SweepConfiguration = {
  name: "cut",
  models: [],
  tasks: [],
  lengths: [64, 128],
  depths: [],
  loads: [4],
  seeds: [0, 1],
  samples: 2,
};

/** The report of a folder, and what was printed. */
async function reportOf(folder: string): Promise<{ page: string; printed: string }> {
  const lines: string[] = [];
  const { log, error } = console;
  console.log = console.error = (line: string) => void lines.push(line);
  try {
    await reportCommand(parseCommand(REPORT, [folder]));
  } finally {
    Object.assign(console, { log, error });
  }
  const page = await Deno.readTextFile(join(folder, "report.html"));
  return { page, printed: lines.join("\n") };
}

Deno.test("the report of a sweep that was killed in its first round says what is missing, and has its CSV", () =>
  inFolder(async (out) => {
    const models = oracles([windowOracle("near", 16, ["mqar"]), windowOracle("far", 64, ["mqar"])]);
    const stop = new AbortController();
    const result = await runSweep(GRID, models, {
      out,
      signal: stop.signal,
      onProgress: ({ rows }) => void (rows && stop.abort()),
    });
    assertEquals([result.total, result.table.length > 0, result.stopped], [8, true, true]);
    const csv = join(out, RESULTS);
    await Deno.remove(csv); // a kill in the first round leaves the journal alone
    const { page, printed } = await reportOf(out);
    const says =
      "This sweep is incomplete: 1 of 8 cells have a result. Missing: near: mqar at 128 tokens; all of far. 1 length has fewer samples than planned.";
    assertStringIncludes(page, says);
    assertStringIncludes(printed, says);
    assertStringIncludes(page, `href="${RESULTS}"`);
    assertEquals(parseRows(await Deno.readTextFile(csv), csv).length, result.table.length);

    await runSweep(GRID, models, { out, resume: true });
    const whole = await reportOf(out);
    assert(!whole.page.includes("incomplete"), "it has all cells now");
  }));

Deno.test("the report of a sweep that was stopped after a round says that all is there, with fewer samples", () =>
  inFolder(async (out) => {
    const models = oracles([windowOracle("near", 16, ["mqar"]), windowOracle("far", 64, ["mqar"])]);
    const stop = new AbortController();
    let answered = 0;
    await runSweep(GRID, models, {
      out,
      signal: stop.signal,
      onProgress: ({ rows }) => void (rows && ++answered === 4 && stop.abort()),
    });
    const { page } = await reportOf(out);
    assertStringIncludes(
      page,
      "This sweep is incomplete: 4 of 8 cells have a result. Every model has some at each of its tasks and lengths. 4 lengths have fewer samples than planned.",
    );
  }));
