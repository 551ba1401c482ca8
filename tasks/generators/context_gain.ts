import { randomAt } from "../random.ts";
import {
  checkLength,
  type JudgedTask,
  type Sample,
  type SampleCoordinates,
  scoredPositions,
  type Span,
  type Task,
  UNSCORED,
} from "../task.ts";
import type { Wording } from "../wording.ts";
import {
  offsetsOf,
  partOf,
  readText,
  shiftOf,
  type TextOptions,
  wholeCharacters,
} from "./text_source.ts";

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
  const source = await readText(name, { ...options, needed: (shortContext ?? 1) + 2 }, wording);
  const { begin, heldOut, inWords, room, tokenizer, vocabulary } = source;
  const shortOf = (read: number): number =>
    shortContext ??
      Math.max(1, Math.floor(Math.min(LONGEST_SHORT, (trainedLength ?? read) / PART, read / PART)));

  const task: Task = {
    name,
    metric: "context_gain",
    vocabulary,
    options: { file, heldOut, shortContext, trainedLength, evaluator },
    source: inWords,
    depths: false,
    longestLength: begin.length + room - 1,
    chance: () => undefined,
    shortestLength: () => begin.length + (shortContext ?? 1) + 1,
    sample(coordinates): Sample {
      const text = readAt(coordinates);
      return asked(text, shortOf(text.length - 1));
    },
    controls: (coordinates) => controlsOf(readAt(coordinates)),
    judged: {
      ...(evaluator === undefined ? {} : { evaluator }),
      begin,
      textOf: (sample) => wholeCharacters(tokenizer, wholeText(sample)),
      spansOf: (sample) => spansOf(sample, 0),
      readAgain(text): ReturnType<JudgedTask["readAgain"]> {
        const tokens = tokenizer.encode(text, { special: false });
        const sample = asked(tokens, shortOf(tokens.length - 1));
        const shift = shiftOf(text, tokenizer.decode(tokens));
        return { sample, controls: controlsOf(tokens), spans: spansOf(sample, shift) };
      },
    },
  };
  return task;

  /** A sample's text, what is due behind its last token with it. */
  function wholeText({ tokens, labels }: Sample): Uint32Array {
    const text = new Uint32Array(tokens.length - begin.length + 1);
    text.set(tokens.subarray(begin.length));
    text[text.length - 1] = labels[labels.length - 1];
    return text;
  }

  /** Where the tokens that are due stand in a sample's text, which lies so many bytes behind another. */
  function spansOf(sample: Sample, shift: number): Span[] {
    const offsets = offsetsOf(tokenizer, wholeText(sample));
    return scoredPositions(sample).map((t) => {
      const at = t - begin.length + 1;
      return [offsets[at] + shift, offsets[at + 1] + shift];
    });
  }

  /** Windows of a text, each with what is due behind its last tokens. */
  function controlsOf(text: Uint32Array): Sample[] {
    const short = shortOf(text.length - 1);
    const step = Math.max(1, Math.floor(short / STEPS));
    const controls: Sample[] = [];
    for (let from = short; from < text.length - 1; from += step) {
      const to = Math.min(text.length - 1, from + step);
      controls.push(asked(text.subarray(to - short, to + 1), short - (to - from)));
    }
    return controls;
  }

  /** The text of coordinates, what is due behind its last token with it. */
  function readAt(coordinates: SampleCoordinates): Uint32Array {
    const { length, split } = coordinates;
    checkLength(task, length);
    const part = partOf(source, split);
    const read = length - begin.length;
    const start = randomAt(name, coordinates).integer(0, part.length - read - 1);
    return part.subarray(start, start + read + 1);
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
