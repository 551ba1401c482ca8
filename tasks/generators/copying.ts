import { type Random, randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkDepth, checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions, placeAt } from "./layout.ts";

/** Options of {@linkcode copying}; left out, the layout is the published one. */
export interface CopyingOptions extends LayoutOptions {
  /** Tokens that are copied. @default 0 to 25 */
  readonly letters?: TokenRange;
  /** Begins the string. @default 26 */
  readonly begin?: number;
  /** Ends the string. @default 27 */
  readonly end?: number;
  /** Stands first where the string does not fill the length. @default 29 */
  readonly blank?: number;
}

/** Options of {@linkcode ngramLookup}; left out, the layout is the published one. */
export interface NgramLookupOptions extends CopyingOptions {
  /** Whether the letters that are looked up stand before the string or behind it, as by default. */
  readonly query?: "prefix" | "suffix";
  /** How many letters are looked up. @default 3 */
  readonly ngram?: number;
  /** How many of the letters that follow them are due. @default 1 */
  readonly answerLength?: number;
}

/**
 * Copying (Jelassi et al. 2024, "Repeat after me: transformers are better than state space models at
 * copying", section 4.1): a string, then the string again, letter by letter.
 *
 * ```text
 * tokens   $ c a d b | c a d      $ = begin, | = end
 * labels   - - - - - c a d b      - = unscored
 * ```
 *
 * Published: 26 letters; strings of several lengths, packed into a context in training. The letters
 * before stand there when the next is due, as when a model writes the copy itself and makes no mistake;
 * the full stop behind the copy is not asked for. At even lengths a blank stands first.
 *
 * Chance is 1/(number of letters): 1/26.
 *
 * @throws {RangeError} where letters and marks are not apart.
 */
export function copying(options: CopyingOptions = {}): Task {
  const { vocabulary, letters, begin, end, blank, taskToken } = layoutOf("copying", options);
  const prefix = taskToken === undefined ? 0 : 1;

  const task: Task = {
    name: "copying",
    metric: "accuracy",
    vocabulary,
    options: { vocabulary, letters, begin, end, blank, taskToken },
    depths: false,
    chance: () => 1 / rangeSize(letters),
    shortestLength: () => prefix + 3,
    sample(coordinates): Sample {
      const { length } = coordinates;
      checkLength(task, length);
      const random = randomAt("copying", coordinates);
      const sample = draft(length, blank, taskToken);
      const count = Math.floor((length - prefix - 1) / 2);
      const ended = length - count;
      sample.tokens[ended - count - 1] = begin;
      sample.tokens[ended] = end;
      for (let t = ended - count; t < ended; t++) {
        const letter = random.token(letters);
        sample.tokens[t] = letter;
        if (t + 1 < ended) sample.tokens[t + count + 1] = letter;
        ask(sample, t + count, letter, t);
      }
      return finish(sample);
    },
  };
  return task;
}

/**
 * n-gram lookup (Jelassi et al. 2024, section 4.1): some letters of a string, and what follows them
 * there is due. They stand behind the string, so that all of it must be kept, or before it, so that a
 * model knows what to wait for.
 *
 * ```text
 * suffix   $ c a d b a c | a d      $ = begin, | = end
 * labels   - - - - - - - - - b      - = unscored
 * prefix   $ a d | c a d b a c |
 * labels   - - - - - - - - - - b
 * ```
 *
 * Published: 26 letters. The letters that are looked up stand in the string once. The depth is their
 * place: 0 at the beginning, 1 where only the answer follows. An answer rests on what is looked up: in
 * the string, or before it.
 *
 * Chance is 1/(number of letters): 1/26.
 *
 * @throws {RangeError} where letters and marks are not apart or the counts are below 1.
 */
export function ngramLookup(options: NgramLookupOptions = {}): Task {
  const layout = layoutOf("ngram-lookup", options);
  const { vocabulary, letters, begin, end, blank, taskToken } = layout;
  const { query = "suffix", ngram = 3, answerLength = 1 } = options;
  for (const [what, count] of Object.entries({ "looked up": ngram, due: answerLength })) {
    if (Number.isInteger(count) && count >= 1) continue;
    throw new RangeError(
      `Cannot make ngram-lookup as at least one letter is ${what}: current number is ${count}`,
    );
  }
  if (rangeSize(letters) < 2) {
    throw new RangeError(
      `Cannot make ngram-lookup as letters must be at least two tokens: current range is ${
        letters[0]
      } to ${letters[1]}`,
    );
  }
  const prefix = taskToken === undefined ? 0 : 1;
  // Besides the string: two or three marks, what is looked up, and the answer but for its end.
  const others = (query === "suffix" ? 2 : 3) + ngram + answerLength - 1;

  const task: Task = {
    name: "ngram-lookup",
    metric: "accuracy",
    vocabulary,
    options: {
      ...{ vocabulary, letters, begin, end, blank, taskToken },
      ...{ query, ngram, answerLength },
    },
    depths: true,
    chance: () => 1 / rangeSize(letters),
    shortestLength: () => prefix + others + ngram + answerLength,
    sample(coordinates): Sample {
      const { length, depth } = coordinates;
      checkLength(task, length);
      checkDepth(task, depth);
      const random = randomAt("ngram-lookup", coordinates);
      const sample = draft(length, blank, taskToken);
      const count = length - prefix - others;
      const farthest = count - ngram - answerLength;
      const place = placeAt(random, depth, farthest);
      const string = stringWithOne(random, letters, count, place, ngram);
      const key = string.subarray(place, place + ngram);
      const answer = string.subarray(place + ngram, place + ngram + answerLength);
      const written = answer.subarray(0, answerLength - 1);
      const evidence = prefix + 1 + (query === "suffix" ? place : 0);
      sample.tokens.set(
        query === "suffix"
          ? [begin, ...string, end, ...key, ...written]
          : [begin, ...key, end, ...string, end, ...written],
        prefix,
      );
      answer.forEach((letter, i) => {
        ask(sample, length - answerLength + i, letter, evidence);
      });
      return finish(sample, farthest === 0 ? 0 : place / farthest);
    },
  };
  return task;
}

/** Random letters in which those at `place` stand nowhere else. */
function stringWithOne(
  random: Random,
  letters: TokenRange,
  count: number,
  place: number,
  size: number,
): Uint32Array {
  const string = Uint32Array.from({ length: count }, () => random.token(letters));
  const again = (from: number): number => {
    for (let t = from; t + size <= count; t++) {
      if (t === place) continue;
      let same = 0;
      while (same < size && string[t + same] === string[place + same]) same++;
      if (same === size) return t;
    }
    return -1;
  };
  for (let t = again(0); t >= 0; t = again(Math.max(0, t - size))) {
    const outside = Array.from({ length: size }, (_, i) => t + i)
      .filter((i) => i < place || i >= place + size);
    string[outside[random.integer(0, outside.length - 1)]] = random.token(letters);
  }
  return string;
}

function layoutOf(
  name: string,
  { vocabulary = 30, letters = [0, 25], begin = 26, end = 27, blank = 29, taskToken }:
    CopyingOptions,
): Required<Omit<CopyingOptions, "taskToken">> & Pick<CopyingOptions, "taskToken"> {
  checkLayout(name, vocabulary, { letters, begin, end, blank, taskToken });
  return { vocabulary, letters, begin, end, blank, taskToken };
}
