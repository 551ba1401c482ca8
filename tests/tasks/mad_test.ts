import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  compression,
  fuzzyInContextRecall,
  inContextRecall,
  memorization,
  noisyInContextRecall,
  type Sample,
  scoredPositions,
  type Task,
  UNSCORED,
} from "../../tasks/mod.ts";

function samples(task: Task, length: number, split: "train" | "test" = "test"): Sample[] {
  return Array.from(
    { length: 200 },
    (_, index) => task.sample({ length, seed: 3, index, split }),
  );
}

Deno.test("in-context-recall: the published layout; every key that stood before is asked", () => {
  const task = inContextRecall();
  assertEquals([task.vocabulary, task.chance()], [16, 1 / 8]);
  for (const length of [127, 128]) {
    for (const { tokens, labels, evidence } of samples(task, length)) {
      const first = 1 - length % 2;
      if (first === 1) assert(tokens[0] >= 8);
      for (let t = first; t < length; t += 2) {
        assert(tokens[t] < 8);
        const before = tokens.subarray(first, t).lastIndexOf(tokens[t]);
        assertEquals(labels[t], before < 0 ? UNSCORED : tokens[first + before + 1]);
        assertEquals(evidence![t], before < 0 ? UNSCORED : first + before);
        if (t + 1 < length) {
          assert(tokens[t + 1] >= 8 && labels[t + 1] === UNSCORED);
          if (before >= 0) assertEquals(tokens[t + 1], labels[t]);
        }
      }
      assert(labels[length - 1] !== UNSCORED);
    }
  }
});

Deno.test("noisy-in-context-recall: a fifth of the places hold noise, or what is told", () => {
  for (const noiseShare of [0.2, 0.8]) {
    const task = noisyInContextRecall({ noiseShare });
    assertEquals([task.vocabulary, task.chance()], [32, 1 / 8]);
    let [noisy, places] = [0, 0];
    for (const { tokens, labels } of samples(task, 127)) {
      const valueOf = new Map<number, number>();
      for (let t = 0; t < 126; t += 2, places++) {
        const noise = tokens[t] >= 16;
        assertEquals(tokens[t + 1] >= 16, noise);
        if (noise) noisy++;
        else assert(tokens[t] < 8 && tokens[t + 1] >= 8);
        assertEquals(labels[t], valueOf.get(tokens[t]) ?? UNSCORED);
        if (!noise) valueOf.set(tokens[t], tokens[t + 1]);
      }
      assertEquals(labels[126], valueOf.get(tokens[126]));
    }
    assert(Math.abs(noisy / places - noiseShare) < 0.02, `${noisy / places}`);
  }
  assertThrows(() => noisyInContextRecall({ noiseShare: 1 }), RangeError, "from 0 to below 1");
});

/** Keys' and values' runs of tokens, in turn. */
function runsOf(tokens: readonly number[]): number[][] {
  const runs: number[][] = [];
  tokens.forEach((token, t) => {
    if (t > 0 && token < 7 === tokens[t - 1] < 7) runs.at(-1)!.push(token);
    else runs.push([token]);
  });
  return runs;
}

Deno.test("fuzzy-in-context-recall: keys and values of one to three tokens, test keys of three", () => {
  const task = fuzzyInContextRecall();
  for (const split of ["train", "test"] as const) {
    const sizes = { key: new Set<number>(), value: new Set<number>() };
    for (const { tokens, labels, evidence } of samples(task, 128, split)) {
      const body = [...tokens].filter((token) => token !== 15);
      const blanks = 128 - body.length;
      assert(blanks < 6 && tokens.subarray(0, blanks).every((token) => token === 15));
      const runs = runsOf(body);
      const stood = new Map<string, { value: number[]; place: number }>();
      const due = new Map<number, [label: number, evidence: number]>();
      let t = blanks;
      for (let pair = 0; pair < runs.length; pair += 2) {
        // The last pair's value lacks its last token, and may be nothing.
        const [key, value = []] = runs.slice(pair);
        const last = pair + 2 >= runs.length;
        sizes.key.add(key.length);
        assertEquals(new Set(key).size, key.length);
        const before = stood.get(key.join());
        if (before) {
          assertEquals(last ? before.value.slice(0, -1) : before.value, value);
          before.value.forEach((token, i) =>
            due.set(t + key.length - 1 + i, [token, before.place])
          );
        } else {
          assert(!last);
          sizes.value.add(value.length);
          assertEquals(new Set(value).size, value.length);
        }
        stood.set(key.join(), { value: before?.value ?? value, place: t });
        t += key.length + value.length;
      }
      assertEquals(t, 128);
      for (let t = 0; t < 128; t++) {
        assertEquals([labels[t], evidence![t]], due.get(t) ?? [UNSCORED, UNSCORED]);
      }
    }
    assertEquals([...sizes.key].toSorted(), split === "train" ? [1, 2, 3] : [3]);
    assertEquals([...sizes.value].toSorted(), [1, 2, 3]);
  }
  assertThrows(() => fuzzyInContextRecall({ keyLength: 8 }), RangeError, "must have 1 to 7 tokens");
});

Deno.test("compression: marks read the symbols out in their order", () => {
  const task = compression();
  assertEquals([task.vocabulary, task.chance()], [16, 1 / 15]);
  for (const [length, count] of [[62, 31], [63, 31]]) {
    for (const { tokens, labels } of samples(task, length)) {
      const start = length - 2 * count;
      const symbols = [...tokens.subarray(start, start + count)];
      assert(symbols.every((symbol) => symbol < 15));
      assertEquals([...labels.subarray(start + count)], symbols);
      assertEquals([...tokens].filter((token) => token === 15).length, length - count);
      assert(labels.subarray(0, start + count).every((label) => label === UNSCORED));
    }
  }
});

Deno.test("memorization: a key's value is always the same, stands nowhere, and no two keys share it", () => {
  const values = new Map<number, number>();
  const collect = (drawn: readonly Sample[]): void => {
    for (const sample of drawn) {
      for (const t of scoredPositions(sample)) {
        assertEquals(sample.tokens[t], 255);
        const key = sample.tokens[t - 1];
        assert(key < 127 && sample.labels[t] >= 127 && sample.labels[t] < 255);
        assertEquals(values.get(key) ?? sample.labels[t], sample.labels[t]);
        values.set(key, sample.labels[t]);
      }
      assert(sample.tokens.every((token) => token < 127 || token === 255));
    }
  };
  collect(samples(memorization(), 32, "train"));
  collect(samples(memorization(), 32, "test"));
  collect(samples(memorization(), 33, "test"));
  assertEquals(values.size, 127);
  assertEquals(new Set(values.values()).size, 127);
  const coordinates = { length: 32, seed: 3, index: 0, split: "test" } as const;
  assert(
    memorization({ map: 1 }).sample(coordinates).labels.join() !==
      memorization().sample(coordinates).labels.join(),
  );
  assertThrows(
    () => memorization({ vocabulary: 64, keys: [0, 39], values: [40, 62] }),
    RangeError,
    "40 keys and 23 values",
  );
});
