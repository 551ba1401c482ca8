import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import {
  parseRows,
  type Row,
  runSweep,
  type SubjectCard,
  type SweepConfiguration,
} from "../../tasks/mod.ts";
import { cellKey, enumerateCells } from "../../tasks/sweep/cells.ts";
import { mergeSweep } from "../../tasks/sweep/merge.ts";
import { parseShard, shardFolder, takeShard } from "../../tasks/sweep/shards.ts";
import { withoutCosts } from "./example_rows.ts";
import { oracles, windowOracle } from "./window_oracle.ts";
import { inNewFolder } from "../testing.ts";

const SMALL: SweepConfiguration = {
  name: "small",
  models: [],
  tasks: [],
  lengths: ["1x", "2x", 256],
  depths: [],
  loads: [],
  seeds: [0, 1],
  samples: 8,
};
const MODELS = [
  windowOracle("near", 32, ["mqar", "passkey"]),
  windowOracle("far", 4096, ["induction"]),
  windowOracle("middle", 100, ["mqar", "passkey"]),
];
const SOURCE = oracles(MODELS);

async function runShard(out: string, index: number, count: number): Promise<void> {
  const shard = { index, count };
  await runSweep(SMALL, SOURCE, { out: shardFolder(out, shard), shard, resume: true });
}

Deno.test("the shards of a grid hold each cell once, in ranges of the grid's order", async () => {
  const grid = await enumerateCells(SMALL, await SOURCE.find([]));
  const keys = grid.flatMap(({ cells }) => cells).map(cellKey);
  for (const count of [1, 2, 3, 7, keys.length, 100]) {
    const shares = Array.from(
      { length: count },
      (_, index) => takeShard(grid, SMALL, { index, count }),
    );
    assertEquals(shares.flat().flatMap(({ cells }) => cells).map(cellKey), keys, `${count} shards`);
    assert(shares.flat().every(({ cells }) => cells.length > 0));
    const loads = shares.flat().length;
    assert(loads < grid.length + count, `${loads} models are loaded by ${count} shards`);
  }
});

Deno.test("shards are of about equal work: a growing state and more weights make a cell larger", async () => {
  const seeds = Array.from({ length: 16 }, (_, i) => i);
  const configuration = { ...SMALL, lengths: [64, 4096], seeds, tasks: ["passkey"] };
  const card = (name: string, change: Partial<SubjectCard>): SubjectCard => {
    const { family, parameters, trainLength, tasks, task } = MODELS[0];
    return { name, family, parameters, trainLength, tasks, task, ...change };
  };
  const counts = async (...cards: SubjectCard[]): Promise<number[]> => {
    const grid = await enumerateCells(configuration, cards);
    return [0, 1].map((index) =>
      takeShard(grid, configuration, { index, count: 2 })
        .reduce((sum, { cells }) => sum + cells.length, 0)
    );
  };
  // Of each model, 16 cells of 64 tokens and then 16 of 4096: half the work is in the last few.
  assertEquals(await counts(card("only", {})), [24, 8]);
  assertEquals(await counts(card("a", {}), card("b", {})), [32, 32]);
  const [, large] = await counts(card("a", {}), card("b", { parameters: 3000 }));
  assertEquals(large, 11); // two thirds of b's sixteen long ones, of which each is three of a's
  // At 4096 tokens this cache adds on average 2048 numbers to 1000 weights, at 64 tokens 32.
  const [, cached] = await counts(card("a", {}), card("b", { stateBytes: (t) => 4 * t }));
  assertEquals(cached, 11);
});

Deno.test("parseShard() counts from 0", () => {
  assertEquals(parseShard("0/8"), { index: 0, count: 8 });
  assertEquals(parseShard("7/8"), { index: 7, count: 8 });
  for (const wrong of ["8/8", "1", "", "/8", "-1/8", "0/0", "1.5/3", "a/b", "0/8 "]) {
    assertThrows(() => parseShard(wrong), RangeError, "the first is 0/8, the last 7/8");
  }
});

Deno.test("merged shards are the sweep; what is missing is named, and resumed from the whole", () =>
  inNewFolder(async (out) => {
    const alone = `${out}-alone`;
    const whole = await runSweep(SMALL, SOURCE, { out: alone });
    await runShard(out, 0, 3);
    await runShard(out, 2, 3);
    const part = await mergeSweep([out], SOURCE, out);
    assertEquals([part.total, part.joined.length], [whole.total, 2]);
    assert(part.missing.length > 0 && part.missing.length < whole.total);
    const share = takeShard(await enumerateCells(SMALL, MODELS), SMALL, { index: 1, count: 3 });
    assertEquals(part.missing, share.flatMap(({ cells }) => cells));

    await runShard(out, 1, 3);
    const merged = await mergeSweep([out], SOURCE, out);
    assertEquals([merged.missing, merged.double, merged.contradictions, merged.foreign], [
      [],
      [],
      [],
      [],
    ]);
    assertEquals(withoutCosts(merged.rows), withoutCosts(whole.rows));
    const csv = async (folder: string): Promise<Row[]> =>
      parseRows(await Deno.readTextFile(join(folder, "sweep.csv")), folder)
        .map(({ seconds: _, started: __, ...row }) => row);
    assertEquals(await csv(out), await csv(alone)); // the oracle's times are the same each time
    const resumed = await runSweep(SMALL, SOURCE, { out, resume: true });
    assertEquals([resumed.resumed, resumed.total], [whole.total, whole.total]);
  }));

Deno.test("what is missing after a merge is run by --resume, and nothing else", () =>
  inNewFolder(async (out) => {
    await runShard(out, 0, 2);
    const { missing, total } = await mergeSweep([out], SOURCE, out);
    const resumed = await runSweep(SMALL, SOURCE, { out, resume: true });
    assertEquals(resumed.resumed, total - missing.length);
    await runShard(out, 1, 2);
    const merged = await mergeSweep([out], SOURCE, out);
    assertEquals([merged.missing, merged.contradictions], [[], []]);
  }));

Deno.test("a cell that was run twice: one answer is fine, two are told with both", () =>
  inNewFolder(async (out) => {
    for (const index of [0, 1]) await runShard(out, index, 2);
    const journal = join(shardFolder(out, { index: 0, count: 2 }), "journal.jsonl");
    const lines = (await Deno.readTextFile(journal)).trimEnd().split("\n")
      .map((line) => line.replace(/,"checksum":"\w+"\}$/, "}")); // they will be others
    const other = shardFolder(out, { index: 5, count: 9 });
    await Deno.mkdir(other, { recursive: true });
    const slower = lines[1].replaceAll(/"(prefill_ms|step_ms)":[\d.]+/g, '"$1":99');
    const better = lines[2].replace(
      /"metric":"accuracy","value":[\d.]+/,
      (text) => text.replace(/[\d.]+$/, "0.123"),
    );
    assert(slower !== lines[1] && better !== lines[2]);
    await Deno.writeTextFile(
      join(other, "journal.jsonl"),
      [lines[0], slower, better].join("\n") + "\n",
    );
    const { double, contradictions, missing, total } = await mergeSweep([out], SOURCE, out);
    assertEquals([missing.length, total], [0, 30]);
    assertEquals(double.map(cellKey), [JSON.parse(lines[1]).cell]);
    assertEquals(contradictions.map(({ cell }) => cellKey(cell)), [JSON.parse(lines[2]).cell]);
    const [{ kept, other: left, difference }] = contradictions;
    assertEquals([kept, left], [shardFolder(out, { index: 0, count: 2 }), other]);
    assert(/^accuracy is [\d.]+ on no GPU, and 0\.123 on no GPU$/.test(difference), difference);
  }));

Deno.test("a journal of another sweep is left out and told", () =>
  inNewFolder(async (out) => {
    for (const index of [0, 1]) await runShard(out, index, 2);
    const shard = { index: 3, count: 4 };
    const folder = shardFolder(out, shard);
    await runSweep({ ...SMALL, samples: 9 }, SOURCE, { out: folder, shard });
    const { foreign, missing, contradictions } = await mergeSweep([out], SOURCE, out);
    assertEquals([missing.length, contradictions.length], [0, 0]);
    assertEquals(foreign.map(({ folder, reason }) => [folder, reason]), [
      [folder, "samples: 9, not 8"],
    ]);
  }));

Deno.test("folders without a journal, retrained models, a folder in use: no merge", () =>
  inNewFolder(async (out) => {
    await assertRejects(() => mergeSweep([out], SOURCE, out), Error, "there is no journal in");
    await runShard(out, 0, 1);
    const retrained = oracles([windowOracle("near", 33, ["mqar"]), ...MODELS.slice(1)]);
    await assertRejects(
      () => mergeSweep([out], retrained, out),
      Error,
      "are not those that were swept",
    );
    await mergeSweep([out], SOURCE, out);
    await Deno.remove(join(out, "journal.jsonl"));
    let refused: Promise<void> | undefined;
    await runSweep(SMALL, SOURCE, {
      out,
      onProgress: () => {
        refused ??= assertRejects(
          () => mergeSweep([out], SOURCE, out),
          Error,
          "another sweep is writing there",
        ).then(() => {});
      },
    });
    await refused;
  }));

Deno.test("a shard continues where it was, and not with another shard's journal", () =>
  inNewFolder(async (out) => {
    const shard = { index: 0, count: 2 };
    const abort = new AbortController();
    const first = await runSweep(SMALL, SOURCE, {
      out,
      shard,
      signal: abort.signal,
      onProgress: ({ done }) => done === 2 && abort.abort(),
    });
    assertEquals(first.stopped, true);
    await assertRejects(
      () => runSweep(SMALL, SOURCE, { out, shard: { index: 1, count: 2 }, resume: true }),
      Error,
      "its journal is of shard 0/2",
    );
    const second = await runSweep(SMALL, SOURCE, { out, shard, resume: true });
    assertEquals([second.resumed, second.stopped], [2, false]);
  }));
