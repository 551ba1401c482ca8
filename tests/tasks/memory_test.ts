import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path";
import { loadTokenizer } from "../../models/mod.ts";
import {
  BASE_TEMPLATE,
  contextGain,
  createTask,
  forgettingCurve,
  ModelSource,
  type Row,
  runSweep,
  type Sample,
  score,
  scoredPositions,
  type SweepConfiguration,
  type Task,
  UNSCORED,
} from "../../tasks/mod.ts";
import { keyTokens, scoreContextGain, scoreForgetting } from "../../tasks/sweep/controls.ts";
import { covered } from "../../tasks/sweep/judges.ts";
import { inFolder } from "../testing.ts";
import { COMPARED, oracles, SEEN_NLL, windowOracle } from "./window_oracle.ts";

const AT = { seed: 0, index: 0, split: "test" } as const;

const CONFIGURATION: SweepConfiguration = {
  name: "memory",
  models: [],
  tasks: [],
  lengths: [],
  depths: [],
  loads: [],
  seeds: [0],
  samples: 4,
};

/** A file of random letters, the same every `period` bytes. */
async function writeRepeated(path: string, period: number, length: number): Promise<void> {
  let state = 1;
  const letters = Uint8Array.from({ length: period }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 97 + Math.floor(state / 2 ** 32 * 26);
  });
  await Deno.writeFile(path, Uint8Array.from({ length }, (_, i) => letters[i % period]));
}

/** What a metric is at each length. */
function valuesOf(rows: readonly Row[], metric: string): (number | undefined)[] {
  return [...Map.groupBy(rows, ({ length }) => length)].sort(([a], [b]) => a - b)
    .map(([, cells]) => cells.find((row) => row.metric === metric)?.value);
}

Deno.test("forgetting-curve: a stretch twice, and the same stretch behind other text", async () => {
  const book = await Deno.readFile(new URL("../../README.md", import.meta.url));
  const file = new URL("../../README.md", import.meta.url).pathname;
  const task = await forgettingCurve({ file, heldOut: 0.5 });
  for (const length of [4, 5, 100, 101]) {
    for (const split of ["train", "test"] as const) {
      const { tokens, labels, evidence } = task.sample({ ...AT, length, split });
      const [control] = task.controls!({ ...AT, length, split });
      const half = Math.floor(length / 2);
      const stretch = tokens.slice(-half);
      assertEquals(tokens.length, length);
      assertEquals(tokens.slice(length - 2 * half, -half), stretch);
      assertEquals(control.tokens.slice(-half), stretch);
      assertEquals(control.labels, labels);
      assertEquals(
        labels,
        Uint32Array.from(
          { length },
          (_, t) => t >= length - half && t + 1 < length ? tokens[t + 1] : UNSCORED,
        ),
      );
      for (const t of scoredPositions({ tokens, labels })) {
        assertEquals(tokens[evidence![t]], labels[t]);
      }
      // Both stretches are of the split's half of the file, and do not overlap there.
      const text = Array.from(book, (byte) => String.fromCharCode(byte)).join("");
      const part = split === "train"
        ? text.slice(0, Math.floor(book.length / 2))
        : text.slice(Math.floor(book.length / 2));
      if (length < 100) continue;
      const [own, other] = [tokens, control.tokens].map((of) =>
        part.indexOf(String.fromCharCode(...of.slice(0, length - half)))
      );
      assert(own >= 0 && other >= 0 && Math.abs(own - other) >= length - half);
    }
  }
});

Deno.test("forgetting-curve: the scores of an example by hand", () => {
  const sample: Sample = {
    tokens: Uint32Array.of(1, 2, 3, 1, 2, 3),
    labels: Uint32Array.of(...[UNSCORED, UNSCORED, UNSCORED], 2, 3, UNSCORED),
    evidence: Uint32Array.of(...[UNSCORED, UNSCORED, UNSCORED], 1, 2, UNSCORED),
  };
  const answers = (...correct: number[][]) => ({
    correct: correct.map((answers) => Uint8Array.from(answers)),
    nll: correct.map((answers) => Float32Array.from(answers)),
  });
  const own = answers([1, 1], [1, 1], [1, 0]);
  const controls = answers([0, 0], [1, 0], [1, 0]);
  const scores = scoreForgetting([sample, sample, sample], { own, controls }, 2);
  const value = (metric: string): number => scores.find((one) => one.metric === metric)!.value;
  assertAlmostEquals(value("copy_accuracy"), 5 / 6);
  assertAlmostEquals(value("language_model_accuracy"), 2 / 6);
  assertAlmostEquals(value("forgetting_curve"), 3 / 6);
  // The answers stand 2 tokens back: a model that sees 2 copies none of them, one that sees 3 both.
  assertAlmostEquals(value("window_law"), 0);
  const wide = scoreForgetting([sample, sample, sample], { own, controls }, 3);
  assertAlmostEquals(wide.find(({ metric }) => metric === "window_law")!.value, 1 - 2 / 6);
  // The differences 1, 1/2, 0: mean 1/2, standard deviation 1/2, Student's 4.3027 of 2 degrees.
  const { low, high } = scores[0];
  assertAlmostEquals(low!, 0.5 - 4.302652729749462 * 0.5 / Math.sqrt(3));
  assertAlmostEquals(high!, 0.5 + 4.302652729749462 * 0.5 / Math.sqrt(3));
});

Deno.test("context-gain: each token is due behind all before it, and behind a short context", async () => {
  const file = new URL("../../README.md", import.meta.url).pathname;
  for (
    const [options, length, short] of [
      [{ shortContext: 16 }, 100, 16],
      [{}, 100, 25],
      [{ trainedLength: 64 }, 100, 16],
      [{ trainedLength: 4096 }, 100, 25],
      [{ shortContext: 1 }, 2, 1],
      [{}, 2, 1],
      [{ shortContext: 3 }, 64, 3],
    ] as const
  ) {
    const task = await contextGain({ ...options, file });
    const { tokens, labels } = task.sample({ ...AT, length });
    const due = labels.slice(short);
    assertEquals(tokens.length, length);
    assertEquals(due.slice(0, -1), tokens.slice(short + 1));
    assert(labels.subarray(0, short).every((label) => label === UNSCORED));
    const controls = task.controls!({ ...AT, length });
    assertEquals(
      controls.flatMap(({ labels }) => [...labels].filter((label) => label !== UNSCORED)),
      [...due],
    );
    const step = Math.max(1, Math.floor(short / 4));
    assertEquals(controls.length, Math.ceil((length - short) / step));
    const whole = [...tokens, labels.at(-1)!];
    let at = short; // the place of the token after which the next is due
    for (const control of controls) {
      assertEquals(control.tokens.length, short);
      const asked = scoredPositions(control);
      assert(asked[0] + 1 > short - step, "no short context is shorter by more than a step");
      for (const t of asked) {
        assertEquals(control.tokens.slice(0, t + 1), Uint32Array.from(whole.slice(at - t, at + 1)));
        at++;
      }
    }
    assertEquals(at, length);
  }
});

Deno.test("context-gain: the scores of an example by hand", () => {
  const half = Math.log(2);
  const own = { correct: [], nll: [Float32Array.of(half, 2.5, 1), Float32Array.of(1.5, 3, 3)] };
  const controls = {
    correct: [],
    nll: [Float32Array.of(4 + half, 6, 2.9), Float32Array.of(3.6, 3, 2)],
  };
  // Key tokens are likelier by more than 2 nats and then have more than −2: the first of each sample.
  assertEquals(keyTokens(own.nll[0], controls.nll[0]), Uint8Array.of(1, 0, 0));
  assertEquals(keyTokens(own.nll[1], controls.nll[1]), Uint8Array.of(1, 0, 0));
  const scores = scoreContextGain({ own, controls });
  const value = (metric: string): number => scores.find((one) => one.metric === metric)!.value;
  assertAlmostEquals(value("key_tokens"), 2 / 6);
  assertAlmostEquals(value("long_perplexity"), Math.exp((half + 1.5) / 2), 1e-6);
  assertAlmostEquals(value("context_gain"), ((4 + 3.5 + 1.9) / 3 + (2.1 + 0 - 1) / 3) / 2, 1e-6);
  // Another model's key tokens: the second of the first sample, the last two of the other.
  const others = scoreContextGain({ own, controls }, [
    Uint8Array.of(0, 1, 0),
    Uint8Array.of(0, 1, 1),
  ]);
  const { value: perplexity, low } = others.find(({ metric }) => metric === "long_perplexity")!;
  assertAlmostEquals(perplexity, Math.exp((2.5 + 3 + 3) / 3), 1e-5);
  // Residuals of a ratio: 2.5 − 17/6 and 6 − 2 · 17/6, each ±1/3; Student's 12.7062 of 1 degree.
  const half95 = 12.706204736174698 * Math.sqrt(2 * 2 / 9) / 3;
  assertAlmostEquals(Math.log(low!), 17 / 6 - half95, 1e-5);
  assertEquals(
    scoreContextGain({ own: controls, controls }).map(({ metric, value }) => [
      metric,
      value,
    ]),
    [["context_gain", 0], ["key_tokens", 0]],
  );
});

Deno.test("a model that sees W tokens copies what lies within them, and forgets the rest", () =>
  inFolder(async (folder) => {
    const window = 256;
    const fits = 2 * (window - COMPARED); // what is copied, and the tokens it is recognised by
    const lengths = [128, fits, fits + 2, 2 * fits];
    const source = oracles([windowOracle("w", window, ["forgetting-curve"])]);
    const { rows } = await runSweep({ ...CONFIGURATION, lengths }, source, { out: folder });
    const copied = valuesOf(rows, "copy_accuracy");
    const forgotten = valuesOf(rows, "forgetting_curve");
    assert(copied[0]! > 0.8 && copied[1]! > 0.9, `${copied}`);
    assert(forgotten[0]! > 0.75 && forgotten[1]! > 0.85, `${forgotten}`);
    for (const at of [2, 3]) assertAlmostEquals(forgotten[at]!, 0, 0.03);
    assertEquals(valuesOf(rows, "window_law").map((law) => law! > 0.5), [true, true, true, false]);
    for (const [at, value] of valuesOf(rows, "language_model_accuracy").entries()) {
      assertAlmostEquals(copied[at]! - value!, forgotten[at]!, 1e-5);
    }
  }));

Deno.test("a long context adds to a model what lies within its window, and no more", () =>
  inFolder(async (folder) => {
    const [period, length, shortContext] = [300, 1000, 100];
    const file = join(folder, "repeated.txt");
    await writeRepeated(file, period, 20_000);
    const taskOptions = { "context-gain": { file, shortContext } };
    for (
      const [window, share] of [
        // What is due after `period` tokens and those that it is recognised by was seen before.
        [4096, (length - (period + COMPARED - 1)) / (length - shortContext)],
        [period + COMPARED, (length - (period + COMPARED - 1)) / (length - shortContext)],
        [period + COMPARED - 1, 0],
        [128, 0],
      ]
    ) {
      const source = oracles([windowOracle("w", window, ["context-gain"])]);
      const out = join(folder, String(window));
      const { rows } = await runSweep(
        { ...CONFIGURATION, lengths: [length], taskOptions },
        source,
        { out },
      );
      const [gain] = valuesOf(rows, "context_gain");
      const [keys] = valuesOf(rows, "key_tokens");
      const [perplexity] = valuesOf(rows, "long_perplexity");
      // A guess is right by chance now and then, of one byte in 256.
      assertAlmostEquals(keys!, share, 0.01);
      assertAlmostEquals(gain!, share * (Math.log(256) - SEEN_NLL), 0.06);
      assertEquals(perplexity === undefined, share === 0 && keys === 0);
      if (perplexity !== undefined) assertAlmostEquals(perplexity, Math.exp(SEEN_NLL), 1e-5);
    }
  }));

Deno.test("a text that is too short is an error that says how long a sample can be", () =>
  inFolder(async (folder) => {
    const file = join(folder, "short.txt");
    await Deno.writeTextFile(file, "x".repeat(100));
    const tasks: readonly (readonly [Task, number])[] = [
      [await forgettingCurve({ file, heldOut: 1 }), 100],
      [await contextGain({ file, heldOut: 1 }), 99],
    ];
    for (const [task, longest] of tasks) {
      assertEquals(task.sample({ ...AT, length: longest }).tokens.length, longest);
      assertEquals(task.controls!({ ...AT, length: longest }).length > 0, true);
      assertThrows(
        () => task.sample({ ...AT, length: longest + 1 }),
        RangeError,
        `Cannot ask ${task.name} in ${
          longest + 1
        } tokens as its text ends: the largest length that works is ${longest}`,
      );
    }
    const long = await contextGain({ file, heldOut: 1, shortContext: 50 });
    assertThrows(
      () => long.sample({ ...AT, length: 50 }),
      RangeError,
      "the smallest length that works is 51",
    );
    await assertRejects(
      () => contextGain({ file, heldOut: 1, shortContext: 4096 }),
      Error,
      "as it is too short: the file has 100 bytes: 4098 at least are needed",
    );
    await Deno.writeTextFile(file, "abc");
    await assertRejects(
      () => forgettingCurve({ file, heldOut: 1 }),
      Error,
      `Cannot make forgetting-curve of ${file} as it is too short: the file has 3 bytes`,
    );
    await assertRejects(
      () => contextGain({ shortContext: 0 }),
      RangeError,
      "shortContext must be a positive integer",
    );
  }));

Deno.test("controls that a model computes NaN for are not a result", async () => {
  const task = await createTask("context-gain", { shortContext: 8 });
  const sample = task.sample({ ...AT, length: 12 });
  const answers = (value: number) => ({
    correct: [new Uint8Array(4)],
    nll: [new Float32Array(4).fill(value)],
  });
  assertThrows(
    () => score(task, [sample], answers(1), { controls: answers(NaN) }),
    Error,
    "Cannot score context-gain",
  );
  assertThrows(() => score(task, [sample], answers(1)), RangeError, "takes 4 answers");
});

Deno.test("a committed text model is asked by default what it remembers, in memory that does not grow", () =>
  inFolder(async (folder) => {
    await using source = new ModelSource();
    const [card] = await source.find(["gla-text"]);
    assertEquals(card.tasks, ["text", "forgetting-curve", "context-gain"]);
    const { rows, failed } = await runSweep(
      {
        ...CONFIGURATION,
        models: ["gla-text"],
        lengths: [8192, 32768],
        tasks: ["forgetting-curve"],
        samples: 1,
      },
      source,
      { out: folder },
    );
    assertEquals(failed, []);
    const peaks = rows.filter(({ metric }) => metric === "forgetting_curve")
      .map(({ peak_bytes }) => peak_bytes!);
    // Four times as many tokens: but for 8 bytes a scored token, in the same memory.
    assert(peaks[1] - peaks[0] < 8 * 32768 + 2 ** 16, `${peaks}`);
  }));

Deno.test("another model says which tokens count, before the one that is asked is loaded", () =>
  inFolder(async (folder) => {
    const [period, length, shortContext] = [300, 1000, 100];
    const file = join(folder, "repeated.txt");
    await writeRepeated(file, period, 20_000);
    const opened: string[] = [];
    const source = oracles([
      windowOracle("narrow", 128, ["context-gain"]),
      windowOracle("wide", 4096, ["context-gain"]),
    ], ({ name }) => opened.push(name));
    const configuration = {
      ...CONFIGURATION,
      models: ["narrow", "wide"],
      lengths: [length],
      seeds: [0, 1],
      taskOptions: { "context-gain": { file, shortContext, evaluator: "wide" } },
    };
    const { rows } = await runSweep(configuration, source, { out: join(folder, "out") });
    assertEquals(opened, ["wide", "narrow", "wide", "wide", "narrow", "wide"]);
    const share = (length - (period + COMPARED - 1)) / (length - shortContext);
    for (const { metric, model, value } of rows) {
      if (metric === "key_tokens") assertAlmostEquals(value, share, 0.01, model);
      // The narrow model guesses the tokens that the wide one knows.
      if (metric === "long_perplexity" && model === "narrow") assert(value > 200, `${value}`);
      if (metric === "long_perplexity" && model === "wide") {
        assertAlmostEquals(value, Math.exp(SEEN_NLL), 1e-5);
      }
    }
    const missing = { ...configuration, models: ["wide"], seeds: [0] };
    const { failed } = await runSweep(
      { ...missing, taskOptions: { "context-gain": { file, shortContext, evaluator: "nobody" } } },
      source,
      { out: join(folder, "missing") },
    );
    assertEquals(failed.length, 1);
    assertMatch(failed[0].reason, /^Cannot have nobody judge wide: Unknown model "nobody"/);
  }));

Deno.test("key tokens of one tokenizer are those of another that share a byte with them", () =>
  inFolder(async (folder) => {
    assertEquals(
      covered([[0, 2], [2, 3], [3, 3], [3, 7], [7, 9], [9, 12]], [[1, 2], [3, 4], [6, 8]]),
      Uint8Array.of(1, 0, 0, 1, 1, 0),
    );
    const file = join(folder, "text.txt");
    const written = "Naïve whales — grüne Wale — swim. ".repeat(200);
    await Deno.writeTextFile(file, written);
    for (const tokenizer of ["tokenizer_llama", "tokenizer_bytelevel", "tokenizer_world"]) {
      const path = new URL(`../golden/checkpoints/${tokenizer}`, import.meta.url).pathname;
      const wording = { tokenizer: await loadTokenizer(path), template: BASE_TEMPLATE };
      const task = await contextGain({ file, shortContext: 20 }, wording);
      const bytes = await contextGain({ file, shortContext: 20, heldOut: 1 });
      const sample = task.sample({ ...AT, length: 60 });
      const text = task.judged!.textOf(sample);
      const spans = task.judged!.spansOf(sample);
      const asked = scoredPositions(sample);
      const utf8 = new TextEncoder().encode(text);
      assertEquals(spans.length, asked.length);
      assertEquals(spans.at(-1)![1], utf8.length);
      spans.slice(1).forEach(([from], i) => assertEquals(from, spans[i][1]));
      for (const [i, [from, to]] of spans.entries()) {
        const said = wording.tokenizer.decode([sample.labels[asked[i]]]).trim();
        if (/^[\w.]+$/.test(said)) {
          assertEquals(new TextDecoder().decode(utf8.slice(from, to)).trim(), said);
        }
      }
      // The same text in bytes: each byte that is due stands where it stands.
      const again = bytes.judged!.readAgain(text);
      assertEquals(again.sample.tokens, Uint32Array.from(utf8.slice(0, -1)));
      assertEquals(again.spans.at(-1)![1], utf8.length);
      assertEquals(again.controls.length, Math.ceil((utf8.length - 1 - 20) / 5));
    }
  }));

Deno.test("a tokenizer's begin token stands before each sample and each control", async () => {
  const path = new URL("../golden/checkpoints/tokenizer_llama", import.meta.url).pathname;
  const wording = { tokenizer: await loadTokenizer(path), template: BASE_TEMPLATE };
  const begin = wording.tokenizer.beginning!;
  const file = new URL("../../README.md", import.meta.url).pathname;
  for (const length of [40, 41]) {
    const copied = await forgettingCurve({ file }, wording);
    const gained = await contextGain({ file, shortContext: 8 }, wording);
    for (const task of [copied, gained]) {
      const sample = task.sample({ ...AT, length });
      assertEquals([sample.tokens.length, sample.tokens[0], sample.begins], [length, begin, true]);
      const controls = task.controls!({ ...AT, length });
      for (const { tokens } of controls) assertEquals(tokens[0], begin);
      assertEquals(
        controls.flatMap(({ labels }) => [...labels].filter((label) => label !== UNSCORED)),
        [...sample.labels].filter((label) => label !== UNSCORED),
      );
      assertThrows(
        () => task.sample({ ...AT, length: task.shortestLength() - 1 }),
        RangeError,
        "the smallest length that works is",
      );
      assert(scoredPositions(task.sample({ ...AT, length: task.shortestLength() })).length > 0);
    }
    const { tokens } = copied.sample({ ...AT, length });
    const half = Math.floor((length - 1) / 2);
    assertEquals(tokens.slice(length - 2 * half, length - half), tokens.slice(length - half));
    for (const { tokens } of gained.controls!({ ...AT, length })) assertEquals(tokens.length, 9);
  }
});
