import { randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkDepth, checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions, placeAt } from "./layout.ts";

/** Options of {@linkcode phoneBook}. */
export interface PhoneBookOptions extends LayoutOptions {
  /** Tokens that are first names. @default 16 to 31 */
  readonly firstNames?: TokenRange;
  /** Tokens that are last names. @default 32 to 47 */
  readonly lastNames?: TokenRange;
  /** Tokens that are digits. @default 48 to 57 */
  readonly digits?: TokenRange;
  /** Ends a line. @default 8 */
  readonly newline?: number;
  /** Stands between a name and its number. @default 9 */
  readonly colon?: number;
  /** Digits of a number. @default 10 */
  readonly numberLength?: number;
  /** Entries that stand once more before the question, to show what is wanted. @default 2 */
  readonly examples?: number;
}

/**
 * Phone book (Jelassi et al. 2024, "Repeat after me: transformers are better than state space models at
 * copying", section 4.2), word by word and digit by digit: names with their numbers, as many as fit;
 * behind an empty line a few of them once more, and behind another the name whose number is due.
 *
 * ```text
 * tokens   A b : 4 2 / B a : 7 1 / A a : 2 5 / / B a : 7 1 / / A b : 4      / = newline
 * labels   - - - - - - - - - - - - - - - - - - - - - - - - - - - - - 4 2      - = unscored
 * ```
 *
 * Published: numbers of ten digits, two entries shown, books of up to some hundred entries for
 * pretrained models with a tokenizer; there the first digit is from 6 to 9, here all are alike. The
 * digits before stand there when the next is due, as when a model writes the number itself and makes no
 * mistake. Neither the name that is asked for nor one that is shown stands in the book again; others may.
 *
 * The depth is the share of the other entries that stand before the one asked for. Chance is 1/10.
 *
 * @throws {RangeError} where tokens are not apart, or there are fewer than 2 + `examples` names.
 */
export function phoneBook(options: PhoneBookOptions = {}): Task {
  const { vocabulary = 64, taskToken, numberLength = 10, examples = 2 } = options;
  const { firstNames = [16, 31], lastNames = [32, 47], digits = [48, 57] } = options;
  const { newline = 8, colon = 9 } = options;
  const layout = { firstNames, lastNames, digits, newline, colon };
  checkLayout("phone-book", vocabulary, { ...layout, taskToken });
  const names = rangeSize(firstNames) * rangeSize(lastNames);
  const check = (what: string, value: number, low: number, high: number): void => {
    if (Number.isInteger(value) && value >= low && value <= high) return;
    throw new RangeError(
      `Cannot ask phone-book as the number of ${what} must be from ${low} to ${high}: current number is ${value}`,
    );
  };
  check("digits of a number", numberLength, 1, 2 ** 16);
  check("entries shown", examples, 0, names - 2);
  const prefix = taskToken === undefined ? 0 : 1;
  const entryLength = numberLength + 4;
  // An empty line and the entries shown, if any; another, and the question but for its last digit.
  const questionLength = (examples === 0 ? 0 : 1 + examples * entryLength) + entryLength - 1;

  const task: Task = {
    name: "phone-book",
    metric: "accuracy",
    vocabulary,
    options: { vocabulary, ...layout, numberLength, examples, taskToken },
    depths: true,
    chance: () => 1 / rangeSize(digits),
    shortestLength: () => prefix + (examples + 1) * entryLength + questionLength,
    sample(coordinates): Sample {
      const { length, depth } = coordinates;
      checkLength(task, length);
      checkDepth(task, depth);
      const random = randomAt("phone-book", coordinates);
      const sample = draft(length, newline, taskToken);
      const room = length - prefix - questionLength;
      const entries = Math.floor(room / entryLength);
      const once = random.distinct(examples + 1, [0, names - 1]);
      const name = (): number => {
        let drawn: number;
        do drawn = random.integer(0, names - 1); while (once.includes(drawn));
        return drawn;
      };
      const place = placeAt(random, depth, entries - 1);
      const shownAt = random.distinct(examples, [0, entries - 2])
        .map((other) => other < place ? other : other + 1);
      const nameAt = new Map([place, ...shownAt].map((at, i) => [at, once[i]]));
      const start = prefix + room % entryLength;
      const write = (t: number, entry: Uint32Array | readonly number[]): number => {
        sample.tokens.set(entry, t);
        return t + entry.length;
      };
      let t = start;
      for (let i = 0; i < entries; i++) {
        const drawn = nameAt.get(i) ?? name();
        t = write(t, [
          firstNames[0] + drawn % rangeSize(firstNames),
          lastNames[0] + Math.floor(drawn / rangeSize(firstNames)),
          colon,
          ...Array.from({ length: numberLength }, () => random.token(digits)),
          newline,
        ]);
      }
      const entryAt = (at: number): Uint32Array =>
        sample.tokens.slice(start + at * entryLength, start + (at + 1) * entryLength);
      if (examples > 0) t++; // an empty line
      for (const at of shownAt) t = write(t, entryAt(at));
      t++;
      const asked = entryAt(place);
      write(t, asked.subarray(0, entryLength - 2));
      for (let digit = 0; digit < numberLength; digit++) {
        ask(sample, t + 2 + digit, asked[3 + digit], start + place * entryLength);
      }
      return finish(sample, entries === 1 ? 0 : place / (entries - 1));
    },
  };
  return task;
}
