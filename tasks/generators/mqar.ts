import { type Random, randomAt, rangeSize, type TokenRange } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions } from "./layout.ts";

/** Options of {@linkcode mqar}; left out, the layout is the published one. */
export interface MqarOptions extends LayoutOptions {
  /** Key–value pairs in a sample unless its coordinates say another load. @default 4 */
  readonly pairs?: number;
  /** Tokens that are keys. @default 1 to vocabulary / 2 − 1 */
  readonly keys?: TokenRange;
  /** Tokens that are values. @default vocabulary / 2 to vocabulary − 1 */
  readonly values?: TokenRange;
  /** Fill the blanks with random tokens of the whole vocabulary. @default false */
  readonly randomFill?: boolean;
  /**
   * How often each key is written, each time with another value, of which the last counts: what a
   * state must not only add to but replace. @default 1
   */
  readonly writes?: number;
}

/** Exponent of the power law of the gaps, as published. */
const POWER = 0.01;
const BLANK = 0;

/**
 * Multi-query associative recall (Arora et al. 2023, "Zoology", section 3 and the published
 * generator): n key–value pairs, then each key once more, somewhere; its value is due there.
 *
 * ```text
 * tokens   A 4  B 3  C 6  .  .  B  .  A  .  .  .  C  .      . = blank (0)
 * labels   - -  - -  - -  -  -  3  -  4  -  -  -  6  -      - = unscored
 * ```
 *
 * Keys and values are drawn without replacement. The slot of a query, g of (L − 2n)/2, has a
 * probability proportional to (g + 1)^(a − 1) with a = 0.01, without replacement: most queries come
 * soon. 4n ≤ L.
 *
 * With `writes` w, the pairs come in w rounds, each with all keys in an order and with values of its
 * own; the value of the last round is due. 2wn + 2n ≤ L.
 *
 * Chance is 1/(number of values): 1/4096 for the published layout. A guesser that knows which values
 * stand in the sequence, but not whose they are, scores 1/n; a model that learns stays there for a
 * while.
 *
 * @throws {RangeError} where the ranges overlap or hold fewer tokens than there are pairs.
 */
export function mqar(options: MqarOptions = {}): Task {
  const { vocabulary = 8192, pairs = 4, taskToken, randomFill = false, writes = 1 } = options;
  const half = Math.floor(vocabulary / 2);
  const { keys = [1, half - 1], values = [half, vocabulary - 1] } = options;
  checkLayout("mqar", vocabulary, { keys, values, blank: BLANK, taskToken });
  const prefix = taskToken === undefined ? 0 : 1;
  const checkPairs = (count: number): void => {
    const most = Math.min(rangeSize(keys), rangeSize(values));
    if (!Number.isInteger(count) || count < 1 || count > most) {
      throw new RangeError(
        `Cannot ask mqar with ${count} key–value pairs: the vocabulary of ${vocabulary} allows 1 to ${most}`,
      );
    }
  };
  checkPairs(pairs);
  if (!Number.isInteger(writes) || writes < 1) {
    throw new RangeError(
      `Cannot ask mqar as writes must be a positive integer: current value is ${writes}`,
    );
  }

  const task: Task = {
    name: "mqar",
    metric: "accuracy",
    vocabulary,
    options: {
      ...{ vocabulary, pairs, keys, values, taskToken, randomFill },
      ...(writes === 1 ? {} : { writes }),
    },
    loads: { counts: "key–value pairs", default: pairs },
    depths: false,
    chance: () => 1 / rangeSize(values),
    guess: (load = pairs) => 1 / load,
    shortestLength(load = pairs): number {
      checkPairs(load);
      return prefix + 2 * load * (writes + 1);
    },
    sample(coordinates): Sample {
      const { length, load = pairs } = coordinates;
      checkLength(task, length, load);
      const random = randomAt("mqar", { ...coordinates, load });
      const sample = draft(length, BLANK, taskToken);
      const drawnKeys = random.distinct(load, keys);
      const drawnValues = new Uint32Array(load);
      const written = new Uint32Array(load);
      for (let round = 0; round < writes; round++) {
        const roundValues = random.distinct(load, values);
        // One round needs no order of its own: its keys are drawn in one.
        const order = writes === 1 ? drawnKeys.keys() : random.distinct(load, [0, load - 1]);
        let position = prefix + 2 * load * round;
        for (const i of order) {
          sample.tokens[position] = drawnKeys[i];
          sample.tokens[position + 1] = drawnValues[i] = roundValues[i];
          written[i] = position;
          position += 2;
        }
      }
      const queries = prefix + 2 * load * writes;
      const slots = Math.floor((length - queries) / 2);
      drawGaps(random, load, slots).forEach((gap, i) => {
        const position = queries + 2 * gap;
        sample.tokens[position] = drawnKeys[i];
        ask(sample, position, drawnValues[i], written[i]);
      });
      if (randomFill) {
        for (let t = prefix; t < length; t++) {
          if (sample.tokens[t] === BLANK) sample.tokens[t] = random.integer(0, vocabulary - 1);
        }
      }
      return finish(sample);
    },
  };
  return task;
}

/** The cumulative power law over the slots of the length asked last: one length is asked many times. */
let cumulative = new Float64Array(0);

/** `count` different slots below `slots`, slot g drawn with probability ∝ (g + 1)^(a − 1). */
function drawGaps(random: Random, count: number, slots: number): number[] {
  if (cumulative.length !== slots) {
    let sum = 0;
    cumulative = Float64Array.from(
      { length: slots },
      (_, g) => sum += POWER * (g + 1) ** (POWER - 1),
    );
  }
  const drawn = new Set<number>();
  // Dropping what was drawn before is drawing without replacement, one after the other.
  while (drawn.size < count) drawn.add(search(cumulative, random.float() * cumulative[slots - 1]));
  return [...drawn];
}

/** The first index whose element is over `value`. */
function search(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
