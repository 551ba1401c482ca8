import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { commitOf } from "../../tasks/commit.ts";
import { SWEEPS } from "../../tasks/experiments/mod.ts";
import {
  COLUMNS,
  formatRows,
  parseLength,
  parseRows,
  type Row,
  runSweep,
  score,
  type SubjectCard,
  type SweepProgress,
  type Task,
  tokensOf,
  wilson,
} from "../../tasks/mod.ts";
import { cellKey } from "../../tasks/sweep/cells.ts";
import { Clock } from "../../tasks/sweep/clock.ts";
import { SMALL } from "./small_sweep.ts";
import { oracles, windowOracle } from "./window_oracle.ts";
import { inNewFolder } from "../testing.ts";

Deno.test("a sweep runs every cell once, and its CSV has the columns of the design", () =>
  inNewFolder(async (out) => {
    let answered = 0;
    const onAnswer = (): void => void answered++;
    const source = oracles([
      windowOracle("near", 32, ["mqar", "passkey"], { onAnswer }),
      windowOracle("far", 4096, ["induction"], { onAnswer }),
    ]);
    const seen: SweepProgress[] = [];
    const result = await runSweep(SMALL, source, { out, onProgress: (p) => seen.push(p) });
    assertEquals(result.total, 2 * 3 * 2 + 3 * 2);
    assertEquals([result.failed.length, result.resumed, result.stopped], [0, 0, false]);
    // Each cell once, and each model's three lengths once before they are timed.
    assertEquals(answered, result.total + 2 * 3);
    assertEquals(seen.at(-1)!.done, result.total);
    assertEquals(seen.at(-1)!.modelsLeft, 0);
    assert(seen.some(({ millisecondsLeft }) => millisecondsLeft !== undefined));

    const csv = await Deno.readTextFile(join(out, "sweep.csv"));
    assertEquals(
      csv.split("\r\n")[0],
      "model,variant,family,parameters,dtype,state_bytes,train_length,train_seed,train_tokens,learning_rate,task,template,length,depth,load,distance,seed,samples,metric,value,ci_low,ci_high,prefill_ms,step_ms,peak_bytes,replies_empty,begin_token,reason,seconds,started,adapter,commit,version",
    );
    assertEquals(csv.split("\r\n")[0], COLUMNS.join());
    assertEquals(parseRows(csv, "sweep.csv"), JSON.parse(JSON.stringify(result.rows)));
    const [first] = result.rows;
    assertEquals(first, {
      ...first,
      model: "near",
      family: "oracle",
      parameters: 1000,
      state_bytes: 128,
      train_length: 64,
      task: "mqar",
      length: 64,
      load: 4,
      seed: 0,
      samples: 8,
      metric: "accuracy",
      prefill_ms: 0.64,
      step_ms: 1.032,
      peak_bytes: 4096 + 64 * 4,
      adapter: "no GPU",
      version: "0.1.0",
    });
    assertEquals(first.depth, undefined);
    assert(first.ci_low! <= first.value && first.value <= first.ci_high!);
    const far = result.rows.filter(({ model, metric }) => model === "far" && metric === "accuracy");
    assert(far.every(({ value }) => value === 1));
  }));

Deno.test("the oracle's accuracy follows the window law that the sweep states", () =>
  inNewFolder(async (out) => {
    const configuration = { ...SMALL, lengths: [64, 128, 256, 512], samples: 400, seeds: [0] };
    const source = oracles([windowOracle("near", 48, ["passkey"])]);
    const { rows } = await runSweep(configuration, source, { out });
    for (const length of [64, 128, 256, 512]) {
      const of = (metric: string): number =>
        rows.find((row) => row.length === length && row.metric === metric)!.value;
      const seen = Math.min(1, 48 / length);
      assert(Math.abs(of("window_law") - (seen + (1 - seen) / 16)) < 0.07, `law at ${length}`);
      const { low, high } = wilson(of("accuracy"), 400);
      assert(low - 0.02 <= of("window_law") && of("window_law") <= high + 0.02, `at ${length}`);
      assertEquals(of("chance"), 1 / 16);
    }
  }));

Deno.test("a task may have a grid of its own in part; the short lengths come first all the same", () =>
  inNewFolder(async (out) => {
    const source = oracles([windowOracle("near", 32, ["mqar", "passkey"])]);
    const grids = { passkey: { depths: [0, 1], samples: 5, seeds: [7], lengths: [64, 512] } };
    const configuration = { ...SMALL, lengths: [128], seeds: [5], grids };
    const { rows } = await runSweep(configuration, source, { out });
    const accuracies = rows.filter(({ metric }) => metric === "accuracy");
    assertEquals(
      accuracies.map(({ task, length, depth, seed, samples }) => [
        ...[task, length, depth, seed, samples],
      ]),
      [
        ["passkey", 64, 0, 7, 5],
        ["passkey", 64, 1, 7, 5],
        ["mqar", 128, undefined, 5, 8],
        ["passkey", 512, 0, 7, 5],
        ["passkey", 512, 1, 7, 5],
      ],
    );
    await assertRejects(
      () => runSweep({ ...configuration, grids: { mqar: { seeds: [] } } }, source, { out }),
      RangeError,
      "there must be at least one seed",
    );
  }));

Deno.test("cells run in rounds: one seed of every model and task before the next", () =>
  inNewFolder(async (out) => {
    const opened: string[] = [];
    const asked: string[] = [];
    const subjects = [
      windowOracle("near", 32, ["mqar", "passkey"]),
      windowOracle("far", 4096, ["induction"]),
    ];
    const source = oracles(subjects, ({ name }) => opened.push(name));
    const grids = { passkey: { seeds: [9, 4, 1] } };
    const configuration = { ...SMALL, grids, lengths: [64, 128], seeds: [3, 1] };
    const saved: number[] = [];
    const { rows, total } = await runSweep(configuration, source, {
      out,
      onProgress: ({ cell, rows }) =>
        rows && asked.push(`${cell.task} ${cell.length} ${cell.seed}`),
      onResults: (table) => void saved.push(new Set(table.map(({ model }) => model)).size),
    });
    assertEquals(asked, [
      ...["mqar 64 3", "passkey 64 9", "mqar 128 3", "passkey 128 9"],
      ...["induction 64 3", "induction 128 3"],
      ...["mqar 64 1", "passkey 64 4", "mqar 128 1", "passkey 128 4"],
      ...["induction 64 1", "induction 128 1"],
      ...["passkey 64 1", "passkey 128 1"],
    ]);
    assertEquals(total, asked.length);
    assertEquals(saved, [2, 2], "results are written after the first and the second round");
    assertEquals(opened, ["near", "far", "near", "far", "near"]);
    const again = await runSweep(configuration, oracles(subjects), { out, resume: true });
    assertEquals(
      rows.map(({ task }) => task),
      again.rows.map(({ task }) => task),
      "as the grid is",
    );
    // One model alone is loaded once.
    opened.length = 0;
    const alone = { ...configuration, models: ["near"] };
    await runSweep(alone, source, { out: `${out}-alone` });
    assertEquals(opened, ["near"]);
  }));

Deno.test("a sweep says when its cells were begun and how long they took, and stops when its time is up", () =>
  inNewFolder(async (out) => {
    const before = Date.now();
    const source = oracles([windowOracle("near", 32, ["passkey"], { milliseconds: 120 })]);
    const { stopped, rows, failed, total } = await runSweep(SMALL, source, {
      out,
      minutes: 0.4 / 60,
    });
    assert(stopped && failed.length === 0 && rows.length > 0);
    const left = await runSweep(SMALL, source, { out, resume: true });
    assert(
      left.resumed >= 2 && left.resumed < total && !left.stopped,
      `${left.resumed} of ${total}`,
    );
    const csv = parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv");
    for (const { seconds, started, commit } of csv) {
      assert(seconds! >= 0.12 && seconds! < 60, `${seconds} s`);
      assert(Date.parse(started!) >= before && Date.parse(started!) <= Date.now(), started);
      assert(commit === undefined || /^[0-9a-f]{12}$/.test(commit), commit);
    }
  }));

Deno.test("the time that is left is estimated from cells of the kind that were run", () => {
  const task = { metric: "accuracy" } as Task;
  const card = { name: "m", parameters: 1000 } as SubjectCard;
  const cells = [64, 256, 1024, 4096].flatMap((length) =>
    [0, 1, 2].map((seed) => ({ model: "m", task: "t", length, seed }))
  );
  const grid = [{ card, tasks: new Map([["t", task]]), cells }];
  const clock = new Clock(grid, SMALL, new Map());
  assertEquals(clock.state(), { done: 0, total: 12, modelsLeft: 1 });
  // A cell takes 5 ms, and a millisecond for each 64 tokens; the first of a length 40 ms more.
  const costOf = (length: number): number => 5 + length / 64;
  for (const length of [64, 256, 1024, 4096]) {
    clock.finish({ model: "m", task: "t", length, seed: 0 }, (costOf(length) + 40) / 1000, false);
  }
  for (const length of [64, 256, 1024]) {
    clock.finish({ model: "m", task: "t", length, seed: 1 }, costOf(length) / 1000, false);
  }
  const left = [4096, 64, 256, 1024, 4096].reduce((sum, length) => sum + costOf(length), 0);
  const { done, millisecondsLeft } = clock.state();
  assertEquals(done, 7);
  // Of the longest only the first was run, with what was done once for its length.
  assert(
    millisecondsLeft! >= left && millisecondsLeft! <= left + 2 * 40,
    `${millisecondsLeft} of ${left}`,
  );
});

Deno.test("a sweep that continues knows by its journal what is left, and a new one after a cell", () => {
  const task = { metric: "accuracy" } as Task;
  const card = { name: "m", parameters: 1000 } as SubjectCard;
  const cells = [64, 1024].flatMap((length) =>
    [0, 1].map((seed) => ({ model: "m", task: "t", length, seed }))
  );
  const grid = [{ card, tasks: new Map([["t", task]]), cells }];
  const finished = new Map(
    [[64, 2], [1024, 20]].map(([length, seconds]) => [
      cellKey({ model: "m", task: "t", length, seed: 0 }),
      [{ seconds } as Row],
    ]),
  );
  assertEquals(new Clock(grid, SMALL, finished).state(), {
    done: 2,
    total: 4,
    modelsLeft: 1,
    millisecondsLeft: 22_000,
  });
  const clock = new Clock(grid, SMALL, new Map());
  clock.finish(cells[0], 0.01, false);
  assert(clock.state().millisecondsLeft! > 10);
});

Deno.test("the commit is that of the repository, of a work tree too", async () => {
  const folder = new URL("../../", import.meta.url).pathname;
  const git = new Deno.Command("git", { args: ["-C", folder, "rev-parse", "HEAD"] });
  const { success, stdout } = await git.output().catch(() => ({
    success: false,
    stdout: undefined,
  }));
  if (success) {
    assertEquals(await commitOf(folder), new TextDecoder().decode(stdout).slice(0, 12));
  }
  assertEquals(await commitOf("/"), undefined);
});

Deno.test("depths and loads are axes where a task has them", () =>
  inNewFolder(async (out) => {
    const source = oracles([windowOracle("near", 32, ["mqar", "passkey"])]);
    const configuration = { ...SMALL, lengths: [128], depths: [0, 1], loads: [2, 8], seeds: [5] };
    const { rows } = await runSweep(configuration, source, { out });
    const accuracies = rows.filter(({ metric }) => metric === "accuracy");
    assertEquals(accuracies.map(({ task, depth, load }) => [task, depth, load]), [
      ["mqar", undefined, 2],
      ["mqar", undefined, 8],
      ["passkey", 0, undefined],
      ["passkey", 1, undefined],
    ]);
    assertEquals(accuracies[3].value, 1);
    assert(accuracies[2].value < 0.6);
    const chances = rows.filter(({ metric, task }) => metric === "chance" && task === "mqar");
    assertEquals(chances.map(({ value }) => value), [0.0416667, 0.0416667]);
    const guesses = rows.filter(({ metric }) => metric === "guess");
    assertEquals(guesses.map(({ task, value }) => [task, value]), [["mqar", 0.5], ["mqar", 0.125]]);
  }));

Deno.test("a grid that cannot be swept is refused before anything runs", () =>
  inNewFolder(async (out) => {
    const source = oracles([windowOracle("near", 32, ["mqar"])], () => {
      throw new Error("nothing should be loaded");
    });
    for (
      const [change, message] of [
        [{ lengths: [8] }, "the smallest length that works is 17"],
        [{ lengths: [] }, "at least one length"],
        [{ seeds: [] }, "at least one seed"],
        [{ seeds: [-1] }, "a seed must be an integer"],
        [{ samples: 0 }, "samples must be an integer from 1"],
        [{ depths: [2] }, "a depth must be from 0 to 1"],
        [{ seeds: [1, 1] }, "seed 1 is listed twice"],
        [{ models: ["near", "near"] }, "model near is listed twice"],
        [{ tasks: ["passkey"] }, "no chosen model can answer it"],
        [{ models: ["nearest"] }, 'Unknown model "nearest". Did you mean "near"?'],
        [{ loads: [100] }, "allows 1 to 24"],
      ] as const
    ) {
      await assertRejects(
        () => runSweep({ ...SMALL, ...change }, source, { out }),
        RangeError,
        message,
      );
    }
  }));

Deno.test("the default sweep has three seeds and lengths to 32 times the training length", () => {
  const { lengths, seeds, models, tasks } = SWEEPS.default;
  assert(seeds.length >= 3);
  assertEquals([tokensOf(lengths[0], 64), tokensOf(lengths.at(-1)!, 64)], [64, 2048]);
  assertEquals([models, tasks], [[], []]);
});

Deno.test("parseLength() takes tokens and multiples", () => {
  assertEquals(["512", "4k", "1M", "8x", "1.5X"].map(parseLength), [
    512,
    4096,
    2 ** 20,
    "8x",
    "1.5x",
  ]);
  for (const wrong of ["", "x", "0", "0x", "-4", "4kb", "1e3"]) {
    assertThrows(() => parseLength(wrong), RangeError, "is not a length");
  }
});

Deno.test("a CSV with foreign columns, uneven lines or words for numbers is refused", () => {
  const row: Row = {
    model: 'a "model", quoted',
    family: "f",
    parameters: 1,
    state_bytes: 2,
    train_length: 3,
    task: "t",
    length: 4,
    seed: 0,
    samples: 1,
    metric: "accuracy",
    value: 0.5,
    adapter: "a",
    version: "v",
  };
  const csv = formatRows([row]);
  assertEquals(parseRows(csv, "x.csv"), [row]);
  assertThrows(() => parseRows("a,b\r\n1,2\r\n", "x.csv"), Error, "lacks the columns model");
  assertThrows(() => parseRows(csv.replace("0.5", "half"), "x.csv"), Error, "line 2 has half for");
  assertThrows(() => parseRows(csv.replace("0.5", ""), "x.csv"), Error, "has nothing for value");
  assertThrows(() => parseRows(csv + "a,b\r\n", "x.csv"), Error, "line 3 has 2 fields");
  assertThrows(() => parseRows("", "x.csv"), Error, "it is empty");
});

Deno.test("where each sample has its own depth, accuracy is scored by bands of it", async () => {
  const oracle = windowOracle("near", 1, ["passkey"]);
  const task = await oracle.task("passkey");
  const samples = Array.from(
    { length: 50 },
    (_, index) => task.sample({ length: 103, seed: 0, index, split: "test" }),
  );
  const nll = samples.map(() => new Float32Array(1));
  const deep = samples.map(({ depth }) => depth! >= 0.6);
  const correct = deep.map((right) => Uint8Array.of(Number(right)));
  const scores = score(task, samples, { correct, nll });
  const bands = scores.filter(({ metric }) => metric.startsWith("accuracy@"));
  assertEquals(bands.map(({ metric, value }) => [metric, value]), [
    ["accuracy@0-0.2", 0],
    ["accuracy@0.2-0.4", 0],
    ["accuracy@0.4-0.6", 0],
    ["accuracy@0.6-0.8", 1],
    ["accuracy@0.8-1", 1],
  ]);
  assertEquals(bands.reduce((sum, { samples }) => sum + samples!, 0), 50);
  const fixed = score(task, samples, { correct, nll }, { depth: 0.5 });
  assert(!fixed.some(({ metric }) => metric.includes("@")));
});

Deno.test("perplexity is scored as a whole and by position", async () => {
  const oracle = windowOracle("reader", 1, ["text"]);
  const task = await oracle.task("text");
  const samples = [0, 1, 2].map((index) =>
    task.sample({ length: 100, seed: 0, index, split: "test" })
  );
  const nll = samples.map(() => Float32Array.from({ length: 100 }, (_, t) => t < 16 ? 2 : 1));
  const scores = score(task, samples, { correct: nll.map(() => new Uint8Array(100)), nll });
  assertEquals(scores.map(({ metric }) => metric), [
    "perplexity",
    "perplexity@0-15",
    "perplexity@16-31",
    "perplexity@32-63",
    "perplexity@64-99",
    "bits_per_byte",
  ]);
  assert(Math.abs(scores[0].value - Math.exp(1.16)) < 1e-5);
  assert(Math.abs(scores[1].value - Math.exp(2)) < 1e-5);
  assert(Math.abs(scores[4].value - Math.E) < 1e-5);
});
