import { Random } from "../../tasks/random.ts";

/** How the log decays of a case are drawn: a mixture would hide an error in its small part. */
export type DecayKind = "none" | "weak" | "strong" | "steep" | "resetting" | "mixed";
const DECAY_KINDS = ["none", "weak", "strong", "steep", "resetting", "mixed"] as const;

/** What a case is drawn from: all of it follows from the seed and the case's number. */
export class Draws extends Random {
  /** What was drawn by name, for the report of a failure. */
  readonly drawn: Record<string, unknown> = {};

  /** @param name Which stream of the seed: `"scan"`. */
  constructor(seed: number, name: string, index: number) {
    let hash = 0x811c9dc5;
    for (const letter of name) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
    super([seed | 0, index | 0, hash, 0x5eed]);
    for (let i = 0; i < 8; i++) this.float(); // neighbours' first draws are alike
  }

  /** Notes a value under its name. */
  note<Value>(name: string, value: Value): Value {
    this.drawn[name] = value;
    return value;
  }

  /** Whether something with this chance happens. */
  chance(probability: number): boolean {
    return this.float() < probability;
  }

  /** A size, the awkward ones more often than their share. */
  size(name: string, high: number, low = 1): number {
    const awkward = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 257]
      .filter((value) => value >= low && value <= high);
    const value = this.chance(0.6) && awkward.length > 0
      ? this.choose(awkward)
      : this.integer(low, high);
    return this.note(name, value);
  }

  /** A choice, noted under its name. */
  option<Value>(name: string, values: readonly Value[]): Value {
    return this.note(name, this.choose(values));
  }

  /** Standard normal values times `scale`. */
  normals(count: number, scale = 1): Float32Array {
    return Float32Array.from({ length: count }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - this.float()));
      return scale * radius * Math.cos(2 * Math.PI * this.float());
    });
  }

  /** Uniform values in [low, high). */
  uniforms(count: number, low = 0, high = 1): Float32Array {
    return Float32Array.from({ length: count }, () => low + (high - low) * this.float());
  }

  /** Whole numbers from `low` to `high`, both included. */
  integers(count: number, low: number, high: number): Uint32Array {
    return Uint32Array.from({ length: count }, () => this.integer(low, high));
  }

  /** Log decays, all of a kind or mixed, some of them resets. */
  logDecays(count: number): Float32Array {
    const kind = this.option("decays", DECAY_KINDS);
    return Float32Array.from({ length: count }, () => this.#logDecay(kind));
  }

  #logDecay(kind: DecayKind): number {
    switch (kind) {
      case "none":
        return 0;
      case "weak":
        return -0.01 * this.float();
      case "strong":
        return -1 - 7 * this.float();
      case "steep":
        return -8 - 14 * this.float();
      case "resetting":
        return this.chance(0.15) ? this.choose([-1e4, -1e9, -Infinity]) : -0.1 * this.float();
      case "mixed":
        return this.#logDecay(this.choose(DECAY_KINDS.slice(0, 5)));
    }
  }

  /** Bounds of packed sequences over so many rows, empty ones among them; often none. */
  segments(rows: number): number[] | undefined {
    if (!this.chance(0.3)) return this.note("segments", undefined);
    const inner = Array.from({ length: this.integer(0, 4) }, () => this.integer(0, rows));
    return this.note("segments", [0, ...inner.sort((a, b) => a - b), rows]);
  }

  /**
   * Now and then makes an element of one of the inputs NaN or infinite.
   *
   * @param extents How many items of a batch the inputs hold.
   * @returns which item it is in.
   */
  poison(
    inputs: Readonly<Record<string, Float32Array | undefined>>,
    { chance = 0.1, extents = 1 }: { chance?: number; extents?: number } = {},
  ): { extents: number; index: number } | undefined {
    if (!this.chance(chance)) return undefined;
    const given = Object.entries(inputs).filter(([, values]) => values && values.length > 0);
    if (given.length === 0) return undefined;
    const [name, values] = this.choose(given);
    const at = this.integer(0, values!.length - 1);
    values![at] = this.choose([NaN, NaN, Infinity, -Infinity]);
    this.note("poisoned", `${name}[${at}] = ${values![at]}`);
    return { extents, index: Math.floor(at / (values!.length / extents)) };
  }
}
