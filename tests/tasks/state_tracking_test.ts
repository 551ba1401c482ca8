import { assert, assertEquals, assertThrows } from "@std/assert";
import { parity, s5, type Task, wilson } from "../../tasks/mod.ts";
import { nthPermutation, permutationNumber } from "./window_oracle.ts";

function samples(task: Task, length: number): { tokens: number[]; labels: number[] }[] {
  return Array.from({ length: 200 }, (_, index) => {
    const { tokens, labels } = task.sample({ length, seed: 2, index, split: "test" });
    return { tokens: [...tokens], labels: [...labels] };
  });
}

Deno.test("parity: an answer after every bit, the number of ones so far modulo 2", () => {
  const drawn = samples(parity(), 50);
  for (const { tokens, labels } of drawn) {
    labels.forEach((label, t) => {
      assertEquals(label, tokens.slice(0, t + 1).reduce((sum, bit) => sum + bit, 0) % 2);
    });
  }
  const ones = drawn.flatMap(({ tokens }) => tokens).filter((bit) => bit === 1).length;
  const { low, high } = wilson(ones / 10_000, 10_000);
  assert(low < 0.5 && high > 0.5);
});

Deno.test("s5: an answer after every permutation, what all so far do to five things", () => {
  for (const { tokens, labels } of samples(s5(), 30)) {
    // Things move from place to place, one permutation after the other.
    const places = [0, 1, 2, 3, 4];
    tokens.forEach((token, t) => {
      const permutation = nthPermutation(token);
      places.forEach((place, thing) => places[thing] = permutation[place]);
      assertEquals(nthPermutation(labels[t]), places);
    });
  }
});

Deno.test("s5: products that were worked out by hand", () => {
  // (0 1) first, then (1 2): 0 goes to 1 and on to 2, 1 to 0, 2 to 1.
  const [swap01, swap12] = [[1, 0, 2, 3, 4], [0, 2, 1, 3, 4]].map(permutationNumber);
  const both = permutationNumber([2, 0, 1, 3, 4]);
  const seen = samples(s5({ inputs: "swaps" }), 2000).flatMap(({ tokens, labels }) =>
    tokens.flatMap((token, t) =>
      t > 0 && labels[t - 1] === swap01 && token === swap12 ? [labels[t]] : []
    )
  );
  assert(seen.length > 10 && seen.every((label) => label === both));
});

Deno.test("s5: all permutations stand in the sequence and are due, or swaps or two generators alone", () => {
  const all = samples(s5(), 100);
  assertEquals(new Set(all.flatMap(({ tokens }) => tokens)).size, 120);
  assertEquals(new Set(all.flatMap(({ labels }) => labels)).size, 120);
  const swaps = samples(s5({ inputs: "swaps", vocabulary: 140, first: 10 }), 100);
  const standing = new Set(swaps.flatMap(({ tokens }) => tokens));
  assertEquals(standing.size, 11);
  for (const token of standing) {
    const moved = nthPermutation(token - 10).filter((image, thing) => image !== thing).length;
    assert(moved === 0 || moved === 2);
  }
  assertEquals(new Set(swaps.flatMap(({ labels }) => labels)).size, 120);
  // A swap and a cycle of five, which make all others.
  const generators = samples(s5({ inputs: "generators" }), 200);
  assertEquals(
    new Set(generators.flatMap(({ tokens }) => tokens)),
    new Set([[1, 0, 2, 3, 4], [1, 2, 3, 4, 0]].map(permutationNumber)),
  );
  assertEquals(new Set(generators.flatMap(({ labels }) => labels)).size, 120);
  const misspelt = "generator" as "generators";
  assertThrows(() => s5({ inputs: misspelt }), RangeError, "inputs must be all, swaps, generators");
  assertThrows(() => s5({ vocabulary: 64 }), RangeError, "below the vocabulary of 64");
});
