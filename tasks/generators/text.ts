import { randomAt } from "../random.ts";
import { checkLength, type Sample, type Task, UNSCORED } from "../task.ts";
import type { Wording } from "../wording.ts";
import { partOf, readText, type TextOptions } from "./text_source.ts";

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
  const source = await readText("text", { ...options, needed: 2 }, wording);
  const { begin, heldOut, inWords, room, vocabulary } = source;

  const task: Task = {
    name: "text",
    metric: "perplexity",
    vocabulary,
    options: { file: options.file, heldOut },
    source: inWords,
    depths: false,
    longestLength: begin.length - 1 + room,
    chance: () => undefined,
    shortestLength: () => begin.length + 1,
    sample(coordinates): Sample {
      const { length, split } = coordinates;
      checkLength(task, length);
      const part = partOf(source, split);
      const read = length - begin.length; // of the text itself
      const start = randomAt("text", coordinates).integer(0, part.length - read - 1);
      return {
        tokens: Uint32Array.from([...begin, ...part.subarray(start, start + read)]),
        labels: Uint32Array.from([
          ...begin.map(() => UNSCORED),
          ...part.subarray(start + 1, start + read + 1),
        ]),
        bytes: source.bytesOf(part, start + 1, start + read + 1),
        begins: begin.length > 0,
      };
    },
  };
  return task;
}
