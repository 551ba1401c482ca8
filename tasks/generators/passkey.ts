import { randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkDepth, checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions, placeAt } from "./layout.ts";

/** Options of {@linkcode passkey}. */
export interface PasskeyOptions extends LayoutOptions {
  /** Tokens that are keys. @default 16 to 31 */
  readonly keys?: TokenRange;
  /** Tokens that are values. @default 32 to 47 */
  readonly values?: TokenRange;
  /** The noise around the needle. @default 48 to 63 */
  readonly fillers?: TokenRange;
}

/**
 * Passkey (after Mohtashami & Jaggi 2023, "Landmark attention", section 4.2): one needle, a key and
 * its value, inside noise; at the end the key stands again and its value is due.
 *
 * ```text
 * tokens   x z y K 7 y x x z y x K      K = key, 7 = value, x y z = noise
 * labels   - - - - - - - - - - - 7      - = unscored
 * ```
 *
 * The depth is the needle's place: 0 at the beginning, 1 right before the question.
 *
 * Chance is 1/(number of values): 1/16.
 *
 * @throws {RangeError} where keys, values and fillers are not apart.
 */
export function passkey(options: PasskeyOptions = {}): Task {
  const { vocabulary = 64, taskToken } = options;
  const { keys = [16, 31], values = [32, 47], fillers = [48, 63] } = options;
  checkLayout("passkey", vocabulary, { keys, values, fillers, taskToken });
  const prefix = taskToken === undefined ? 0 : 1;

  const task: Task = {
    name: "passkey",
    metric: "accuracy",
    vocabulary,
    options: { vocabulary, keys, values, fillers, taskToken },
    depths: true,
    chance: () => 1 / rangeSize(values),
    shortestLength: () => prefix + 3,
    sample(coordinates): Sample {
      const { length, depth } = coordinates;
      checkLength(task, length);
      checkDepth(task, depth);
      const random = randomAt("passkey", coordinates);
      const [key, value] = [random.token(keys), random.token(values)];
      const farthest = length - prefix - 3;
      const place = placeAt(random, depth, farthest);
      const sample = draft(length, key, taskToken);
      for (let t = prefix; t < length - 1; t++) sample.tokens[t] = random.token(fillers);
      sample.tokens[prefix + place] = key;
      sample.tokens[prefix + place + 1] = value;
      // Values stand nowhere else: who sees the value knows the answer.
      ask(sample, length - 1, value, prefix + place + 1);
      return finish(sample, farthest === 0 ? 0 : place / farthest);
    },
  };
  return task;
}
