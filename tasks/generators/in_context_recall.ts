import { randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions } from "./layout.ts";

/** Options of {@linkcode inContextRecall}; left out, the layout is the published one. */
export interface InContextRecallOptions extends LayoutOptions {
  /** Tokens that are keys. @default the lower half of what is not noise */
  readonly keys?: TokenRange;
  /** Tokens that are values. @default the upper half of what is not noise */
  readonly values?: TokenRange;
}

/** Options of {@linkcode noisyInContextRecall}; left out, the layout is the published one. */
export interface NoisyInContextRecallOptions extends InContextRecallOptions {
  /** Tokens that are noise. @default the last sixteen of the vocabulary */
  readonly noise?: TokenRange;
  /** The probability that noise stands in a pair's place. @default 0.2 */
  readonly noiseShare?: number;
}

/**
 * In-context recall of MAD (Poli et al. 2024, "Mechanistic design and scaling of hybrid
 * architectures", section 3.1): keys and their values, drawn again and again; wherever a key has
 * stood before, its value is due.
 *
 * ```text
 * tokens   A 4 B 3 A 4 C 6 B 3 A          A, B, C = keys
 * labels   - - - - 4 - - - 3 - 4          - = unscored
 * ```
 *
 * Published: a vocabulary of 16, in which 0 to 7 are keys and 8 to 15 values, at 128 tokens (127
 * without the last answer), and vocabularies to 128 and lengths to 1024. At even lengths the first
 * pair has lost its key. MAD trains on every next token; here the loss is of what is due alone.
 *
 * An answer rests on where its key stood last. Chance is 1/(number of values): 1/8.
 *
 * @throws {RangeError} where keys and values are not apart.
 */
export function inContextRecall(options: InContextRecallOptions = {}): Task {
  const { vocabulary = 16 } = options;
  return recall("in-context-recall", { ...options, vocabulary }, vocabulary, undefined, 0);
}

/**
 * Noisy in-context recall of MAD (Poli et al. 2024, section 3.1): as {@linkcode inContextRecall}, with
 * noise in the place of some pairs.
 *
 * ```text
 * tokens   A 4 x y A 4 z x B 3 A          A, B = keys, x, y, z = noise
 * labels   - - - - 4 - - - - - 4          - = unscored
 * ```
 *
 * Published: a vocabulary of 32, the last 16 of it noise, which takes a fifth of the places, at 128
 * tokens; and shares of noise to 0.8.
 *
 * @throws {RangeError} where keys, values and noise are not apart or the share is not below 1.
 */
export function noisyInContextRecall(options: NoisyInContextRecallOptions = {}): Task {
  const { vocabulary = 32, noiseShare = 0.2 } = options;
  const { noise = [vocabulary - 16, vocabulary - 1] } = options;
  if (!(noiseShare >= 0 && noiseShare < 1)) {
    throw new RangeError(
      `Cannot make noisy-in-context-recall as the share of noise must be from 0 to below 1: current share is ${noiseShare}`,
    );
  }
  return recall(
    "noisy-in-context-recall",
    { ...options, vocabulary },
    noise[0],
    noise,
    noiseShare,
  );
}

function recall(
  name: string,
  options: InContextRecallOptions & { readonly vocabulary: number },
  recalled: number,
  noise: TokenRange | undefined,
  noiseShare: number,
): Task {
  const { vocabulary, taskToken } = options;
  const half = Math.floor(recalled / 2);
  const { keys = [0, half - 1], values = [half, recalled - 1] } = options;
  checkLayout(name, vocabulary, { keys, values, noise, taskToken });
  const prefix = taskToken === undefined ? 0 : 1;

  const task: Task = {
    name,
    metric: "accuracy",
    vocabulary,
    options: {
      ...{ vocabulary, keys, values, taskToken },
      ...(noise === undefined ? {} : { noise, noiseShare }),
    },
    depths: false,
    chance: () => 1 / rangeSize(values),
    shortestLength: () => prefix + 3,
    sample(coordinates): Sample {
      const { length } = coordinates;
      checkLength(task, length);
      const random = randomAt(name, coordinates);
      const sample = draft(length, keys[0], taskToken);
      const valueOf = new Map<number, number>();
      const stoodAt = new Map<number, number>();
      const pairs = Math.floor((length - prefix - 1) / 2);
      const surely = random.integer(0, pairs - 1); // at least one pair is not noise
      const start = length - 1 - 2 * pairs;
      if (start > prefix) sample.tokens[prefix] = random.token(values);
      for (let pair = 0; pair <= pairs; pair++) {
        const t = start + 2 * pair;
        if (noise && pair < pairs && pair !== surely && random.float() < noiseShare) {
          sample.tokens.set([random.token(noise), random.token(noise)], t);
          continue;
        }
        const presented = [...stoodAt.keys()];
        const key = pair < pairs
          ? random.token(keys)
          : presented[random.integer(0, presented.length - 1)];
        const value = valueOf.get(key) ?? random.token(values);
        const before = stoodAt.get(key);
        if (before !== undefined) ask(sample, t, value, before);
        valueOf.set(key, value);
        stoodAt.set(key, t);
        sample.tokens[t] = key;
        if (pair < pairs) sample.tokens[t + 1] = value;
      }
      return finish(sample);
    },
  };
  return task;
}
