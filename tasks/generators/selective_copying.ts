import { type Random, randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions } from "./layout.ts";

/** Options of {@linkcode selectiveCopying}; left out, the layout is the published one. */
export interface SelectiveCopyingOptions extends LayoutOptions {
  /** Symbols to copy in a sample unless its coordinates say another load. @default 16 */
  readonly count?: number;
  /** Tokens that are copied. @default 1 to vocabulary − 2 */
  readonly symbols?: TokenRange;
  /** Stands between the symbols. @default 0 */
  readonly blank?: number;
  /** Asks for the next symbol. @default vocabulary − 1 */
  readonly mark?: number;
  /**
   * Whose samples: Mamba's, with the symbols anywhere and a mark for each answer, or MAD's, with blanks
   * before symbols only, one mark, and a blank for each answer. @default "mamba"
   */
  readonly layout?: "mamba" | "mad";
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
 * 13, blank 14 and mark 15, and another layout: each blank is put before a symbol of its own choice, so
 * that the last symbol stands right before the one mark, behind which n blanks ask: 2n + 1 ≤ L.
 *
 * ```text
 * tokens   . c . . a c . . b # . . . .      layout: "mad"
 * labels   - - - - - - - - - - c a c b
 * ```
 *
 * Chance is 1/(number of symbols): 1/14 for the published layout.
 *
 * @throws {RangeError} where mark, blank and symbols are not apart or the count is below 1.
 */
export function selectiveCopying(options: SelectiveCopyingOptions = {}): Task {
  const { vocabulary = 16, count = 16, blank = 0, taskToken, layout = "mamba" } = options;
  const { mark = vocabulary - 1, symbols = [1, vocabulary - 2] } = options;
  checkLayout("selective-copying", vocabulary, { mark, symbols, blank, taskToken });
  const prefix = taskToken === undefined ? 0 : 1;
  const checkCount = (load: number): void => {
    if (!Number.isInteger(load) || load < 1) {
      throw new RangeError(
        `Cannot ask selective-copying as the number of symbols must be a positive integer: current number is ${load}`,
      );
    }
  };
  checkCount(count);
  if (layout !== "mamba" && layout !== "mad") {
    throw new RangeError(
      `Cannot ask selective-copying as layout must be "mamba" or "mad": current value is "${layout}"`,
    );
  }
  const marksBefore = layout === "mad" ? 1 : 0;

  const task: Task = {
    name: "selective-copying",
    metric: "accuracy",
    vocabulary,
    options: {
      ...{ vocabulary, count, symbols, blank, mark, taskToken },
      ...(layout === "mamba" ? {} : { layout }),
    },
    loads: { counts: "symbols", default: count },
    depths: false,
    chance: () => 1 / rangeSize(symbols),
    shortestLength: (load = count) => prefix + 2 * load + marksBefore,
    sample(coordinates): Sample {
      const { length, load = count } = coordinates;
      checkCount(load);
      checkLength(task, length, load);
      const random = randomAt("selective-copying", { ...coordinates, load });
      const sample = draft(length, blank, taskToken);
      const marks = length - load;
      const places = layout === "mad"
        ? placesBehindBlanks(random, load, prefix, marks - 1)
        : random.distinct(load, [prefix, marks - 1]).sort((a, b) => a - b);
      if (layout === "mad") sample.tokens[marks - 1] = mark;
      places.forEach((place, i) => {
        const symbol = random.token(symbols);
        sample.tokens[place] = symbol;
        if (layout === "mamba") sample.tokens[marks + i] = mark;
        ask(sample, marks + i, symbol, place);
      });
      return finish(sample);
    },
  };
  return task;
}

/** Places of symbols in `[from, to)`, the last at its end: each blank goes before a symbol of its choice. */
function placesBehindBlanks(random: Random, count: number, from: number, to: number): number[] {
  const blanks = new Uint32Array(count);
  for (let i = to - from - count; i > 0; i--) blanks[random.integer(0, count - 1)]++;
  let place = from - 1;
  return Array.from(blanks, (before) => place += before + 1);
}
