import { randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions } from "./layout.ts";

/** Options of {@linkcode memorization}; left out, the layout is the published one. */
export interface MemorizationOptions extends LayoutOptions {
  /** Tokens that are keys. @default the lower half of all but the mark */
  readonly keys?: TokenRange;
  /** Tokens that are values, at least as many. @default the upper half of all but the mark */
  readonly values?: TokenRange;
  /** Asks for the value of the key before it. @default vocabulary − 1 */
  readonly mark?: number;
  /** Which values belong to which keys. @default 0 */
  readonly map?: number;
}

/**
 * Memorization of MAD (Poli et al. 2024, "Mechanistic design and scaling of hybrid architectures",
 * section 3.1): keys and marks; each mark asks for the value of the key before it. Which value a key
 * has never stands in a sequence and never changes: it must be learned in training.
 *
 * ```text
 * tokens   B # A # C # A #      # = the mark
 * labels   - 3 - 4 - 6 - 4      - = unscored
 * ```
 *
 * Published: a vocabulary of 256 (0 to 126 keys, 127 to 254 values, 255 the mark), 32 tokens, 256
 * training sequences; vocabularies to 8192. At odd lengths the first mark has lost its key.
 *
 * An answer rests on the token before the mark. Chance is 1/(number of values): 1/128.
 *
 * @throws {RangeError} where tokens are not apart or there are fewer values than keys.
 */
export function memorization(options: MemorizationOptions = {}): Task {
  const { vocabulary = 256, taskToken, mark = vocabulary - 1, map = 0 } = options;
  const half = Math.floor((vocabulary - 1) / 2);
  const { keys = [0, half - 1], values = [half, vocabulary - 2] } = options;
  checkLayout("memorization", vocabulary, { keys, values, mark, taskToken });
  if (rangeSize(values) < rangeSize(keys)) {
    throw new RangeError(
      `Cannot make memorization as each key needs a value of its own: current numbers are ${
        rangeSize(keys)
      } keys and ${rangeSize(values)} values`,
    );
  }
  const prefix = taskToken === undefined ? 0 : 1;
  const valueOf = randomAt("memorization map", { length: 0, seed: map, index: 0, split: "train" })
    .distinct(rangeSize(keys), values);

  const task: Task = {
    name: "memorization",
    metric: "accuracy",
    vocabulary,
    options: { vocabulary, keys, values, mark, map, taskToken },
    depths: false,
    chance: () => 1 / rangeSize(values),
    shortestLength: () => prefix + 2,
    sample(coordinates): Sample {
      const { length } = coordinates;
      checkLength(task, length);
      const random = randomAt("memorization", coordinates);
      const sample = draft(length, mark, taskToken);
      for (let t = prefix + (length - prefix) % 2; t < length; t += 2) {
        const key = random.token(keys);
        sample.tokens[t] = key;
        ask(sample, t + 1, valueOf[key - keys[0]], t);
      }
      return finish(sample);
    },
  };
  return task;
}
