/** A source of integers of 32 bits. */
export interface RandomGenerator {
  next(): number;
  getState(): number[];
  clone(): RandomGenerator;
}

/** xoroshiro128+ (Blackman & Vigna 2018) with the constants 24, 16 and 37, of which the low half is given. */
class Xoroshiro128Plus implements RandomGenerator {
  readonly #state: Int32Array; // high and low half of s0, of s1

  constructor(state: ArrayLike<number>) {
    this.#state = Int32Array.from(state);
  }

  clone(): RandomGenerator {
    return new Xoroshiro128Plus(this.#state);
  }

  getState(): number[] {
    return [...this.#state];
  }

  next(): number {
    const [high0, low0, high1, low1] = this.#state;
    const [high, low] = [high0 ^ high1, low0 ^ low1]; // s1 ^ s0
    // s0 rotated by 24 to the left, ^ s1, ^ s1 << 16; s1 rotated by 37.
    this.#state[0] = high0 << 24 ^ low0 >>> 8 ^ high ^ (high << 16 | low >>> 16);
    this.#state[1] = low0 << 24 ^ high0 >>> 8 ^ low ^ low << 16;
    this.#state[2] = low << 5 ^ high >>> 27;
    this.#state[3] = high << 5 ^ low >>> 27;
    return low0 + low1 | 0;
  }
}

export function xoroshiro128plus(seed: number): RandomGenerator {
  return new Xoroshiro128Plus([-1, ~seed, seed | 0, 0]);
}

export function xoroshiro128plusFromState(state: readonly number[]): RandomGenerator {
  return new Xoroshiro128Plus(state);
}

/** From 0 to below 1, in steps of 2⁻⁵³. */
export function uniformFloat64(generator: RandomGenerator): number {
  const high = generator.next() & 2 ** 26 - 1;
  return (high * 2 ** 27 + (generator.next() & 2 ** 27 - 1)) / 2 ** 53;
}

/** An integer from `low` to `high`, of at most 2³² values. */
export function uniformInt(generator: RandomGenerator, low: number, high: number): number {
  const count = high - low + 1;
  const most = count > 2 ? Math.floor(2 ** 32 / count) * count : 2 ** 32;
  let drawn = generator.next() + 2 ** 31;
  while (drawn >= most) drawn = generator.next() + 2 ** 31;
  return low + drawn % count;
}
