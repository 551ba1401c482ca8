import { randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions } from "./layout.ts";

/** Options of {@linkcode compression}; left out, the layout is the published one. */
export interface CompressionOptions extends LayoutOptions {
  /** Tokens that are compressed. @default all but the mark */
  readonly symbols?: TokenRange;
  /** Ends the sequence and asks for its next symbol. @default vocabulary − 1 */
  readonly mark?: number;
}

/**
 * Compression of MAD (Poli et al. 2024, "Mechanistic design and scaling of hybrid architectures",
 * section 3.1): random symbols and a mark, from whose state the whole sequence must be reproduced.
 *
 * ```text
 * tokens   c a d b # # # #      # = the mark
 * labels   - - - - c a d b      - = unscored
 * ```
 *
 * Published: a vocabulary of 16, 31 symbols and the mark (here 62 tokens). MAD hands the mark's hidden
 * state and each position to a decoder, which learns the symbol there. A model of tokens has no such
 * decoder: here the mark is repeated, and the n-th one reads the n-th symbol out. A recurrent model's
 * state at the first mark must hold all of them, as in MAD; attention may look back, for which this is
 * copying. At odd lengths one more mark stands first.
 *
 * Chance is 1/(number of symbols): 1/15.
 *
 * @throws {RangeError} where the mark is one of the symbols.
 */
export function compression(options: CompressionOptions = {}): Task {
  const { vocabulary = 16, taskToken } = options;
  const { mark = vocabulary - 1, symbols = [0, vocabulary - 2] } = options;
  checkLayout("compression", vocabulary, { mark, symbols, taskToken });
  const prefix = taskToken === undefined ? 0 : 1;

  const task: Task = {
    name: "compression",
    metric: "accuracy",
    vocabulary,
    options: { vocabulary, mark, symbols, taskToken },
    depths: false,
    chance: () => 1 / rangeSize(symbols),
    shortestLength: () => prefix + 2,
    sample(coordinates): Sample {
      const { length } = coordinates;
      checkLength(task, length);
      const random = randomAt("compression", coordinates);
      const sample = draft(length, mark, taskToken);
      const count = Math.floor((length - prefix) / 2);
      for (let t = length - 2 * count; t < length - count; t++) {
        sample.tokens[t] = random.token(symbols);
        ask(sample, t + count, sample.tokens[t], t);
      }
      return finish(sample);
    },
  };
  return task;
}
