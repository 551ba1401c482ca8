import {
  clusteredProportion,
  type Estimate,
  meanInterval,
  perplexityOfParts,
} from "../statistics.ts";
import type { Answers } from "../subject.ts";
import type { Sample, Task } from "../task.ts";
import { windowLaw } from "./laws.ts";

/** Samples of one length. */
export interface SampleBatch {
  /** How many. */
  readonly count: number;
  /** Tokens of each. */
  readonly length: number;
}

const CONTROLS = new WeakMap<object, Map<number, SampleBatch>>();

/** How many controls each sample of a length is held against, and how long they are. */
export function controlsOf(task: Pick<Task, "controls">, length: number): SampleBatch {
  if (task.controls === undefined) return { count: 0, length: 0 };
  const known = CONTROLS.get(task) ?? new Map<number, SampleBatch>();
  CONTROLS.set(task, known);
  if (!known.has(length)) {
    const controls = task.controls({ length, seed: 0, index: 0, split: "test" });
    known.set(length, { count: controls.length, length: controls[0].tokens.length });
  }
  return known.get(length)!;
}

/** The answers where something was due, to each sample and to its controls, in the same order. */
export interface Controlled {
  /** To the samples. */
  readonly own: Pick<Answers, "correct" | "nll">;
  /** To all controls of each sample, one after the other. */
  readonly controls: Pick<Answers, "correct" | "nll">;
}

/** A metric of samples that are held against controls. */
interface ControlledScore extends Partial<Estimate> {
  readonly metric: string;
  readonly value: number;
}

/**
 * The forgetting curve at a length: the accuracy of copying less that of predicting the same tokens
 * behind other text, with the interval of the mean over samples; and both by themselves.
 *
 * @param window How many tokens back the model sees: `window_law` is what a model scores that copies
 * all it sees, and predicts the rest as this one does.
 */
export function scoreForgetting(
  samples: readonly Sample[],
  { own, controls }: Controlled,
  window?: number,
): ControlledScore[] {
  const [copied, predicted] = [own, controls].map(({ correct }) =>
    correct.map((answers) => answers.reduce((sum, answer) => sum + answer, 0))
  );
  const asked = own.correct.map(({ length }) => length);
  const language = clusteredProportion(predicted, asked);
  const seen = window === undefined ? undefined : windowLaw(samples, window, 0);
  return [
    {
      metric: "forgetting_curve",
      ...meanInterval(asked.map((count, i) => (copied[i] - predicted[i]) / count)),
    },
    { metric: "copy_accuracy", ...clusteredProportion(copied, asked) },
    { metric: "language_model_accuracy", ...language },
    ...(seen === undefined ? [] : [{ metric: "window_law", value: seen * (1 - language.value) }]),
  ];
}

/** By how many nats a long context must raise a key token's log-likelihood, and to what at least. */
const GAIN = 2;
const LIKELIHOOD = -2;

/**
 * Which tokens are key tokens, by what one model says of them behind a long and a short context: those
 * whose log-likelihood the long one raises by more than 2, to over −2 (Fang et al. 2024, section 3.2).
 */
export function keyTokens(nll: ArrayLike<number>, shortNll: ArrayLike<number>): Uint8Array {
  return Uint8Array.from(
    nll,
    (value, i) => Number(shortNll[i] - value > GAIN && -value > LIKELIHOOD),
  );
}

/**
 * What a long context adds: `context_gain`, the mean gain of a token's log-likelihood in nats;
 * `key_tokens`, the share of key tokens; and `long_perplexity`, the perplexity on these behind the long
 * context, where there are any.
 *
 * @param keys Of each sample, 1 for each key token; by the model's own likelihoods if left out.
 */
export function scoreContextGain(
  { own, controls }: Controlled,
  keys: readonly Uint8Array[] = own.nll.map((nll, i) => keyTokens(nll, controls.nll[i])),
): ControlledScore[] {
  const gains = own.nll.map((nll, i) => {
    const short = controls.nll[i];
    return nll.reduce((sum, value, j) => sum + (short[j] - value), 0) / nll.length;
  });
  const counts = keys.map((marks) => marks.reduce((sum, mark) => sum + mark, 0));
  const sums = own.nll.map((nll, i) => nll.reduce((sum, value, j) => sum + keys[i][j] * value, 0));
  const there = counts.some((count) => count > 0);
  return [
    { metric: "context_gain", ...meanInterval(gains) },
    { metric: "key_tokens", ...clusteredProportion(counts, keys.map(({ length }) => length)) },
    ...(there ? [{ metric: "long_perplexity", ...perplexityOfParts(sums, counts) }] : []),
  ];
}
