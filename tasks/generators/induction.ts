import { randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkDepth, checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions, placeAt } from "./layout.ts";

/** Options of {@linkcode induction}; left out, the layout is the published one. */
export interface InductionOptions extends LayoutOptions {
  /** The special token. @default vocabulary − 1 */
  readonly mark?: number;
  /** All other tokens of a sample. @default 0 to vocabulary − 2 */
  readonly symbols?: TokenRange;
}

/**
 * Induction heads (Gu & Dao 2023, "Mamba", section 4.1.2; vocabulary 16): random symbols, among them
 * once a special token; at the end it stands again, and the symbol that followed it is due.
 *
 * ```text
 * tokens   c a d # b a c d d a #      # = the mark
 * labels   - - - - - - - - - - b      - = unscored
 * ```
 *
 * The depth is the mark's place: 0 at the beginning, 1 right before the end.
 *
 * Chance is 1/(number of symbols): 1/15 for the published layout.
 *
 * @throws {RangeError} where the mark is one of the symbols or the vocabulary is too small.
 */
export function induction(options: InductionOptions = {}): Task {
  const { vocabulary = 16, taskToken } = options;
  const { mark = vocabulary - 1, symbols = [0, vocabulary - 2] } = options;
  checkLayout("induction", vocabulary, { mark, symbols, taskToken });
  const prefix = taskToken === undefined ? 0 : 1;

  const task: Task = {
    name: "induction",
    metric: "accuracy",
    vocabulary,
    options: { vocabulary, mark, symbols, taskToken },
    depths: true,
    chance: () => 1 / rangeSize(symbols),
    shortestLength: () => prefix + 3,
    sample(coordinates): Sample {
      const { length, depth } = coordinates;
      checkLength(task, length);
      checkDepth(task, depth);
      const random = randomAt("induction", coordinates);
      const sample = draft(length, mark, taskToken);
      const farthest = length - prefix - 3;
      const place = placeAt(random, depth, farthest);
      for (let t = prefix; t < length - 1; t++) sample.tokens[t] = random.token(symbols);
      sample.tokens[prefix + place] = mark;
      ask(sample, length - 1, sample.tokens[prefix + place + 1], prefix + place);
      return finish(sample, farthest === 0 ? 0 : place / farthest);
    },
  };
  return task;
}
