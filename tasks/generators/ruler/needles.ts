import type { Random } from "../../random.ts";
import type { NeedleKind } from "./names.ts";
import { type NameWords, randomUuid } from "./words.ts";

/** A key with its values. */
export interface Needle {
  /** What is asked for by. */
  readonly key: string;
  /** What is asked for. */
  readonly values: readonly string[];
}

/** RULER's needle. */
export function needleSentence(kind: NeedleKind, key: string, value: string): string {
  return `One of the special magic ${kind}s for ${key} is: ${value}.`;
}

/**
 * Draws keys and values none of which is part of another, so that what is asked for can be read at
 * one place alone, and a needle stands for nothing but its own key.
 */
export class NeedleDraws {
  readonly #random: Random;
  readonly #names: NameWords;
  readonly #seen = new Set<string>();
  /** What the needles asked about are made of: nothing may have a part of it. */
  readonly #asked: string[] = [];

  /** Draws from a stream. */
  constructor(random: Random, names: NameWords) {
    this.#random = random;
    this.#names = names;
  }

  /** A key or value that may be asked about. */
  asked(kind: NeedleKind): string {
    const text = this.distractor(kind);
    // A later one could hold it, or be held by it, if only the drawn were looked at.
    if (this.#asked.some((other) => text.includes(other) || other.includes(text))) {
      return this.asked(kind);
    }
    this.#asked.push(text);
    return text;
  }

  /** A key or value that nobody asks about, drawn from another stream if one is given. */
  distractor(kind: NeedleKind, random: Random = this.#random): string {
    while (true) {
      const text = this.#draw(kind, random);
      if (this.#seen.has(text) || this.#asked.some((asked) => text.includes(asked))) continue;
      this.#seen.add(text);
      return text;
    }
  }

  #draw(kind: NeedleKind, random: Random): string {
    switch (kind) {
      case "word":
        return `${random.choose(this.#names.adjectives)}-${random.choose(this.#names.nouns)}`;
      case "number":
        return String(random.integer(1_000_000, 9_999_999));
      case "uuid":
        return randomUuid(random);
    }
  }
}
