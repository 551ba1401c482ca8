import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Haystack,
  niah,
  type NiahOptions,
  type Sample,
  scoredPositions,
} from "../../tasks/mod.ts";

const NOISE =
  "the grass is green . the sky is blue . the sun is yellow . here we go . there and back again .";

/** A sample in words: * a needle, ? a question, # next, K key, V value, and the haystack's words. */
function inWords({ tokens }: Sample): string[] {
  return Array.from(tokens, (token) => {
    if (token === 8) return "*";
    if (token === 9) return "?";
    if (token === 10) return "#";
    if (token >= 16 && token < 32) return `K${token - 16}`;
    if (token >= 32 && token < 48) return `V${token - 32}`;
    // Sixteen words, numbered in the order in which noise has them.
    return [...new Set(NOISE.split(" "))][token - 48];
  });
}

function samples(options: NiahOptions, length: number, load?: number): Sample[] {
  const task = niah(options);
  return Array.from(
    { length: 60 },
    (_, index) => task.sample({ length, seed: 5, index, split: "test", load }),
  );
}

/** What stands in a sample. */
interface Reading {
  readonly needles: { readonly key: string; readonly value: string[]; readonly place: number }[];
  readonly questions: { readonly key: string; readonly at: number }[];
  readonly rest: string[];
}

/** Reads a sample from its words alone. */
function read(words: readonly string[], valueLength: number): Reading {
  const reading: Reading = { needles: [], questions: [], rest: [] };
  for (let t = 0; t < words.length; t++) {
    if (words[t] === "*") {
      const value = words.slice(t + 2, t + 2 + valueLength);
      reading.needles.push({ key: words[t + 1], value, place: t + 1 });
      t += 1 + valueLength;
    } else if (words[t] === "?") {
      reading.questions.push({ key: words[t + 1], at: t + 1 });
      t++;
    } else if (words[t] !== "#") reading.rest.push(words[t]);
  }
  return reading;
}

const HAYSTACKS: readonly Haystack[] = ["noise", "essay", "needles"];
const SHAPES: readonly NiahOptions[] = [
  { keyCount: 1 },
  { keyCount: 1, valueLength: 3 },
  { keyCount: 4 },
  { keyCount: 1, valueCount: 4 },
  { keyCount: 4, queryCount: 4 },
  { keyCount: 3, valueCount: 2, queryCount: 2, valueLength: 2 },
];

for (const haystack of HAYSTACKS) {
  Deno.test(`niah in ${haystack}: every value of what is asked, in the order in which they stand`, () => {
    for (const shape of SHAPES) {
      const { keyCount = 4, valueCount = 1, queryCount = 1, valueLength = 1 } = shape;
      for (const length of [60, 100]) {
        for (const sample of samples({ haystack, ...shape }, length)) {
          const { needles, questions } = read(inWords(sample), valueLength);
          assertEquals(questions.length, queryCount);
          assertEquals(new Set(questions.map(({ key }) => key)).size, queryCount);
          const due = questions.flatMap(({ key, at }) => {
            const found = needles.filter((needle) => needle.key === key);
            assertEquals(found.length, valueCount);
            return found.flatMap(({ value, place }) => value.map((word) => ({ word, place })))
              .map(({ word, place }, i) => ({ t: at + i, word, place }));
          });
          assertEquals(
            scoredPositions(sample).map((t) => ({
              t,
              word: `V${sample.labels[t] - 32}`,
              place: sample.evidence![t],
            })),
            due,
          );
          if (haystack !== "needles") {
            assertEquals(needles.length, keyCount * valueCount);
            assertEquals(new Set(needles.map(({ key }) => key)).size, keyCount);
          }
          // After each question's key, marks alone stand in for the answers.
          const marks = inWords(sample).filter((word) => word === "#").length;
          assertEquals(marks, due.length - queryCount);
        }
      }
    }
  });
}

Deno.test("niah: noise is RULER's five sentences over and over", () => {
  const noise = NOISE.split(" ");
  for (const sample of samples({ haystack: "noise" }, 200)) {
    const { rest } = read(inWords(sample), 1);
    assertEquals(rest, Array.from({ length: rest.length }, (_, i) => noise[i % noise.length]));
  }
});

Deno.test("niah: an essay has noise's words, follows its grammar and does not repeat", () => {
  const essays = samples({ haystack: "essay" }, 400).map((sample) => read(inWords(sample), 1).rest);
  assertEquals(new Set(essays.map((words) => words.join(" "))).size, essays.length);
  assertEquals(new Set(essays.flat()), new Set(NOISE.split(" ")));
  const pairs = new Set(
    essays.flatMap((words) => words.slice(1).map((word, i) => `${words[i]} ${word}`)),
  );
  assert(pairs.has("the grass") && pairs.has("we go") && !pairs.has("the the"));
  assert(pairs.size < 60, `${pairs.size} different pairs of words`);
  // No essay has a period of noise's length, or any other up to half of it.
  for (const words of essays) {
    for (let period = 1; period < words.length / 2; period++) {
      assert(words.some((word, i) => i >= period && word !== words[i - period]));
    }
  }
});

Deno.test("niah: among needles nothing else stands, and the asked key stands once", () => {
  for (const length of [60, 61, 62]) {
    for (const sample of samples({ haystack: "needles" }, length)) {
      const { needles, questions, rest } = read(inWords(sample), 1);
      assertEquals(needles.length, Math.floor((length - 2) / 3));
      assertEquals(rest, new Array((length - 2) % 3).fill("the"));
      assertEquals(needles.filter(({ key }) => key === questions[0].key).length, 1);
    }
  }
});

Deno.test("niah: the depth is the share of the rest before the needle that is asked for", () => {
  for (const haystack of HAYSTACKS) {
    const task = niah({ haystack });
    for (const depth of [0, 0.3, 0.5, 1]) {
      for (let index = 0; index < 40; index++) {
        const sample = task.sample({ length: 101, seed: 1, index, split: "test", depth });
        const words = inWords(sample);
        const { needles, questions, rest } = read(words, 1);
        const asked = needles.find(({ key }) => key === questions[0].key)!;
        const before = read(words.slice(0, asked.place - 1), 1);
        const parts = haystack === "needles" ? 0 : rest.length;
        const share = (before.needles.length + (parts && before.rest.length)) /
          (needles.length - 1 + parts);
        assertEquals(sample.depth, share);
        assert(Math.abs(share - depth) <= 0.5 / (needles.length - 1 + parts));
      }
    }
  }
});

Deno.test("niah: the load is the number of keys; what does not fit is refused", () => {
  const task = niah({ haystack: "noise", queryCount: 2, valueLength: 2 });
  assertEquals(task.shortestLength(6), 6 * 4 + 2 * 3);
  const { needles } = read(
    inWords(task.sample({ length: 64, seed: 0, index: 0, split: "test", load: 6 })),
    2,
  );
  assertEquals(needles.length, 6);
  assertThrows(
    () => task.shortestLength(17),
    RangeError,
    "the number of keys must be from 2 to 16",
  );
  assertThrows(() => task.shortestLength(1), RangeError, "current number is 1");
  assertThrows(
    () => niah({ haystack: "needles", queryCount: 16, keyCount: 16 }),
    RangeError,
    "the number of questions must be from 1 to 15",
  );
  assertThrows(() => niah({ fillers: [48, 62] }), RangeError, "its haystack has 16 words");
  assertThrows(() => niah({ needle: 20 }), RangeError, "share token 20");
});
