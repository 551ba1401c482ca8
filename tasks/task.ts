import type { Reply } from "./reply.ts";

/** The label of a position where nothing is asked. */
export const UNSCORED = 0xFFFFFFFF;

/**
 * How answers are scored: the share that is right; exp of the mean negative log-likelihood; the share
 * that is right more than in a control; by how many nats the likelihood is larger than in controls.
 */
export const METRICS = ["accuracy", "perplexity", "forgetting_curve", "context_gain"] as const;

/** One of {@linkcode METRICS}. */
export type Metric = typeof METRICS[number];

/** Whether a column's metric is what a task is scored by, and not what is reported besides. */
export function isMainMetric(metric: string): metric is Metric {
  return (METRICS as readonly string[]).includes(metric);
}

/** Which of two streams that share no sample a sample comes from. */
export type Split = "train" | "test";

/** One question: tokens in, and what is due at each position. */
export interface Sample {
  /** What the model reads: `[time]`. */
  readonly tokens: Uint32Array;
  /** `labels[t]` is due after reading `tokens[t]`; {@linkcode UNSCORED} where nothing is: `[time]`. */
  readonly labels: Uint32Array;
  /**
   * Where a label is due, the farthest position whose token the answer rests on: a model that sees
   * only its last W tokens can know the answer at t where `t - evidence[t] < W`. Left out where an
   * answer rests on no position in particular: `[time]`.
   */
  readonly evidence?: Uint32Array;
  /** Whether an answer rests on everything from its evidence on, not on some of it. */
  readonly restsOnAll?: boolean;
  /** Where the needle is, for tasks with one: 0 at the beginning, 1 at the end. */
  readonly depth?: number;
  /** How many bytes of text the labels stand for, where the tokens are a text. */
  readonly bytes?: number;
  /** Of a text, whether the tokenizer's begin token stands before it. */
  readonly begins?: boolean;
  /** What is due after the last token, where the answer is a text: no position is labelled then. */
  readonly reply?: Reply;
}

/** What determines a sample: the same coordinates give the same sample on every machine. */
export interface SampleCoordinates {
  /** Tokens in the sample; the most that a prompt and its reply may take, where the answer is a text. */
  readonly length: number;
  /** Seed of the stream, an integer from 0 to 2³² − 1. */
  readonly seed: number;
  /** Number of the sample in its stream. */
  readonly index: number;
  /** Train and test streams share no sample, whatever the seeds. */
  readonly split: Split;
  /** Where the needle goes, from 0 to 1; left out, each sample draws its own. */
  readonly depth?: number;
  /** How much is to be remembered, in the task's own unit. @default the task's default */
  readonly load?: number;
}

/** What a task's load counts. */
export interface Load {
  /** In words, for labels: "key–value pairs". */
  readonly counts: string;
  /** The load by default. */
  readonly default: number;
}

/** A question that can be asked at any length from its shortest on. Knows no model and no GPU. */
export interface Task {
  /** As the registry and the results call it. */
  readonly name: string;
  /** How answers are scored. */
  readonly metric: Metric;
  /** Tokens are below this. */
  readonly vocabulary: number;
  /** The options it was made with, as plain data: with the name, they make the same task again. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What the load counts, for tasks that have one. */
  readonly loads?: Load;
  /** Whether a needle can be put at a given depth. */
  readonly depths: boolean;
  /** The name of the prompt template, for tasks whose questions are in words. */
  readonly template?: string;
  /** What it reads, in words, where it is made from a text: `all of book.txt`. */
  readonly source?: string;
  /** The longest sample there is, for tasks made from a finite text. */
  readonly longestLength?: number;
  /** The accuracy of a guesser that knows the format and not the sequence; nothing for perplexity. */
  chance(load?: number): number | undefined;
  /**
   * The accuracy of one that knows which answers stand in the sequence, but not to which questions,
   * where that is more than chance: models that learn stay there for a while.
   */
  guess?(load?: number): number;
  /** The fewest tokens that hold the question. */
  shortestLength(load?: number): number;
  /** The sample at the given coordinates. @throws {RangeError} where the length does not fit. */
  sample(coordinates: SampleCoordinates): Sample;
  /**
   * What a sample's answers are held against: the same tokens due behind something else. They are all
   * of one length, and their labels together are the sample's, in order.
   */
  controls?(coordinates: SampleCoordinates): readonly Sample[];
  /** Of a task of which another model may say which tokens count. */
  readonly judged?: JudgedTask;
}

/** Where a token stands in a text, in bytes of UTF-8: from, and to before which. */
export type Span = readonly [from: number, to: number];

/** A task about a text of which another model may say which tokens count. */
export interface JudgedTask {
  /** The name of that model; undefined where it is the one that is asked. */
  readonly evaluator?: string;
  /** The tokens that stand before each text. */
  readonly begin: readonly number[];
  /** The text of a sample, what is due behind its last token with it. */
  textOf(sample: Sample): string;
  /** Where in that text the tokens stand that are due. */
  spansOf(sample: Sample): readonly Span[];
  /**
   * Another model's text as this task asks it, with its controls.
   *
   * @throws {Error} where the tokenizer changes the text.
   */
  readAgain(text: string): {
    readonly sample: Sample;
    readonly controls: readonly Sample[];
    readonly spans: readonly Span[];
  };
}

/**
 * Checks that a sample of this length can be made.
 *
 * @throws {RangeError} naming the smallest length that works, or the largest.
 */
export function checkLength(task: Task, length: number, load?: number): void {
  const loaded = task.loads ? ` with ${load ?? task.loads.default} ${task.loads.counts}` : "";
  const shortest = task.shortestLength(load);
  if (!Number.isInteger(length) || length < shortest) {
    throw new RangeError(
      `Cannot ask ${task.name}${loaded} in ${length} tokens: the smallest length that works is ${shortest}`,
    );
  }
  if (task.longestLength !== undefined && length > task.longestLength) {
    throw new RangeError(
      `Cannot ask ${task.name} in ${length} tokens as its text ends: the largest length that works is ${task.longestLength}`,
    );
  }
}

/**
 * Checks that a model knows all tokens of a task.
 *
 * @param model The model's name, for errors.
 * @throws {RangeError} where its vocabulary is too small.
 */
export function checkVocabulary(
  { name, vocabulary }: Pick<Task, "name" | "vocabulary">,
  model: string,
  known: number,
): void {
  if (vocabulary <= known) return;
  throw new RangeError(
    `Cannot ask ${model} ${name} as its vocabulary must have at least ${vocabulary} tokens: current number is ${known}`,
  );
}

/** Checks a depth. @throws {RangeError} where it is not from 0 to 1. */
export function checkDepth(task: Task, depth: number | undefined): void {
  if (depth !== undefined && !(depth >= 0 && depth <= 1)) {
    throw new RangeError(
      `Cannot ask ${task.name} as a depth must be from 0 (the beginning) to 1 (the end): current depth is ${depth}`,
    );
  }
}

/** The positions of a sample at which an answer is due. */
export function scoredPositions(sample: Sample): number[] {
  const positions: number[] = [];
  sample.labels.forEach((label, t) => {
    if (label !== UNSCORED) positions.push(t);
  });
  return positions;
}
