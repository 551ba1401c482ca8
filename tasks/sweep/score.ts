import { NotANumberError } from "../../models/not_a_number.ts";
import { clusteredProportion, type Estimate, meanInterval, perplexity } from "../statistics.ts";
import { scoreReply } from "../reply.ts";
import type { Answers } from "../subject.ts";
import { type Sample, scoredPositions, type Task } from "../task.ts";
import { scoreByDistance } from "./distance.ts";
import { scoreContextGain, scoreForgetting } from "./controls.ts";
import { type LawOptions, levelsOf } from "./laws.ts";

/** A metric of a cell. */
export interface Score extends Partial<Estimate> {
  /** As the CSV's metric column calls it. */
  readonly metric: string;
  /** The value. */
  readonly value: number;
  /** How far back the answers stood that it is of, where not of all: `16-31` tokens. */
  readonly distance?: string;
  /** How many samples it is of, where not of all. */
  readonly samples?: number;
}

/** What of a cell its scores depend on. */
export interface ScoreOptions extends LawOptions {
  /** Where the needle was, where it was fixed. */
  readonly depth?: number;
  /** The answers to each sample's controls, one after the other, of tasks that have them. */
  readonly controls?: Pick<Answers, "correct" | "nll">;
  /** Of each sample, 1 for each token that counts, where another model says so. */
  readonly keys?: readonly Uint8Array[];
}

/** Bands of depth that samples are told apart by, where each has its own. */
const DEPTH_BANDS = [0, 0.2, 0.4, 0.6, 0.8, 1];

/**
 * Scores the answers to the samples of one cell.
 *
 * @throws {NotANumberError} where a likelihood is NaN, or infinite where the perplexity needs it.
 */
export function score(
  task: Task,
  samples: readonly Sample[],
  answers: Pick<Answers, "correct" | "nll" | "replies">,
  options: ScoreOptions = {},
): Score[] {
  if (samples.some(({ reply }) => reply !== undefined)) {
    return scoreReplies(task, samples, answers.replies ?? [], options);
  }
  const positions = samples.map(scoredPositions);
  checkAnswers(task, positions, answers);
  const { controls = { correct: [], nll: [] }, window } = options;
  if (task.controls !== undefined) checkAnswers(task, positions, controls);
  switch (task.metric) {
    case "accuracy":
      return scoreAccuracy(task, samples, positions, answers.correct, options);
    case "perplexity":
      return scorePerplexity(samples, positions, answers.nll);
    case "forgetting_curve":
      return scoreForgetting(samples, { own: answers, controls }, window);
    case "context_gain":
      return scoreContextGain({ own: answers, controls }, options.keys);
  }
}

function checkAnswers(
  task: Task,
  positions: readonly (readonly number[])[],
  { correct, nll }: Pick<Answers, "correct" | "nll">,
): void {
  const needsFinite = task.metric === "perplexity" || task.metric === "context_gain";
  for (const [i, { length }] of positions.entries()) {
    if (correct[i]?.length !== length || nll[i]?.length !== length) {
      throw new RangeError(
        `Cannot score ${task.name} as sample ${i} takes ${length} answers: current numbers are ${
          correct[i]?.length
        } and ${nll[i]?.length}`,
      );
    }
    const bad = nll[i].findIndex((value) =>
      Number.isNaN(value) || (needsFinite && !Number.isFinite(value))
    );
    if (bad >= 0) {
      throw new NotANumberError("log-likelihood", -nll[i][bad], {
        task: task.name,
        position: positions[i][bad],
        sample: i,
      });
    }
  }
}

function scoreAccuracy(
  task: Task,
  samples: readonly Sample[],
  positions: readonly (readonly number[])[],
  correct: readonly Uint8Array[],
  options: ScoreOptions,
): Score[] {
  const right = correct.map((answers) => answers.reduce((sum, answer) => sum + answer, 0));
  const asked = positions.map(({ length }) => length);
  return [
    { metric: "accuracy", ...clusteredProportion(right, asked) },
    ...(options.depth === undefined ? scoreByDepth(samples, right, asked) : []),
    ...scoreByDistance(samples, positions, correct)
      .map((score) => ({ metric: "accuracy_at_distance", ...score })),
    ...levelsOf(task, samples, options),
  ];
}

function scoreReplies(
  task: Task,
  samples: readonly Sample[],
  replies: readonly string[],
  options: ScoreOptions,
): Score[] {
  if (replies.length !== samples.length) {
    throw new RangeError(
      `Cannot score ${task.name} as ${samples.length} replies are due: current number is ${replies.length}`,
    );
  }
  const right = samples.map(({ reply }, i) => scoreReply(reply!, replies[i]));
  const asked = samples.map(() => 1);
  return [
    { metric: "accuracy", ...clusteredProportion(right, asked) },
    ...(options.depth === undefined ? scoreByDepth(samples, right, asked) : []),
    ...levelsOf(task, samples, options),
  ];
}

/** The accuracy of the samples whose needle lies in each band of depth. */
function scoreByDepth(
  samples: readonly Sample[],
  right: readonly number[],
  asked: readonly number[],
): Score[] {
  return DEPTH_BANDS.slice(1).flatMap((high, band) => {
    const low = DEPTH_BANDS[band];
    const chosen = [...samples.keys()].filter((i) => {
      const { depth } = samples[i];
      return depth !== undefined && depth >= low && (depth < high || high === 1);
    });
    if (chosen.length === 0) return [];
    return [{
      metric: `accuracy@${low}-${high}`,
      ...clusteredProportion(chosen.map((i) => right[i]), chosen.map((i) => asked[i])),
      samples: chosen.length,
    }];
  });
}

function scorePerplexity(
  samples: readonly Sample[],
  positions: readonly (readonly number[])[],
  nll: readonly Float32Array[],
): Score[] {
  const mean = (values: Float32Array): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const scores: Score[] = [{ metric: "perplexity", ...perplexity(nll.map(mean)) }];
  const last = positions.reduce((most, list) => Math.max(most, list.at(-1) ?? 0), 0);
  for (const [low, high] of positionBands(last)) {
    const inBand = nll.map((values, i) =>
      values.filter((_, j) => positions[i][j] >= low && positions[i][j] <= high)
    ).filter(({ length }) => length > 0);
    if (inBand.length > 0) {
      scores.push({ metric: `perplexity@${low}-${high}`, ...perplexity(inBand.map(mean)) });
    }
  }
  if (samples.every(({ bytes = 0 }) => bytes > 0)) {
    const bits = nll.map((values, i) =>
      values.reduce((sum, value) => sum + value, 0) / Math.LN2 / samples[i].bytes!
    );
    scores.push({ metric: "bits_per_byte", ...meanInterval(bits) });
  }
  return scores;
}

/** Bands of positions, each twice as wide as the one before: 0–15, 16–31, 32–63, … */
function positionBands(last: number): [low: number, high: number][] {
  const bands: [number, number][] = [];
  for (let low = 0, width = 16; low <= last; low += width, width = low) {
    bands.push([low, Math.min(low + width, last + 1) - 1]);
  }
  return bands;
}
