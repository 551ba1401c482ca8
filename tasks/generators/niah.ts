import { type Random, randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkDepth, checkLength, type Sample, type Task } from "../task.ts";
import { essayWords, FILLER_WORDS, type Haystack, noiseWords } from "./haystack.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions, placeAt } from "./layout.ts";

/** Options of {@linkcode niah}. */
export interface NiahOptions extends LayoutOptions {
  /** What the needles lie in. @default `essay` */
  readonly haystack?: Haystack;
  /** Keys that have needles unless the coordinates say another load. @default 4 */
  readonly keyCount?: number;
  /** Needles of each key, each with a value of its own. @default 1 */
  readonly valueCount?: number;
  /** Keys that are asked for, one after the other. @default 1 */
  readonly queryCount?: number;
  /** Tokens of a value. @default 1 */
  readonly valueLength?: number;
  /** Begins a needle. @default 8 */
  readonly needle?: number;
  /** Begins a question. @default 9 */
  readonly question?: number;
  /** Asks for the next token of an answer. @default 10 */
  readonly next?: number;
  /** Tokens that are keys. @default 16 to 31 */
  readonly keys?: TokenRange;
  /** Tokens that values are made of. @default 32 to 47 */
  readonly values?: TokenRange;
  /** The words of noise and essays, sixteen. @default 48 to 63 */
  readonly fillers?: TokenRange;
}

/** A needle, and where its key came to stand. */
interface Needle {
  readonly key: number;
  readonly value: readonly number[];
  place: number;
}

/**
 * A needle in a haystack, word by word (after Hsieh et al. 2024, "RULER", section 3.1), for models
 * that are too small for words of bytes: needles, each a key and its value, in noise that repeats, in
 * an essay, or among nothing but other needles; at the end some keys stand again and their values are
 * due.
 *
 * ```text
 * tokens   the sky * K 7 3 is blue . here * M 5 5 we go . ? K #      * = needle, ? = question
 * labels    -   -  - - - - -   -   -  -   - - - - -  -  - - 7 3      # = next, - = unscored
 * ```
 *
 * RULER's tasks in miniature: `niah_single_1` is noise with a `keyCount` of 1, `niah_single_2` an
 * essay with 1, `niah_single_3` with a longer value; `niah_multikey_1` an essay with 4,
 * `niah_multikey_2` needles; `niah_multivalue` an essay with a `valueCount` of 4, `niah_multiquery` with
 * a `keyCount` and a `queryCount` of 4. Several values of one key are due in the order in which they
 * stand. The marks stand in for the answers, so that no answer helps the one after it. Among needles,
 * keys that are not asked for come again, with other values.
 *
 * The depth is the share of the other words (among needles: of the other needles) that stand before
 * the first key's first needle.
 *
 * Chance is 1/(number of value tokens): 1/16.
 *
 * @throws {RangeError} where tokens are not apart, there are too few fillers, or counts do not fit.
 */
export function niah(options: NiahOptions = {}): Task {
  const { vocabulary = 64, taskToken, haystack = "essay", needle = 8, question = 9 } = options;
  const { keyCount = 4, valueCount = 1, queryCount = 1, valueLength = 1, next = 10 } = options;
  const { keys = [16, 31], values = [32, 47], fillers = [48, 63] } = options;
  const name = `niah-${haystack}`;
  checkLayout(name, vocabulary, { keys, values, fillers, needle, question, next, taskToken });
  if (rangeSize(fillers) !== FILLER_WORDS) {
    throw new RangeError(
      `Cannot make ${name} as its haystack has ${FILLER_WORDS} words: current fillers are ${
        fillers[0]
      } to ${fillers[1]}`,
    );
  }
  const whole = (what: string, value: number, low: number, high: number): void => {
    if (Number.isInteger(value) && value >= low && value <= high) return;
    throw new RangeError(
      `Cannot ask ${name} as the number of ${what} must be from ${low} to ${high}: current number is ${value}`,
    );
  };
  const checkKeys = (count: number): void => whole("keys", count, queryCount, rangeSize(keys));
  whole("values of a key", valueCount, 1, 2 ** 16);
  whole("tokens of a value", valueLength, 1, 2 ** 16);
  // Other needles need a key that is not asked for.
  whole("questions", queryCount, 1, rangeSize(keys) - (haystack === "needles" ? 1 : 0));
  checkKeys(keyCount);
  const prefix = taskToken === undefined ? 0 : 1;
  const needleLength = 2 + valueLength;
  const questionLength = 1 + valueCount * valueLength;
  const answerAt = (length: number, query: number): number =>
    length - (queryCount - query) * questionLength + 1;

  const task: Task = {
    name,
    metric: "accuracy",
    vocabulary,
    options: {
      ...{ vocabulary, taskToken, haystack, keyCount, valueCount, queryCount, valueLength },
      ...{ needle, question, next, keys, values, fillers },
    },
    loads: { counts: "keys", default: keyCount },
    depths: true,
    chance: () => 1 / rangeSize(values),
    shortestLength(load = keyCount): number {
      checkKeys(load);
      return prefix + load * valueCount * needleLength + queryCount * questionLength;
    },
    sample(coordinates): Sample {
      const { length, depth, load = keyCount } = coordinates;
      checkLength(task, length, load);
      checkDepth(task, depth);
      const random = randomAt(name, { ...coordinates, load });
      const sample = draft(length, fillers[0], taskToken);
      const value = (): number[] => Array.from({ length: valueLength }, () => random.token(values));
      const write = (t: number, key: number, value: readonly number[]): number => {
        sample.tokens.set([needle, key, ...value], t);
        return t + needleLength;
      };
      const drawn = random.distinct(load, keys);
      const needles = drawn.flatMap((key) =>
        Array.from({ length: valueCount }, (): Needle => ({ key, value: value(), place: 0 }))
      );

      const room = length - task.shortestLength(load);
      const others = haystack === "needles" ? Math.floor(room / needleLength) : room;
      const parts = others + needles.length;
      const rank = placeAt(random, depth, parts - 1);
      const needleOf = new Map(
        random.distinct(needles.length - 1, [0, parts - 2])
          .map((other, i) => [other < rank ? other : other + 1, needles[i + 1]]),
      ).set(rank, needles[0]);
      const asked = drawn.slice(0, queryCount);
      const writeOther = haystack === "needles"
        ? (t: number): number => write(t, tokenBut(asked, keys, random), value())
        : writeWord(haystack === "noise" ? noiseWords() : essayWords(random));

      // Where no further needle fits, the first word stands at the beginning.
      let t = prefix + (haystack === "needles" ? room % needleLength : 0);
      for (let part = 0; part < parts; part++) {
        const here = needleOf.get(part);
        if (here) here.place = t + 1;
        t = here ? write(t, here.key, here.value) : writeOther(t);
      }
      asked.forEach((key, query) => {
        const start = answerAt(length, query);
        sample.tokens.fill(next, start, start + questionLength - 1);
        sample.tokens.set([question, key], start - 1);
        needles.filter((needle) => needle.key === key)
          .sort((a, b) => a.place - b.place)
          .flatMap(({ value, place }) => value.map((token) => ({ token, place })))
          .forEach(({ token, place }, i) => ask(sample, start + i, token, place));
      });
      return finish(sample, parts === 1 ? 0 : rank / (parts - 1));

      function writeWord(word: () => number): (t: number) => number {
        return (t) => {
          sample.tokens[t] = fillers[0] + word();
          return t + 1;
        };
      }
    },
  };
  return task;
}

/** A token of the range that is none of the given ones. */
function tokenBut(taken: readonly number[], range: TokenRange, random: Random): number {
  let token: number;
  do token = random.token(range); while (taken.includes(token));
  return token;
}
