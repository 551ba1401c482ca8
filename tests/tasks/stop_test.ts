import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { parseRows } from "../../tasks/mod.ts";
import { inNewFolder } from "../testing.ts";
import { ending, script, until } from "./process.ts";

const ORACLE = "tests/tasks/oracle_main.ts";

/** What a process wrote before it ended by itself. */
async function output(
  process: Deno.ChildProcess,
): Promise<{ code: number; signal: string | null; stderr: string }> {
  const { code, signal, stderr } = await process.output();
  return { code, signal, stderr: new TextDecoder().decode(stderr) };
}

function linesOf(path: string): string[] {
  try {
    return Deno.readTextFileSync(path).split("\n").slice(0, -1);
  } catch {
    return [];
  }
}

Deno.test("SIGTERM within a long cell: the cells before it, CSV, report, exit code, --resume", () =>
  inNewFolder(async (out) => {
    // A cell of one batch after another: 24 × 2,048 tokens are two of them, of half a second.
    const args = ["sweep", "--models", "near", "--tasks", "mqar", "--lengths", "64,2k,32k"]
      .concat(["--seeds", "0", "--samples", "60", "--out", out]);
    const process = script(ORACLE, args, { ORACLE_MILLISECONDS: "500" }).spawn();
    const journal = join(out, "journal.jsonl");
    await until("the cell of 2,048 tokens", 60, () => linesOf(journal).length === 3);
    process.kill("SIGTERM"); // the third cell takes 60 batches, half a minute
    const started = performance.now();
    const { code, signal, stderr } = await output(process);
    assertEquals([code, signal], [130, null], stderr);
    assert(performance.now() - started < 15_000, "it did not wait for the cell");
    assertStringIncludes(stderr, `stopped: ./run sweep --resume --out ${out} continues`);
    const rows = parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv");
    assertEquals([...new Set(rows.map(({ length }) => length))], [64, 2048]);
    assert((await Deno.stat(join(out, "report.html"))).size > 10_000);
    assertEquals(linesOf(journal).length, 3);
    const { code: again, stderr: told } = await ending(script(ORACLE, [...args, "--resume"]));
    assertEquals(again, 0, told);
    assertEquals(linesOf(journal).length, 4);
  }));

Deno.test("a second Ctrl-C ends the cell that is running, with CSV and report", () =>
  inNewFolder(async (out) => {
    const args = ["sweep", "--models", "near", "--tasks", "mqar", "--lengths", "64,32k"]
      .concat(["--seeds", "0", "--samples", "60", "--out", out]);
    const process = script(ORACLE, args, { ORACLE_MILLISECONDS: "500" }).spawn();
    const journal = join(out, "journal.jsonl");
    await until("the first cell", 60, () => linesOf(journal).length === 2);
    await new Promise((resolve) => setTimeout(resolve, 1000)); // the second, of half a minute, begins
    process.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 700));
    process.kill("SIGINT");
    const { code, stderr } = await output(process);
    assertEquals(code, 130, stderr);
    assertMatch(stderr, /stopping after this cell; press again to stop now\n[^]*\nstopping now\n/);
    assertEquals(linesOf(journal).length, 2);
    assert((await Deno.stat(join(out, "report.html"))).size > 10_000);
  }));

Deno.test("SIGTERM ends a training at a checkpoint, alone and within a sweep", () =>
  inNewFolder(async (out) => {
    const alone = join(out, "alone");
    const train = ["train", "gla-mixture", "--out", alone];
    const sweep = ["sweep", "induction-small", "--out", out];
    for (
      const [args, folder, again] of [
        [train, alone, `checkpoint: ./run train gla-mixture --out ${alone} --resume continues`],
        [sweep, join(out, "models"), `stopped: ./run sweep --resume --out ${out} continues`],
      ] as const
    ) {
      const process = script("tasks/main.ts", args).spawn();
      const logs = (): string[] => {
        try {
          return folder === alone
            ? [join(alone, "log.csv")]
            : [...Deno.readDirSync(folder)].map(({ name }) => join(folder, name, "log.csv"));
        } catch {
          return [];
        }
      };
      await until("the first steps", 120, () => logs().some((log) => linesOf(log).length > 1));
      process.kill("SIGTERM");
      const { code, stderr } = await output(process);
      assertEquals(code, 130, stderr);
      assertStringIncludes(stderr, again);
      const [log] = logs();
      const checkpoint = log.replace(/log\.csv$/, "checkpoint.safetensors");
      assert((await Deno.stat(checkpoint)).size > 1000);
    }
    const refused = await ending(script("tasks/main.ts", train));
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /^error: Cannot train gla-mixture into .* with --overwrite, or/);
  }));

Deno.test("a sweep that was killed, or is running: report and merge show what its journals hold", () =>
  inNewFolder(async (out) => {
    const args = ["sweep", "--models", "near,far", "--tasks", "mqar", "--lengths", "64,128"]
      .concat(["--seeds", Array.from({ length: 40 }, (_, seed) => seed).join()]);
    const process = script(ORACLE, [...args, "--out", out], { ORACLE_MILLISECONDS: "400" }).spawn();
    const journal = join(out, "journal.jsonl");
    await until("three cells", 60, () => linesOf(journal).length >= 4);
    const page = join(out, "report.html");
    const running = await ending(script(ORACLE, ["report", out]));
    assertEquals(running.code, 0, running.stderr);
    assertStringIncludes(await Deno.readTextFile(page), "mqar");
    process.kill("SIGKILL");
    await Promise.all([process.stdout.cancel(), process.stderr.cancel(), process.status]);
    const killed = await ending(script(ORACLE, ["report", out]));
    assertEquals(killed.code, 0, killed.stderr);
    const merged = await ending(script(ORACLE, ["merge", out]));
    assertEquals(merged.code, 1);
    assertMatch(merged.stderr, /of 160 cells are missing/);
    const rows = parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv");
    assertEquals(new Set(rows.map(({ seed }) => seed)).has(0), true);
    // Of shards nobody has merged, too.
    const shard = ["--out", `${out}-shards`, "--shard", "0/2"];
    assertEquals((await ending(script(ORACLE, [...args, ...shard]))).code, 0);
    const shown = await ending(script(ORACLE, ["report", `${out}-shards`]));
    assertEquals(shown.code, 0, shown.stderr);
  }));

Deno.test("sweep --minutes: as many samples as were asked until then, and exit code 0", () =>
  inNewFolder(async (out) => {
    const args = ["sweep", "--models", "near", "--tasks", "mqar", "--lengths", "64", "--out", out];
    const { code, stdout, stderr } = await ending(
      script(ORACLE, [...args, "--minutes", "0.001"], { ORACLE_MILLISECONDS: "200" }),
    );
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, `the time is up: ./run sweep --resume --out ${out} continues`);
    const wrong = await ending(script(ORACLE, [...args, "--minutes", "0"]));
    assertMatch(
      wrong.stderr,
      /^error: --minutes takes numbers greater than 0: current value is 0\n$/,
    );
  }));
