import { randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions } from "./layout.ts";

/** Options of {@linkcode selectiveCopying}; left out, the layout is the published one. */
export interface SelectiveCopyingOptions extends LayoutOptions {
  /** Symbols to copy in a sample unless its coordinates say another load; 16 unless told. */
  readonly count?: number;
  /** Tokens that are copied: 1 to vocabulary − 2 unless told. */
  readonly symbols?: TokenRange;
  /** Stands between the symbols; 0 unless told. */
  readonly blank?: number;
  /** Asks for the next symbol: vocabulary − 1 unless told. */
  readonly mark?: number;
}

/**
 * Selective copying (Gu & Dao 2023, "Mamba", section 4.1.1: 16 data tokens within 4096, vocabulary
 * 16): n symbols at random places among blanks; then n marks, at each of which the next symbol is
 * due. The marks stand in for the answers, so that no answer helps the one after it.
 *
 * ```text
 * tokens   . c . . a . c b . . # # # #      . = blank, # = mark
 * labels   - - - - - - - - - - c a c b      - = unscored
 * ```
 *
 * The length counts the marks: 2n ≤ L. MAD (Poli et al. 2024, section 3.1) has 256 tokens, symbols 0 to
 * 13, blank 14 and mark 15; there one mark and n blanks stand for the n marks.
 *
 * Chance is 1/(number of symbols): 1/14 for the published layout.
 *
 * @throws {RangeError} where mark, blank and symbols are not apart or the count is below 1.
 */
export function selectiveCopying(options: SelectiveCopyingOptions = {}): Task {
  const { vocabulary = 16, count = 16, blank = 0, taskToken } = options;
  const { mark = vocabulary - 1, symbols = [1, vocabulary - 2] } = options;
  checkLayout("selective-copying", vocabulary, { mark, symbols, blank, taskToken });
  const prefix = taskToken === undefined ? 0 : 1;
  const checkCount = (load: number): void => {
    if (!Number.isInteger(load) || load < 1) {
      throw new RangeError(
        `Cannot ask selective-copying as the number of symbols must be a whole number from 1 on: current number is ${load}`,
      );
    }
  };
  checkCount(count);

  const task: Task = {
    name: "selective-copying",
    metric: "accuracy",
    vocabulary,
    options: { vocabulary, count, symbols, blank, mark, taskToken },
    loads: { counts: "symbols", default: count },
    depths: false,
    chance: () => 1 / rangeSize(symbols),
    shortestLength: (load = count) => prefix + 2 * load,
    sample(coordinates): Sample {
      const { length, load = count } = coordinates;
      checkCount(load);
      checkLength(task, length, load);
      const random = randomAt("selective-copying", { ...coordinates, load });
      const sample = draft(length, blank, taskToken);
      const marks = length - load;
      const places = random.distinct(load, [prefix, marks - 1]).sort((a, b) => a - b);
      places.forEach((place, i) => {
        const symbol = random.token(symbols);
        sample.tokens[place] = symbol;
        sample.tokens[marks + i] = mark;
        ask(sample, marks + i, symbol, place);
      });
      return finish(sample);
    },
  };
  return task;
}
