import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";
import type { SampleCoordinates } from "./task.ts";

/** A run of tokens, both ends included. */
export type TokenRange = readonly [low: number, high: number];

/** How many tokens a range holds. @throws {RangeError} where it is not a pair of tokens. */
export function rangeSize(range: TokenRange): number {
  if (!Array.isArray(range)) {
    throw new RangeError(`Cannot take ${range} for tokens from low to high: give a pair of tokens`);
  }
  return range[1] - range[0] + 1;
}

/** Draws that depend on nothing but where they start. */
export class Random {
  readonly #generator: ReturnType<typeof xoroshiro128plusFromState>;

  /** Starts at a state of four 32-bit words. */
  constructor(state: readonly [number, number, number, number]) {
    this.#generator = xoroshiro128plusFromState(state);
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return uniformInt(this.#generator, low, high);
  }

  /** A number from 0 to 1, 1 excluded. */
  float(): number {
    return uniformFloat64(this.#generator);
  }

  /** A token of the range. */
  token([low, high]: TokenRange): number {
    return this.integer(low, high);
  }

  /** `count` different integers from `low` to `high`, in the order drawn. */
  distinct(count: number, [low, high]: TokenRange): number[] {
    // A Fisher–Yates shuffle that touches only what is drawn.
    const moved = new Map<number, number>();
    return Array.from({ length: count }, (_, i) => {
      const j = this.integer(low + i, high);
      const drawn = moved.get(j) ?? j;
      moved.set(j, moved.get(low + i) ?? (low + i));
      return drawn;
    });
  }

  /** One of a list. */
  choose<Item>(items: readonly Item[]): Item {
    return items[this.integer(0, items.length - 1)];
  }

  /** A list in another order. */
  shuffle<Item>(items: readonly Item[]): Item[] {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
    }
    return shuffled;
  }

  /** A state at which another stream can start, once or again and again. */
  state(): [number, number, number, number] {
    const word = (): number => this.integer(-0x80000000, 0x7FFFFFFF);
    return [word(), word(), word(), word()];
  }
}

/**
 * The draws of one sample. Seed, index, length and split stand in the generator's state word by
 * word, and the mixing is a bijection: other coordinates are another state, so that a train stream
 * and a test stream never share one.
 *
 * @throws {RangeError} where a coordinate is not an integer of 32 bits.
 */
export function randomAt(task: string, coordinates: SampleCoordinates): Random {
  const { length, seed, index, split, depth, load } = coordinates;
  for (const [name, value] of Object.entries({ seed, index })) {
    if (!Number.isInteger(value) || value < 0 || value > 0xFFFFFFFF) {
      throw new RangeError(
        `Cannot draw a sample as its ${name} must be an integer from 0 to ${0xFFFFFFFF}: current ${name} is ${value}`,
      );
    }
  }
  const state: [number, number, number, number] = [
    seed,
    index,
    length * 2 + (split === "test" ? 1 : 0),
    hash(JSON.stringify([task, depth ?? null, load ?? null])),
  ];
  for (let round = 0; round < 10; round++) quarterRound(state, round);
  return new Random(state);
}

/** ChaCha's quarter round (RFC 8439, section 2.1) and a round number, so that zeros do not stay. */
function quarterRound(state: [number, number, number, number], round: number): void {
  let [a, b, c, d] = state;
  a = (a + round + 1) | 0;
  a = (a + b) | 0;
  d = rotate(d ^ a, 16);
  c = (c + d) | 0;
  b = rotate(b ^ c, 12);
  a = (a + b) | 0;
  d = rotate(d ^ a, 8);
  c = (c + d) | 0;
  b = rotate(b ^ c, 7);
  state.splice(0, 4, a, b, c, d);
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** FNV-1a of a text. */
function hash(text: string): number {
  let value = 0x811C9DC5;
  for (const byte of new TextEncoder().encode(text)) {
    value = Math.imul(value ^ byte, 0x01000193);
  }
  return value;
}
