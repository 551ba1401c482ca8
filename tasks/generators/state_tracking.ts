import { randomAt } from "../random.ts";
import { checkLength, type Sample, type Task } from "../task.ts";
import { ask, checkLayout, draft, finish, type LayoutOptions } from "./layout.ts";

/** Options of {@linkcode parity} and {@linkcode s5}. */
export interface StateTrackingOptions extends LayoutOptions {
  /** The group's identity. @default its other elements are the tokens behind it. 0 */
  readonly first?: number;
}

/** Options of {@linkcode s5}. */
export interface S5Options extends StateTrackingOptions {
  /**
   * Which permutations stand in the sequence: all 120 by default; those that move at most two things
   * (the identity and the ten swaps); or two that generate all others: the swap of the first two
   * things and the cycle of all five, which is a product of four reflections and of no fewer.
   */
  readonly inputs?: "all" | "swaps" | "generators";
}

/** A finite group: its elements are numbers from 0, the identity, on. */
interface Group {
  readonly size: number;
  /** The element that `after` after `before` is. */
  multiply(before: number, after: number): number;
  /** The elements that stand in the sequence. @default all */
  readonly inputs?: readonly number[];
}

/**
 * Parity (Hahn 2020, "Theoretical limitations of self-attention"; Grazzi et al. 2025, "Unlocking
 * state-tracking in linear RNNs through negative eigenvalues", section 5.1): random bits; after each,
 * whether there have been an even or an odd number of ones.
 *
 * ```text
 * tokens   0 1 1 0 1
 * labels   0 1 0 0 1
 * ```
 *
 * Published: trained at lengths from 3 to 40, asked at 40 to 256. A linear recurrence with nothing but
 * positive eigenvalues cannot learn it for all lengths.
 *
 * Each answer rests on everything before it. Chance is 1/2.
 *
 * @throws {RangeError} where the vocabulary is too small.
 */
export function parity(options: StateTrackingOptions = {}): Task {
  const { vocabulary = 2, ...others } = options;
  return wordProblem("parity", { size: 2, multiply: (before, after) => before ^ after }, {
    ...others,
    vocabulary,
  });
}

/**
 * The word problem of S5 (Merrill et al. 2024, "The illusion of state in state-space models", section
 * 5): random permutations of five things; after each, the permutation that all so far make together,
 * the first being done first. Permutations are numbered in lexicographic order: 0 is the identity.
 *
 * ```text
 * tokens   a  b    c          a, b, c = permutations
 * labels   a  ba  cba         cba moves i to c(b(a(i)))
 * ```
 *
 * S5 is not solvable, so that no circuit of constant depth computes it (Barrington 1989): neither
 * attention nor a diagonal recurrence can, whatever they are trained on. Published: all 120
 * permutations, each a token, due at every position; Grazzi et al. 2025, section 5.2, have the swaps
 * alone too. The two generators are for models that are too small to learn 120 tokens.
 *
 * Each answer rests on everything before it. Chance is 1/120.
 *
 * @throws {RangeError} where the vocabulary is too small, or `inputs` is none of these.
 */
export function s5(options: S5Options = {}): Task {
  const { vocabulary = 120, inputs = "all", ...others } = options;
  if (!Object.hasOwn(S5_INPUTS, inputs)) {
    throw new RangeError(
      `Cannot make s5 as inputs must be ${
        Object.keys(S5_INPUTS).join(", ")
      } or left out: current value is ${inputs}`,
    );
  }
  const group = { ...S5, inputs: S5_INPUTS[inputs] };
  return wordProblem("s5", group, { ...others, vocabulary }, { inputs });
}

/** The permutations of 0 to 4 in lexicographic order. */
const PERMUTATIONS: readonly (readonly number[])[] = permutationsOf([0, 1, 2, 3, 4]);
const NUMBER_OF = new Map(PERMUTATIONS.map((permutation, i) => [permutation.join(), i]));
const SWAPS = PERMUTATIONS.flatMap((permutation, number) =>
  permutation.filter((image, i) => image !== i).length <= 2 ? [number] : []
);
const S5_INPUTS = {
  all: undefined,
  swaps: SWAPS,
  generators: [[1, 0, 2, 3, 4], [1, 2, 3, 4, 0]].map((images) => NUMBER_OF.get(images.join())!),
} as const;
const S5: Group = {
  size: PERMUTATIONS.length,
  multiply: (before, after) =>
    NUMBER_OF.get(PERMUTATIONS[before].map((image) => PERMUTATIONS[after][image]).join())!,
};

function permutationsOf(things: readonly number[]): number[][] {
  if (things.length === 0) return [[]];
  return things.flatMap((thing) =>
    permutationsOf(things.filter((other) => other !== thing)).map((rest) => [thing, ...rest])
  );
}

function wordProblem(
  name: string,
  { size, multiply, inputs }: Group,
  { vocabulary = size, first = 0, taskToken }: StateTrackingOptions,
  others: Readonly<Record<string, unknown>> = {},
): Task {
  checkLayout(name, vocabulary, { elements: [first, first + size - 1], taskToken });
  const prefix = taskToken === undefined ? 0 : 1;

  const task: Task = {
    name,
    metric: "accuracy",
    vocabulary,
    options: { vocabulary, first, taskToken, ...others },
    depths: false,
    chance: () => 1 / size,
    shortestLength: () => prefix + 1,
    sample(coordinates): Sample {
      const { length } = coordinates;
      checkLength(task, length);
      const random = randomAt(name, coordinates);
      const sample = draft(length, first, taskToken);
      let product = 0;
      for (let t = prefix; t < length; t++) {
        const drawn = random.integer(0, (inputs?.length ?? size) - 1);
        const element = inputs?.[drawn] ?? drawn;
        product = multiply(product, element);
        sample.tokens[t] = first + element;
        ask(sample, t, first + product, prefix);
      }
      return { ...finish(sample), restsOnAll: true };
    },
  };
  return task;
}
