import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import {
  mergeSweep,
  parseRows,
  type Row,
  runSweep,
  shardFolder,
  type SweepConfiguration,
} from "../../tasks/mod.ts";
import { cellKey } from "../../tasks/sweep/cells.ts";
import { readSamples, SAMPLES } from "../../tasks/sweep/sample_log.ts";
import type { SampleRecord } from "../../tasks/sweep/samples.ts";
import { inFolder } from "../testing.ts";
import { oracles, windowOracle } from "./window_oracle.ts";
import { wordsOracle } from "./words_oracle.ts";

const GRID: SweepConfiguration = {
  name: "logged",
  models: [],
  tasks: [],
  lengths: [64, 256],
  depths: [],
  loads: [],
  seeds: [0, 1],
  samples: 4,
};
const NEAR = oracles([windowOracle("near", 32, ["mqar", "passkey"])]);
const WORDS: SweepConfiguration = { ...GRID, lengths: [1024, 2048] };

async function samplesIn(folder: string): Promise<SampleRecord[]> {
  return await Array.fromAsync(readSamples(join(folder, SAMPLES)));
}

async function accuracies(folder: string): Promise<Map<string, number>> {
  const rows = parseRows(await Deno.readTextFile(join(folder, "sweep.csv")), "sweep.csv");
  const main = rows.filter(({ metric }: Row) => metric === "accuracy");
  return new Map(main.map((row) => [cellKey(row), row.value]));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** That the mean score of each cell's samples is the cell's accuracy. */
async function checkScores(folder: string, samples: readonly SampleRecord[]): Promise<void> {
  const cells = Map.groupBy(samples, ({ cell }) => cellKey(cell));
  const expected = await accuracies(folder);
  assertEquals([...cells.keys()].sort(), [...expected.keys()].sort());
  for (const [key, records] of cells) {
    assertAlmostEquals(mean(records.map(({ score }) => score)), expected.get(key)!, 1e-5, key);
  }
}

Deno.test("each sample is logged with what was asked, what was said, and where the answer stood", () =>
  inFolder(async (out) => {
    await runSweep(GRID, NEAR, { out, logSamples: true });
    const samples = await samplesIn(out);
    assertEquals(samples.length, 2 * 2 * 2 * 4);
    await checkScores(out, samples);
    for (const { cell, input, outputs, prompt_tokens, asked, evidence, reached } of samples) {
      const tokens = input.split(" ").map(Number);
      assertEquals([tokens.length, prompt_tokens], [cell.length, cell.length]);
      assertEquals(outputs.length, asked!.length);
      if (cell.task === "mqar") { // behind the key stands the value, and there the key stood too
        asked!.forEach((t, i) => {
          assertEquals(tokens[evidence![i]], tokens[t]);
          assertEquals(String(tokens[evidence![i] + 1]), outputs[i]);
        });
      }
      const near = asked!.filter((t, i) => t - evidence![i] < 32).length / asked!.length;
      assertAlmostEquals(reached!, near, 1e-5);
    }
  }));

/** RULER's string_match_all, as its paper and its evaluator define it: 100 times the mean over samples. */
function rulerScore(lines: readonly Record<string, unknown>[]): number {
  const scores = lines.map(({ pred, outputs }) => {
    const said = (pred as string).trim().toLowerCase();
    return mean((outputs as string[]).map((due) => said.includes(due.toLowerCase()) ? 1 : 0));
  });
  return 100 * mean(scores);
}

Deno.test("a line has what RULER's evaluator reads, and its scoring gives the cell's accuracy", () =>
  inFolder(async (out) => {
    const tasks = ["niah_single_1", "niah_multivalue", "vt"] as const;
    const half = wordsOracle("half", tasks, {
      reply: (_, right, index) =>
        index % 2 === 0 ? `\n ${right.toUpperCase()} ` : right.slice(0, 9),
    });
    await runSweep(WORDS, oracles([half]), { out, logSamples: true });
    await checkScores(out, await samplesIn(out));
    const lines = (await Deno.readTextFile(join(out, SAMPLES))).trimEnd().split("\n")
      .map((line) => JSON.parse(line));
    const expected = await accuracies(out);
    for (const [key, ofCell] of Map.groupBy(lines, ({ cell }) => cellKey(cell))) {
      for (const { input, outputs, others, truncation, length, index, pred } of ofCell) {
        assertEquals([others, truncation], [{}, -1]);
        assert(
          Number.isInteger(index) && typeof pred === "string" && length <= ofCell[0].cell.length,
        );
        assert(outputs.every((output: string) => input.includes(output)), "the prompt holds it");
      }
      assertAlmostEquals(rulerScore(ofCell), 100 * expected.get(key)!, 1e-3, key);
    }
  }));

Deno.test("a long prompt is kept as its beginning, its end and its hash", () =>
  inFolder(async (out) => {
    const source = oracles([wordsOracle("reader", ["niah_single_1"])]);
    await runSweep({ ...WORDS, lengths: [16384], samples: 2 }, source, { out, logSamples: true });
    const samples = await samplesIn(out);
    assertEquals(samples.length, 4);
    for (const { input, sha256, prompt_tokens, score } of samples) {
      assert(input.length < 10_000 && / \[…[\d,]+ characters…\] /.test(input), input.slice(4000));
      assert(/^[0-9a-f]{64}$/.test(sha256) && prompt_tokens > 16_000);
      assertEquals(score, 1);
    }
    assertEquals(new Set(samples.map(({ sha256 }) => sha256)).size, 4);
  }));

Deno.test("a sweep that was ended continues with its samples: none is lost, none is listed twice", () =>
  inFolder(async (folder) => {
    const whole = join(folder, "whole");
    await runSweep(GRID, NEAR, { out: whole, logSamples: true });
    const expected = await samplesIn(whole);
    const out = join(folder, "killed");
    const [now, signal] = [new AbortController(), new AbortController()];
    let cells = 0;
    await runSweep(GRID, NEAR, {
      out,
      logSamples: true,
      now: now.signal,
      signal: signal.signal,
      onProgress: ({ rows }) => {
        if (rows && ++cells === 3) { for (const each of [signal, now]) each.abort(); }
      },
    });
    const before = await samplesIn(out);
    assertEquals(before.length, 3 * 4);
    // Killed after a cell's samples were written and before its line of the journal, and within a line.
    const text = await Deno.readTextFile(join(out, SAMPLES));
    const next = expected.slice(12, 16).map((record) => `${JSON.stringify(record)}\n`).join("");
    await Deno.writeTextFile(join(out, SAMPLES), `${text}${next}{"index":0,"inp`);
    const rest = await runSweep(GRID, NEAR, { out, logSamples: true, resume: true });
    assertEquals([rest.resumed, rest.total], [3, 8]);
    assertEquals(await samplesIn(out), expected);
    await assertRejects(
      () => runSweep(GRID, NEAR, { out, logSamples: true }),
      Error,
      "it holds results",
    );
    await Deno.remove(join(out, "journal.jsonl"));
    await assertRejects(
      () => runSweep(GRID, NEAR, { out, logSamples: true }),
      Error,
      "samples.jsonl: it holds the samples of another sweep; remove it, or name another folder",
    );
  }));

Deno.test("a sweep that logged no samples is asked again for them, and keeps its results", () =>
  inFolder(async (folder) => {
    const whole = join(folder, "whole");
    await runSweep(GRID, NEAR, { out: whole, logSamples: true });
    const out = join(folder, "unlogged");
    await runSweep(GRID, NEAR, { out });
    const journal = await Deno.readTextFile(join(out, "journal.jsonl"));
    let again = 0;
    const onUnlogged = (cells: number): void => void (again = cells);
    const resume = { out, logSamples: true, resume: true, onUnlogged };
    const result = await runSweep(GRID, NEAR, resume);
    assertEquals([result.resumed, result.total, result.stopped, again], [0, 8, false, 8]);
    assertEquals(await samplesIn(out), await samplesIn(whole));
    assertEquals(await Deno.readTextFile(join(out, "journal.jsonl")), journal);
    again = 0;
    assertEquals((await runSweep(GRID, NEAR, resume)).resumed, 8);
    assertEquals(again, 0);
  }));

Deno.test("samples of shards are merged like their cells, once, however often", () =>
  inFolder(async (folder) => {
    const source = oracles([
      windowOracle("near", 32, ["mqar", "passkey"]),
      windowOracle("far", 4096, ["induction"]),
    ]);
    const whole = join(folder, "whole");
    await runSweep(GRID, source, { out: whole, logSamples: true });
    const expected = await samplesIn(whole);
    const out = join(folder, "sharded");
    for (let index = 0; index < 3; index++) {
      const shard = { index, count: 3 };
      await runSweep(GRID, source, { out: shardFolder(out, shard), shard, logSamples: true });
      await mergeSweep([out], source, out);
    }
    const key = ({ cell, index }: SampleRecord): string => `${cellKey(cell)} ${index}`;
    const sorted = (samples: readonly SampleRecord[]): SampleRecord[] =>
      samples.toSorted((a, b) => key(a) < key(b) ? -1 : 1);
    assertEquals(sorted(await samplesIn(out)), sorted(expected));
    await mergeSweep([out], source, out);
    assertEquals(sorted(await samplesIn(out)), sorted(expected));
  }));
