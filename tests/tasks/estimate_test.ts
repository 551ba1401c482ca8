import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { ModelSource } from "../../tasks/subjects/source.ts";
import {
  runSweep,
  type Subject,
  type SubjectSource,
  type SweepConfiguration,
} from "../../tasks/mod.ts";
import { enumerateCells } from "../../tasks/sweep/cells.ts";
import { estimateSweep, type SweepEstimate } from "../../tasks/sweep/estimate.ts";
import { fitNonNegative } from "../../tasks/sweep/fit.ts";
import { oracles, windowOracle } from "./window_oracle.ts";
import { inFolder } from "../testing.ts";

const SMALL: SweepConfiguration = {
  name: "small",
  models: [],
  tasks: ["passkey"],
  lengths: ["1x"],
  depths: [],
  loads: [],
  seeds: [0],
  samples: 4,
};

async function estimate(
  configuration: SweepConfiguration,
  source: SubjectSource,
): Promise<SweepEstimate> {
  const grid = await enumerateCells(configuration, await source.find(configuration.models));
  return await estimateSweep(grid, configuration, source);
}

Deno.test("fitNonNegative() finds the terms that there are, and no negative ones", () => {
  const measured = [1, 2, 4, 8, 16].map((x) => [1, x, x * x]);
  const values = measured.map(([one, x, square]) => 3 * one + 0 * x + 0.5 * square);
  const exact = fitNonNegative(measured, values);
  [3, 0, 0.5].forEach((value, i) => assertAlmostEquals(exact[i], value, 1e-9));
  // 10 − x falls: with no negative term, the nearest is a constant.
  const falling = fitNonNegative([[1, 1], [1, 2], [1, 3]], [9, 8, 7]);
  assertEquals(falling[1], 0);
  assert(falling[0] > 7 && falling[0] < 9);
  // By relative error: a small value counts as much as a large one.
  const [slope] = fitNonNegative([[1], [1000]], [1, 2000]);
  assert(slope > 1 && slope < 1.5, String(slope));
  assertEquals(fitNonNegative([[1, 0], [1, 0]], [2, 2]), [2, 0]); // a term that is never there
});

/** A model of known costs, which it takes by waiting. */
function waiting(
  name: string,
  milliseconds: (batch: number, length: number) => number,
  bytes: (batch: number, length: number) => number,
  stateBytes: (length: number) => number,
): Subject & AsyncDisposable {
  const oracle = windowOracle(name, 32, ["passkey"]);
  const wait = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, milliseconds));
  return {
    ...oracle,
    stateBytes,
    segmentTokens: 4096,
    answer: async (samples) => {
      const { length } = samples[0].tokens;
      await wait(milliseconds(samples.length, length));
      return { ...await oracle.answer(samples), peakBytes: bytes(samples.length, length) };
    },
    stepMilliseconds: async (length) => {
      await wait(20);
      return 1 + length / 1000;
    },
  };
}

Deno.test("cost continues to grow as the state does: linearly, or with the square", async () => {
  const linear = (batch: number, length: number): number => 2 + batch * length * 0.01;
  const square = (batch: number, length: number): number =>
    linear(batch, length) + batch * length ** 2 * 2e-5;
  const cache = (length: number): number => 8 * length;
  const held = (batch: number, length: number): number =>
    1e6 + 100 * Math.min(4096, batch * length);
  const source = oracles([
    waiting("recurrent", linear, held, () => 64),
    waiting("attention", square, (b, l) => held(b, l) + 2 * b * cache(l), cache),
  ]);
  const configuration = { ...SMALL, lengths: [64, 131072] };
  const { cells } = await estimate(configuration, source);
  const of = (model: string): number[] =>
    cells.filter(({ cell }) => cell.model === model).map(({ milliseconds }) => milliseconds);
  // Four samples, one at a time at this length, and one before that is not timed.
  for (const [model, cost] of [["recurrent", linear], ["attention", square]] as const) {
    const ratio = of(model)[1] / (5 * cost(1, 131072));
    assert(ratio > 0.6 && ratio < 1.6, `${model}: ${ratio} of what it takes`);
  }
  const peaks = cells.map(({ peakBytes }) => peakBytes);
  assertAlmostEquals(peaks[1] / held(1, 131072), 1, 0.1);
  assertAlmostEquals(peaks[3] / (held(1, 131072) + 2 * cache(131072)), 1, 0.1);
  assertEquals(cells.map(({ tokens }) => tokens), [256, 4 * 131072, 256, 4 * 131072]);
});

Deno.test("what is counted is what is run: samples of a task's own, and of perplexities fewer", async () => {
  const configuration: SweepConfiguration = {
    ...SMALL,
    tasks: ["mqar", "passkey", "text"],
    lengths: [64, 16384],
    depths: [0, 1],
    grids: { passkey: { samples: 3 } },
  };
  const source = oracles([
    windowOracle("near", 32, ["mqar", "passkey"]),
    windowOracle("reader", 64, ["text"]),
  ]);
  const { cells } = await estimate(configuration, source);
  await inFolder(async (folder) => {
    const { rows } = await runSweep(configuration, source, { out: join(folder, "out") });
    const whole = rows.filter(({ metric }) => metric === "accuracy" || metric === "perplexity");
    assertEquals(
      cells.map(({ cell, tokens }) => [cell.model, cell.task, cell.length, cell.depth, tokens]),
      whole.map((row) => [row.model, row.task, row.length, row.depth, row.samples * row.length]),
    );
  });
});

Deno.test("a sweep's first line says about how long it takes, though most models were not tried yet", async () => {
  const configuration: SweepConfiguration = {
    ...SMALL,
    lengths: [64, 1024],
    seeds: [0, 1, 2, 3],
    samples: 32,
  };
  const source = oracles([
    waiting("quick", (batch) => 2 + batch * 0.2, () => 1e6, () => 64),
    waiting("slower", (batch) => 6 + batch * 0.2, () => 1e6, () => 64),
    waiting("grows", (batch, length) => batch * length * 1e-3, () => 1e6, () => 64),
  ]);
  await inFolder(async (folder) => {
    const started = performance.now();
    const told: { left: number; passed: number }[] = [];
    await runSweep(configuration, source, {
      out: join(folder, "out"),
      onProgress: ({ millisecondsLeft: left, rows }) => {
        if (rows) told.push({ left: left!, passed: performance.now() - started });
      },
    });
    const whole = performance.now() - started;
    // The first model alone has been looked at; then, all three; then, all have been run.
    for (const [cell, factor] of [[0, 4], [4, 2], [9, 1.5]]) {
      const { passed, left } = told[cell];
      const ratio = (passed + left) / whole;
      assert(
        ratio > 1 / factor && ratio < factor,
        `at cell ${cell}, after ${passed} ms of ${whole}, it said ${left} more`,
      );
    }
  });
});

Deno.test("committed models take what was estimated: time within a factor of 3, memory of 1.5", async () => {
  const configuration: SweepConfiguration = {
    ...SMALL,
    models: ["transformer-mixture", "mamba2-mixture"],
    tasks: ["passkey"],
    lengths: [64, 512, 4096],
    samples: 2,
  };
  await inFolder(async (folder) => {
    await using source = new ModelSource();
    const before = await estimate(configuration, source);
    assertEquals(before.adapter, await source.adapter());

    const peaks = new Map<Subject, number>();
    const watched: SubjectSource = {
      adapter: () => source.adapter(),
      find: (names) => source.find(names),
      open: async (card) => {
        const subject = await source.open(card);
        const answer = subject.answer.bind(subject);
        subject.answer = async (samples) => {
          const answers = await answer(samples);
          peaks.set(subject, Math.max(peaks.get(subject) ?? 0, answers.peakBytes));
          return answers;
        };
        return subject;
      },
    };
    const actual: { milliseconds: number; peakBytes: number }[] = [];
    let last = performance.now();
    await runSweep(configuration, watched, {
      out: join(folder, "out"),
      onProgress: ({ rows, failed }) => {
        assertEquals(failed, undefined);
        if (rows === undefined) return;
        const now = performance.now();
        const [subject] = [...peaks.keys()].slice(-1);
        actual.push({ milliseconds: now - last, peakBytes: peaks.get(subject)! });
        peaks.set(subject, 0);
        last = now;
      },
    });
    assertEquals(actual.length, before.cells.length);
    const total = (list: readonly { milliseconds: number }[]): number =>
      list.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    const faults = ({ cells }: SweepEstimate): string[] => {
      const ratios: [what: string, ratio: number, factor: number][] = [
        ["time", total(cells) / total(actual), 3],
        ...configuration.lengths.map((length): [string, number, number] => {
          const of = (list: readonly { milliseconds: number }[]): number =>
            total(list.filter((_, i) => cells[i].cell.length === length));
          return [`time at ${length}`, of(cells) / of(actual), 3];
        }),
        ...cells.map(({ cell, peakBytes }, i): [string, number, number] => [
          `bytes of ${JSON.stringify(cell)}`,
          peakBytes / actual[i].peakBytes,
          1.5,
        ]),
      ];
      return ratios.filter(([, ratio, factor]) => !(ratio > 1 / factor && ratio < factor))
        .map(([what, ratio]) => `${what}: ${ratio} of what it took`);
    };
    // What else runs on the machine comes and goes: what is true before or after is good enough.
    let wrong = faults(before);
    if (wrong.length > 0) wrong = faults(await estimate(configuration, source));
    assertEquals(wrong, []);
  });
});

Deno.test("cells that do not fit are named, and refused in a run, with none of their samples made", async () => {
  const longest = 1_000_000_000;
  let made = 0;
  const oracle = windowOracle("small", 32, ["passkey", "mqar"]);
  const source = oracles([{
    ...oracle,
    task: async (...of) => {
      const task = await oracle.task(...of);
      return {
        ...task,
        sample: (at) => {
          made = Math.max(made, at.length);
          return task.sample(at);
        },
      };
    },
    checkRoom: (length, batch) => {
      if (length > 1000) throw new RangeError(`Cannot read ${batch} × ${length} tokens`);
    },
  }]);
  for (const lengths of [[64, longest], [longest]]) {
    const configuration = { ...SMALL, tasks: [], lengths, samples: 1 };
    const { cells } = await estimate(configuration, source);
    const refused = cells.filter(({ noRoom }) => noRoom !== undefined);
    assertEquals(refused.map(({ cell }) => cell.length), [longest, longest]);
    for (const { noRoom, milliseconds } of refused) {
      assert(/^Cannot (read|make) 1 × 1000000000 tokens/.test(noRoom!), noRoom);
      assertEquals(milliseconds, 0);
    }
    await inFolder(async (folder) => {
      const { failed, rows } = await runSweep(configuration, source, { out: join(folder, "out") });
      assertEquals(failed.map(({ cell }) => cell.length), [longest, longest]);
      assert(/^Cannot (read|make) 1 × 1000000000 tokens/.test(failed[0].reason));
      assertEquals(new Set(rows.map(({ length }) => length)).size, lengths.length - 1);
    });
  }
  assert(made <= 4096, `a sample of ${made} tokens was made`);
});
