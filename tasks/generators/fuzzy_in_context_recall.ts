import { type Random, randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions } from "./layout.ts";

/** Options of {@linkcode fuzzyInContextRecall}; left out, the layout is the published one. */
export interface FuzzyInContextRecallOptions extends LayoutOptions {
  /** Tokens that keys are made of. @default the lower half of all but the blank */
  readonly keys?: TokenRange;
  /** Tokens that values are made of. @default the upper half of all but the blank */
  readonly values?: TokenRange;
  /** Stands first where no further pair fits. @default vocabulary − 1 */
  readonly blank?: number;
  /** The most tokens of a key. @default 3 */
  readonly keyLength?: number;
  /** The most tokens of a value. @default 3 */
  readonly valueLength?: number;
}

interface Pair {
  readonly key: readonly number[];
  readonly value: readonly number[];
}

/**
 * Fuzzy in-context recall of MAD (Poli et al. 2024, "Mechanistic design and scaling of hybrid
 * architectures", section 3.1): as in-context recall, but keys and values are several tokens, all
 * different, whose number changes from pair to pair. The value's tokens are due one after the other.
 *
 * ```text
 * tokens   . A C B 4 3 B A C 6 A C B 4      A, B, C = keys' tokens, . = blank
 * labels   - - - - - - - - - - - - 4 3      - = unscored
 * ```
 *
 * Published: a vocabulary of 16 (0 to 6 for keys, 7 to 14 for values, 15 blank), keys and values of one
 * to three tokens, at 128 tokens; test keys always have three. The last pair is one that stood
 * somewhere before. MAD trains on every next token; here the loss is of what is due alone.
 *
 * An answer rests on where its key stood last. Chance is 1/(number of value tokens): 1/8.
 *
 * @throws {RangeError} where tokens are not apart or fewer than a key or a value takes.
 */
export function fuzzyInContextRecall(options: FuzzyInContextRecallOptions = {}): Task {
  const name = "fuzzy-in-context-recall";
  const { vocabulary = 16, taskToken, keyLength = 3, valueLength = 3 } = options;
  const half = Math.floor((vocabulary - 1) / 2);
  const { keys = [0, half - 1], values = [half, vocabulary - 2], blank = vocabulary - 1 } = options;
  checkLayout(name, vocabulary, { keys, values, blank, taskToken });
  const parts = { key: [keyLength, keys], value: [valueLength, values] } as const;
  for (const [part, [count, range]] of Object.entries(parts)) {
    if (!Number.isInteger(count) || count < 1 || count > rangeSize(range)) {
      throw new RangeError(
        `Cannot make ${name} as a ${part} must have 1 to ${
          rangeSize(range)
        } tokens: current number is ${count}`,
      );
    }
  }
  const prefix = taskToken === undefined ? 0 : 1;

  const task: Task = {
    name,
    metric: "accuracy",
    vocabulary,
    options: { vocabulary, keys, values, blank, keyLength, valueLength, taskToken },
    depths: false,
    chance: () => 1 / rangeSize(values),
    shortestLength: () => prefix + 2 * (keyLength + valueLength) - 1,
    sample(coordinates): Sample {
      const { length, split } = coordinates;
      checkLength(task, length);
      const random = randomAt(name, coordinates);
      const sample = draft(length, blank, taskToken);
      const valueOf = new Map<string, readonly number[]>();
      const draw = (): Pair => {
        const key = motif(random, split === "train" ? 1 : keyLength, keyLength, keys);
        const drawn = motif(random, 1, valueLength, values);
        const value = valueOf.get(key.join()) ?? drawn;
        valueOf.set(key.join(), value);
        return { key, value };
      };
      // The last pair, which stands once more before, and others while they fit.
      const last = draw();
      const pairs: Pair[] = [];
      let room = length + 1 - prefix - 2 * sizeOf(last);
      for (let pair = draw(); sizeOf(pair) <= room; pair = draw()) {
        pairs.push(pair);
        room -= sizeOf(pair);
      }
      pairs.splice(random.integer(0, pairs.length), 0, last);

      const stoodAt = new Map<string, number>();
      let t = prefix + room;
      for (const { key, value } of [...pairs, last]) {
        const before = stoodAt.get(key.join());
        stoodAt.set(key.join(), t);
        sample.tokens.set(key, t);
        t += key.length;
        for (const token of value) {
          if (before !== undefined) ask(sample, t - 1, token, before);
          if (t < length) sample.tokens[t] = token;
          t++;
        }
      }
      return finish(sample);
    },
  };
  return task;
}

function sizeOf({ key, value }: Pair): number {
  return key.length + value.length;
}

/** From `fewest` to `most` different tokens of the range. */
function motif(random: Random, fewest: number, most: number, range: TokenRange): number[] {
  return random.distinct(random.integer(fewest, most), range);
}
