import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { loadTokenizer } from "../../models/mod.ts";
import {
  BASE_TEMPLATE,
  createTask,
  induction,
  mqar,
  passkey,
  type Sample,
  scoredPositions,
  selectiveCopying,
  SMALL_TASK_NAMES,
  smallLayout,
  type Task,
  text,
  TEXT_TASKS,
  UNSCORED,
  wilson,
  windowLaw,
} from "../../tasks/mod.ts";
import { answerFromWindow } from "./window_oracle.ts";

const OF_TEXT: readonly string[] = TEXT_TASKS;
const SYNTHETIC = SMALL_TASK_NAMES.filter((name) => !OF_TEXT.includes(name));

function samplesOf(task: Task, length: number, count: number, depth?: number): Sample[] {
  return Array.from(
    { length: count },
    (_, index) => task.sample({ length, seed: 7, index, split: "test", depth }),
  );
}

for (const name of SMALL_TASK_NAMES) {
  Deno.test(`${name}: the same coordinates give the same sample, others another one`, async () => {
    const coordinates = { length: 80, seed: 3, index: 5, split: "test" } as const;
    const task = await createTask(name, smallLayout(name));
    const again = await createTask(name, smallLayout(name));
    assertEquals(task.sample(coordinates), again.sample(coordinates));
    for (
      const other of [{ seed: 4 }, { index: 6 }, { split: "train" as const }, { length: 81 }]
    ) {
      const { tokens } = task.sample({ ...coordinates, ...other });
      assert(tokens.join() !== task.sample(coordinates).tokens.join(), JSON.stringify(other));
    }
  });

  Deno.test(`${name}: no training sample is among the test samples, whatever the seeds`, async () => {
    const task = await createTask(name, smallLayout(name));
    const stream = (split: "train" | "test", seed: number): string[] =>
      Array.from(
        { length: 500 },
        (_, index) => task.sample({ length: 64, seed, index, split }).tokens.join(),
      );
    const seen = new Set([0, 1, 2].flatMap((seed) => stream("train", seed)));
    // Text draws windows, and may draw one twice; synthetic samples are all different.
    assert(OF_TEXT.includes(name) || seen.size === 1500);
    assert([0, 1, 2].flatMap((seed) => stream("test", seed)).every((tokens) => !seen.has(tokens)));
  });

  Deno.test(`${name}: a length too small says the smallest one, and that one works`, async () => {
    for (const mixture of [false, true]) {
      const task = await createTask(name, smallLayout(name, mixture));
      const shortest = task.shortestLength();
      assertThrows(
        () => task.sample({ length: shortest - 1, seed: 0, index: 0, split: "test" }),
        RangeError,
        `the smallest length that works is ${shortest}`,
      );
      const sample = task.sample({ length: shortest, seed: 0, index: 0, split: "test" });
      assertEquals(sample.tokens.length, shortest);
      assert(scoredPositions(sample).length > 0);
    }
  });
}

for (const name of SYNTHETIC) {
  Deno.test(`${name}: tokens and labels are in the vocabulary, evidence comes before its question`, async () => {
    const task = await createTask(name, smallLayout(name, true));
    for (const length of [65, 100]) {
      for (const sample of samplesOf(task, length, 50)) {
        assertEquals(sample.tokens.length, length);
        assert(sample.tokens.every((token) => token < task.vocabulary));
        assertEquals(sample.tokens[0], task.options.taskToken);
        for (let t = 0; t < length; t++) {
          const scored = sample.labels[t] !== UNSCORED;
          assertEquals(sample.evidence![t] !== UNSCORED, scored);
          if (scored) assert(sample.labels[t] < task.vocabulary && sample.evidence![t] <= t);
        }
      }
    }
  });

  Deno.test(`${name}: one who looks at the last W tokens scores the window law, at W = 1 chance`, async () => {
    const task = await createTask(name, smallLayout(name, true));
    let state = 1;
    const guess = (low: number, high: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return low + Math.floor(state / 2 ** 32 * (high - low + 1));
    };
    const samples = samplesOf(task, 101, 1500);
    for (const window of [1, 30, 60, 101]) {
      const answers = samples.flatMap((sample) =>
        scoredPositions(sample).map((t) =>
          answerFromWindow(task, sample, t, window, guess) === sample.labels[t]
        )
      );
      const accuracy = answers.filter(Boolean).length / answers.length;
      const law = windowLaw(samples, window, task.chance()!)!;
      if (window === 101) assertEquals([accuracy, law], [1, 1]);
      if (window === 1) {
        // Chance, but for what rests on the very token after which it is asked.
        const positions = samples.flatMap((sample) =>
          scoredPositions(sample).map((t) => sample.evidence![t] === t ? 1 : task.chance()!)
        );
        const expected = positions.reduce((sum, share) => sum + share, 0) / positions.length;
        assert(Math.abs(law - expected) < 1e-9);
      }
      // Three and a half standard errors, taken for as many independent samples.
      const bound = 3.5 * Math.sqrt(law * (1 - law) / samples.length);
      assert(Math.abs(accuracy - law) <= bound, `W = ${window}: ${accuracy} against ${law}`);
    }
  });
}

for (const name of SYNTHETIC) {
  Deno.test(`${name}: every length from the shortest on, and a long one`, async () => {
    const task = await createTask(name, smallLayout(name));
    const shortest = task.shortestLength();
    const lengths = Array.from({ length: 40 }, (_, i) => shortest + i);
    for (const length of [...lengths, 2 ** 15]) {
      const sample = task.sample({ length, seed: 0, index: 0, split: "test" });
      assertEquals(sample.tokens.length, length);
      const asked = scoredPositions(sample);
      assert(asked.length > 0);
      // In full view of the sequence, the answers are those of one who looks them up.
      const answers = asked.slice(-20).map((t) =>
        answerFromWindow(task, sample, t, length, () => NaN)
      );
      assertEquals(answers, asked.slice(-20).map((t) => sample.labels[t]));
    }
  });

  Deno.test(`${name}: a depth puts what is asked for there, for tasks with depths`, async () => {
    const task = await createTask(name, smallLayout(name));
    const coordinates = { length: 101, seed: 0, split: "test" } as const;
    if (!task.depths) {
      assertEquals(task.sample({ ...coordinates, index: 0 }).depth, undefined);
      return;
    }
    for (let index = 0; index < 50; index++) {
      const drawn = task.sample({ ...coordinates, index });
      assert(drawn.depth! >= 0 && drawn.depth! <= 1);
      let before = -1;
      for (const depth of [0, 0.25, 0.5, 0.75, 1]) {
        const sample = task.sample({ ...coordinates, index, depth });
        assert(Math.abs(sample.depth! - depth) < 0.05, `${sample.depth} for ${depth}`);
        const evidence = sample.evidence![scoredPositions(sample)[0]];
        assert(evidence > before, `${evidence} after ${before}`);
        before = evidence;
      }
    }
    assertThrows(
      () => task.sample({ ...coordinates, index: 0, depth: -0.1 }),
      RangeError,
      "a depth must be from 0",
    );
  });
}

Deno.test("the window law is W / L where the needle lies anywhere", async () => {
  for (const name of ["passkey", "induction"] as const) {
    const samples = samplesOf(await createTask(name, smallLayout(name)), 400, 3000);
    const law = windowLaw(samples, 100, 0)!;
    const { low, high } = wilson(0.25, 3000);
    assert(law > low - 0.01 && law < high + 0.01, `${name}: ${law}`);
  }
});

Deno.test("mqar: the published layout", () => {
  const task = mqar({ pairs: 8 });
  assertEquals(task.vocabulary, 8192);
  const slots = new Map<number, number>();
  for (const { tokens, labels } of samplesOf(task, 128, 400)) {
    const keys = [...tokens.subarray(0, 16)].filter((_, i) => i % 2 === 0);
    const values = [...tokens.subarray(0, 16)].filter((_, i) => i % 2 === 1);
    assertEquals(new Set(keys).size, 8);
    assertEquals(new Set(values).size, 8);
    assert(keys.every((key) => key >= 1 && key < 4096));
    assert(values.every((value) => value >= 4096 && value < 8192));
    const queries: number[] = [];
    for (let t = 0; t < 128; t++) {
      if (labels[t] === UNSCORED) {
        assert(t < 16 || tokens[t] === 0);
        continue;
      }
      assert(t >= 16 && t % 2 === 0);
      assertEquals(labels[t], values[keys.indexOf(tokens[t])]);
      queries.push(tokens[t]);
      if (tokens[t] === keys[0]) slots.set((t - 16) / 2, (slots.get((t - 16) / 2) ?? 0) + 1);
    }
    assertEquals(queries.toSorted(), keys.toSorted());
  }
  // The first key draws its slot from the whole power law: p(g) ∝ (g + 1)^-0.99 over 56 slots.
  const weights = Array.from({ length: 56 }, (_, g) => (g + 1) ** -0.99);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const gap of [0, 1]) {
    const { low, high } = wilson((slots.get(gap) ?? 0) / 400, 400);
    assert(weights[gap] / total > low - 0.02 && weights[gap] / total < high + 0.02);
  }
});

Deno.test("mqar: of a key that is written several times the last value is due", () => {
  const task = mqar({ vocabulary: 64, pairs: 5, writes: 3 });
  assertEquals([task.shortestLength(), task.shortestLength(2)], [40, 16]);
  assertThrows(() => mqar({ writes: 0 }), RangeError, "writes must be a positive integer");
  let moved = 0;
  for (let index = 0; index < 20; index++) {
    const sample = task.sample({ length: 48, seed: 3, index, split: "test" });
    const last = new Map<number, { value: number; position: number }>();
    for (let t = 0; t < 30; t += 2) {
      const [key, value] = sample.tokens.subarray(t, t + 2);
      if (last.has(key) && last.get(key)!.value !== value) moved++;
      last.set(key, { value, position: t });
    }
    assertEquals(last.size, 5);
    const asked = scoredPositions(sample);
    assertEquals(asked.length, 5);
    for (const t of asked) {
      const { value, position } = last.get(sample.tokens[t])!;
      assertEquals([sample.labels[t], sample.evidence![t]], [value, position]);
    }
  }
  assert(moved > 150, `only ${moved} writes changed a value`);
});

Deno.test("mqar: 4n tokens hold n pairs, odd lengths and random blanks work", () => {
  const task = mqar({ vocabulary: 64, randomFill: true });
  for (const [length, load] of [[32, 8], [33, 8], [17, 4], [64, 16]]) {
    const sample = task.sample({ length, load, seed: 0, index: 0, split: "train" });
    assertEquals(scoredPositions(sample).length, load);
  }
  const { tokens } = task.sample({ length: 4096, seed: 0, index: 0, split: "train" });
  assert(new Set(tokens).size === 64);
  assertThrows(
    () => task.sample({ length: 63, load: 16, seed: 0, index: 0, split: "train" }),
    RangeError,
    "Cannot ask mqar with 16 key–value pairs in 63 tokens: the smallest length that works is 64",
  );
  assertThrows(
    () => task.sample({ length: 640, load: 32, seed: 0, index: 0, split: "train" }),
    RangeError,
    "allows 1 to 31",
  );
});

Deno.test("induction: the mark is once inside and once at the end", () => {
  for (const depth of [undefined, 0, 0.5, 1]) {
    for (const sample of samplesOf(induction(), 64, 100, depth)) {
      const marks = [...sample.tokens.keys()].filter((t) => sample.tokens[t] === 15);
      assertEquals(marks.length, 2);
      assertEquals(marks[1], 63);
      assertEquals(scoredPositions(sample), [63]);
      assertEquals(sample.labels[63], sample.tokens[marks[0] + 1]);
      assertEquals(sample.evidence![63], marks[0]);
      assertEquals(sample.depth, marks[0] / 61);
      if (depth !== undefined) assertEquals(marks[0], Math.round(depth * 61));
    }
  }
});

Deno.test("selective-copying: the symbols are due in their order, with no answer among the tokens", () => {
  const task = selectiveCopying();
  for (const { tokens, labels } of samplesOf(task, 100, 100)) {
    const symbols = [...tokens.subarray(0, 84)].filter((token) => token !== 0);
    assertEquals(symbols.length, 16);
    assert(symbols.every((symbol) => symbol >= 1 && symbol <= 14));
    assertEquals([...tokens.subarray(84)], new Array(16).fill(15));
    assertEquals([...labels.subarray(84)], symbols);
    assert(labels.subarray(0, 84).every((label) => label === UNSCORED));
  }
});

Deno.test("selective-copying: MAD has blanks before symbols only, one mark, and asks at blanks", () => {
  const task = selectiveCopying({ vocabulary: 64, count: 4, layout: "mad" });
  assertEquals([task.shortestLength(), task.chance()], [9, 1 / 62]);
  const firsts = new Set<number>();
  for (let index = 0; index < 50; index++) {
    const { tokens, labels, evidence } = task.sample({ length: 20, seed: 1, index, split: "test" });
    assertEquals([...tokens.subarray(15)], [63, 0, 0, 0, 0]);
    const places = [...tokens.keys()].filter((t) => t < 15 && tokens[t] !== 0);
    assertEquals([places.length, places.at(-1)], [4, 14]);
    assertEquals([...labels.subarray(16)], places.map((t) => tokens[t]));
    assertEquals([...evidence!.subarray(16)], places);
    assert(labels.subarray(0, 16).every((label) => label === UNSCORED));
    firsts.add(places[0]);
  }
  assert(firsts.size > 4);
  assertThrows(
    () => selectiveCopying({ layout: "mda" as "mad" }),
    RangeError,
    'layout must be "mamba" or "mad"',
  );
});

Deno.test("passkey: depth puts the needle, the key is asked at the end", () => {
  for (const depth of [undefined, 0, 0.25, 1]) {
    for (const { tokens, labels, depth: found } of samplesOf(passkey(), 100, 100, depth)) {
      const place = tokens.findIndex((token) => token < 48);
      assertEquals(tokens[99], tokens[place]);
      assertEquals(labels[99], tokens[place + 1]);
      assertEquals([...tokens].filter((token) => token < 48).length, 3);
      assertEquals(found, place / 97);
      if (depth !== undefined) assertEquals(place, Math.round(depth * 97));
    }
  }
  assertThrows(
    () => passkey().sample({ length: 100, seed: 0, index: 0, split: "test", depth: 1.5 }),
    RangeError,
    "a depth must be from 0",
  );
});

Deno.test("text: the next byte of Moby-Dick, test windows beyond all training windows", async () => {
  const task = await text();
  let whole = "";
  for (const split of ["train", "test"] as const) {
    const { tokens, labels } = task.sample({ length: 2000, seed: 1, index: 0, split });
    assertEquals(tokens.slice(1), labels.slice(0, -1));
    whole += new TextDecoder().decode(Uint8Array.from(tokens));
  }
  assert(/\bthe\b/.test(whole));
  const parts = await splitsOf(1000);
  assert(parts.train.endsWith(parts.all.slice(899, 900)));
  assertEquals(parts.train.length + parts.test.length, 1000);
  assertThrows(
    () => task.sample({ length: 10 ** 6, seed: 0, index: 0, split: "test" }),
    RangeError,
    "the largest length that works is 121643",
  );
});

/** A file in which every byte says where it is, and what is seen of it in each split. */
async function splitsOf(bytes: number): Promise<Record<"train" | "test" | "all", string>> {
  const file = await Deno.makeTempFile();
  const all = Array.from({ length: bytes }, (_, i) => String.fromCharCode(32 + i % 90)).join("");
  await Deno.writeTextFile(file, all);
  const task = await text({ file });
  const starts = { train: new Set<string>(), test: new Set<string>() };
  for (const split of ["train", "test"] as const) {
    for (let index = 0; index < 20000; index++) {
      const { tokens, labels } = task.sample({ length: 5, seed: 0, index, split });
      starts[split].add(String.fromCharCode(...tokens, labels[4]));
    }
  }
  await Deno.remove(file);
  // Windows of six bytes at every place of each part, and at no other.
  const windows = (from: number, to: number): Set<string> =>
    new Set(Array.from({ length: to - from - 5 }, (_, i) => all.slice(from + i, from + i + 6)));
  assertEquals(starts.train, windows(0, 900));
  assertEquals(starts.test, windows(900, 1000));
  return { all, train: all.slice(0, 900), test: all.slice(900) };
}

for (
  const [name, begin] of [["llama", 1], ["bytelevel", undefined], ["world", undefined]] as const
) {
  Deno.test(`text in ${name}'s tokens: a begin token where there is one, and the bytes that are scored`, async () => {
    const folder = new URL(`../golden/checkpoints/tokenizer_${name}`, import.meta.url).pathname;
    const tokenizer = await loadTokenizer(folder);
    const written = " One naïve line,\n  some 漢字 — and 😀😀.\tWhat is “it”? 𝒳 ."
      .repeat(30).replaceAll(" is ", (_, at) => ` is${"!".repeat(at % 7)} `);
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, written);
    const task = await text({ file }, { tokenizer, template: BASE_TEMPLATE });
    await Deno.remove(file);
    const all = tokenizer.encode(written, { special: false });
    const begins = begin === undefined ? [] : [begin];
    assertEquals(task.longestLength, all.length - 1 + begins.length);
    assertEquals(task.shortestLength(), 1 + begins.length);
    const bytesUpTo = (end: number): number =>
      new TextEncoder().encode(tokenizer.decode(all.subarray(0, end)).replace(/\ufffd+$/, ""))
        .length;
    // A tokenizer may write a text otherwise than it was: its bytes count in proportion.
    const whole = new TextEncoder().encode(written).length;
    const ratio = whole / bytesUpTo(all.length);
    assert(ratio > 0.99 && ratio < 1.01, `${ratio}`);
    for (const length of [2, 3, 7, 40, 101, task.longestLength!]) {
      for (let index = 0; index < (length > 200 ? 1 : 20); index++) {
        const sample = task.sample({ length, seed: 0, index, split: "test" });
        assertEquals(sample.tokens.length, length);
        assertEquals(sample.begins, begin !== undefined);
        assertEquals([...sample.tokens.subarray(0, begins.length)], begins);
        assertEquals(
          scoredPositions(sample).length,
          length - begins.length,
          "behind it nothing is due",
        );
        const read = [...sample.tokens.subarray(begins.length), sample.labels[length - 1]];
        assertEquals(read.slice(1), [...sample.labels.subarray(begins.length)]);
        const places = [...all.keys()].filter((at) =>
          read.every((token, i) => all[at + i] === token)
        );
        const possible = places.map((at) =>
          ratio * (bytesUpTo(at + read.length) - bytesUpTo(at + 1))
        );
        assert(
          possible.some((bytes) => Math.abs(bytes - sample.bytes!) < 1e-6),
          `${sample.bytes} bytes of ${read}: ${possible}`,
        );
      }
    }
  });
}
Deno.test("text: a file that is not there, or too short", async () => {
  await assertRejects(
    () => text({ file: "/nowhere/at all.txt" }),
    Error,
    "Cannot read the text file /nowhere/at all.txt",
  );
  const file = await Deno.makeTempFile();
  await assertRejects(() => text({ file }), Error, "as it is too short: the file has 0 bytes");
  await Deno.remove(file);
});

Deno.test("createTask() names what is near to a wrong name", async () => {
  await assertRejects(
    () => createTask("mqra" as "mqar"),
    RangeError,
    'Unknown task "mqra". Did you mean "mqar"?',
  );
});

Deno.test("a layout whose parts overlap or leave the vocabulary is refused", () => {
  assertThrows(
    () => mqar({ vocabulary: 64, keys: [16, 40], values: [40, 63] }),
    RangeError,
    "keys and values share token 40",
  );
  assertThrows(
    () => passkey({ vocabulary: 60 }),
    RangeError,
    "fillers must be below the vocabulary of 60",
  );
  // What a recipe's file may hold: TypeScript does not see it.
  const strange = { values: true, vocabulary: 1.5 } as unknown as Record<string, never>;
  const { values, vocabulary } = strange;
  assertThrows(() => mqar({ values }), RangeError, "values must be a pair of tokens");
  assertThrows(() => mqar({ vocabulary }), RangeError, "vocabulary must be a positive integer");
});
