import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  copying,
  ngramLookup,
  phoneBook,
  type Sample,
  scoredPositions,
  type Task,
} from "../../tasks/mod.ts";

function samples(task: Task, length: number, depth?: number): Sample[] {
  return Array.from(
    { length: 150 },
    (_, index) => task.sample({ length, seed: 4, index, split: "test", depth }),
  );
}

/** Letters, $ begin, | end, * blank; an answer's letters stand after »→«. */
function spell({ tokens, labels }: Sample): string {
  const spelled = (tokens: Iterable<number>): string =>
    Array.from(tokens, (token) => "abcdefghijklmnopqrstuvwxyz$|.*"[token]).join("");
  return `${spelled(tokens)}→${spelled([...labels].filter((label) => label < 30))}`;
}

Deno.test("copying: the string stands again, and all of it is due", () => {
  for (
    const [length, pattern] of [[63, /^\$(\w{31})\|(\w{30})→(\w{31})$/], [
      64,
      /^\*\$(\w{31})\|(\w{30})→(\w{31})$/,
    ]] as const
  ) {
    for (const sample of samples(copying(), length)) {
      const [, string, copy, due] = pattern.exec(spell(sample))!;
      assertEquals(due, string);
      assertEquals(copy, string.slice(0, -1));
      for (const t of scoredPositions(sample)) assertEquals(t - sample.evidence![t], 31);
    }
  }
});

Deno.test("ngram-lookup: what follows the letters looked up, which stand in the string once", () => {
  for (const query of ["suffix", "prefix"] as const) {
    for (const [ngram, answerLength] of [[1, 1], [3, 1], [2, 4]]) {
      const letters = [0, 5] as const; // few, so that repeats must be seen to
      const task = ngramLookup({ query, ngram, answerLength, letters });
      for (const depth of [undefined, 0, 0.5, 1]) {
        for (const sample of samples(task, 70, depth)) {
          const pattern = query === "suffix"
            ? /^\$(?<string>\w+)\|(?<key>\w+)→(?<due>\w+)$/
            : /^\$(?<key>\w+)\|(?<string>\w+)\|(?<key2>\w*)→(?<due>\w+)$/;
          const { string, key, key2, due } = pattern.exec(spell(sample))!.groups!;
          // Behind the key stands the answer, but for its last letter.
          const written = due.slice(0, -1);
          const lookedUp = query === "suffix" ? key.slice(0, ngram) : key;
          assertEquals(query === "suffix" ? key.slice(ngram) : key2, written);
          const place = string.indexOf(lookedUp);
          assertEquals(string.lastIndexOf(lookedUp), place);
          assertEquals(string.slice(place + ngram, place + ngram + answerLength), due);
          assertEquals(due.length, answerLength);
          assertEquals(sample.depth, place / (string.length - ngram - answerLength));
          const asked = scoredPositions(sample);
          assertEquals(
            asked,
            Array.from({ length: answerLength }, (_, i) => 70 - answerLength + i),
          );
          for (const t of asked) {
            assertEquals(sample.evidence![t], query === "suffix" ? 1 + place : 1);
          }
        }
      }
    }
  }
  assertThrows(() => ngramLookup({ answerLength: 0 }), RangeError, "at least one letter is due");
  assertThrows(() => ngramLookup({ letters: [3, 3] }), RangeError, "at least two tokens");
});

Deno.test("phone-book: the number of a name that stands in the book once", () => {
  for (const [examples, numberLength] of [[2, 10], [0, 3], [1, 1]]) {
    const task = phoneBook({ examples, numberLength });
    for (const length of [150, 155]) {
      for (const sample of samples(task, length)) {
        const lines = Array.from(sample.tokens, (token) => {
          if (token === 8) return "\n";
          if (token === 9) return ": ";
          return token < 32 ? `A${token - 16} ` : token < 48 ? `B${token - 32}` : `${token - 48}`;
        }).join("").replace(/^\n+/, "").split("\n");
        const question = lines.pop()!;
        assertEquals(lines.pop(), "");
        const shown = examples === 0 ? [] : lines.splice(-examples);
        if (examples > 0) assertEquals(lines.pop(), "");
        assert(lines.every((line) => /^A\d+ B\d+: \d+$/.test(line)), lines.join("\n"));
        assert(shown.every((line) => lines.includes(line)));
        assertEquals(new Set(shown).size, examples);
        const [name, written] = question.split(": ");
        const answers = lines.filter((line) => line.startsWith(`${name}: `));
        assertEquals(answers.length, 1);
        const number = answers[0].split(": ")[1];
        assertEquals(written, number.slice(0, -1));
        assertEquals(number.length, numberLength);
        const asked = scoredPositions(sample);
        assertEquals(asked.map((t) => `${sample.labels[t] - 48}`).join(""), number);
        assertEquals(asked.at(-1), length - 1);
        assertEquals(sample.depth, lines.indexOf(answers[0]) / (lines.length - 1));
        const [first, last] = asked.map((t) => sample.evidence![t]).slice(0, 2);
        if (last !== undefined) assertEquals(first, last);
        assertEquals([...sample.tokens.subarray(first, first + 2)], [
          ...sample.tokens.subarray(asked[0] - 2, asked[0]),
        ]);
        assert(shown.every((line) => !line.startsWith(`${name}: `)));
      }
    }
  }
  assertThrows(() => phoneBook({ examples: 255 }), RangeError, "from 0 to 254");
});
