import { randomAt } from "../random.ts";
import { checkLength, type Sample, type SampleCoordinates, type Task, UNSCORED } from "../task.ts";
import type { Wording } from "../wording.ts";
import { partOf, readText, type TextOptions } from "./text_source.ts";

/** Options of {@linkcode contextGain}. */
export interface ContextGainOptions extends TextOptions {
  /**
   * Tokens of the short context. A quarter of the length by default, or of the length that the model
   * was trained at where that is less, and at most the paper's 4,096.
   */
  readonly shortContext?: number;
  /** The length that the model was trained at, where that is known. */
  readonly trainedLength?: number;
  /**
   * The model that says which tokens are key tokens, by its name as `--models` takes it; the model that
   * is asked by default.
   */
  readonly evaluator?: string;
}

/** The paper's short context, and into how many steps it is moved on. */
const LONGEST_SHORT = 4096;
const STEPS = 4;
/** Of the length of a sample, or of training, a short context is such a part. */
const PART = 4;

/**
 * What a long context adds (Fang et al. 2024, "What is Wrong with Perplexity for Long-context Language
 * Modeling?", arXiv 2410.23771, section 3): each token's likelihood behind all that stood before it,
 * against that behind a short context alone.
 *
 * ```text
 * sample    x₀ x₁ x₂ … x₉₉      x₂₅ to x₁₀₀ are due, behind all before them
 * controls      … windows …     the same tokens, behind the last 25 or a few fewer
 * ```
 *
 * The metric, `context_gain`, is the mean gain in nats over all tokens that have more than the short
 * context before them. Key tokens are those whose log-likelihood the long context raises by more than 2,
 * to over −2; `key_tokens` is their share, `long_perplexity` the perplexity on them alone, behind the
 * long context: the paper's LongPPL, which goes with long-context benchmarks where a plain perplexity
 * does not. Where the model that is asked says itself which they are, each of them has a likelihood of
 * over e⁻², so that its `long_perplexity` is less than 7.4 whatever it forgets; models are compared by
 * it where one evaluator judges for all (the option `evaluator`).
 *
 * A window moves on by a quarter of the short context, as in the paper, so that a token's short context
 * has at least three quarters of it.
 *
 * @param wording The tokenizer; bytes, as they are in the file, by default.
 * @throws {Error} where the file cannot be read or is too short.
 */
export async function contextGain(
  options: ContextGainOptions = {},
  wording?: Wording,
): Promise<Task> {
  const name = "context-gain";
  const { file, shortContext, trainedLength, evaluator } = options;
  for (const [option, value] of Object.entries({ shortContext, trainedLength })) {
    if (value !== undefined && !(Number.isInteger(value) && value > 0)) {
      throw new RangeError(
        `Cannot make ${name} as ${option} must be a positive integer: current value is ${value}`,
      );
    }
  }
  const source = await readText(name, { ...options, needed: 3 }, wording);
  const { begin, heldOut, room, vocabulary } = source;
  const shortOf = (read: number): number =>
    shortContext ??
      Math.max(1, Math.floor(Math.min(LONGEST_SHORT, (trainedLength ?? read) / PART, read / PART)));

  const task: Task = {
    name,
    metric: "context_gain",
    vocabulary,
    options: { file, heldOut, shortContext, trainedLength, evaluator },
    ...(evaluator === undefined ? {} : { evaluator }),
    depths: false,
    longestLength: begin.length + room - 1,
    chance: () => undefined,
    shortestLength: () => begin.length + (shortContext ?? 1) + 1,
    sample(coordinates): Sample {
      const { text, short } = readAt(coordinates);
      return asked(text, short);
    },
    controls(coordinates): Sample[] {
      const { text, short } = readAt(coordinates);
      const step = Math.max(1, Math.floor(short / STEPS));
      const controls: Sample[] = [];
      for (let from = short; from < text.length - 1; from += step) {
        const to = Math.min(text.length - 1, from + step);
        controls.push(asked(text.subarray(to - short, to + 1), short - (to - from)));
      }
      return controls;
    },
  };
  return task;

  /** A sample's text, with the token that is due after the last, and its short context. */
  function readAt(coordinates: SampleCoordinates): { text: Uint32Array; short: number } {
    const { length, split } = coordinates;
    checkLength(task, length);
    const part = partOf(source, split);
    const read = length - begin.length;
    const start = randomAt(name, coordinates).integer(0, part.length - read - 1);
    return { text: part.subarray(start, start + read + 1), short: shortOf(read) };
  }

  /** A text of which each token is due from one place on. */
  function asked(text: Uint32Array, from: number): Sample {
    const tokens = new Uint32Array(begin.length + text.length - 1);
    const labels = new Uint32Array(tokens.length).fill(UNSCORED);
    tokens.set(begin);
    tokens.set(text.subarray(0, -1), begin.length);
    labels.set(text.subarray(from + 1), begin.length + from);
    return { tokens, labels, begins: begin.length > 0 };
  }
}
