import { type Random, rangeSize, type TokenRange } from "../random.ts";
import { type Sample, UNSCORED } from "../task.ts";

/** Options that every synthetic task has. */
export interface LayoutOptions {
  /** Tokens are below this. */
  readonly vocabulary?: number;
  /** Stands first in every sample, for models that are trained on a mixture of tasks. */
  readonly taskToken?: number;
}

/** A sample to be filled in. */
export interface Draft {
  /** `[time]`. */
  readonly tokens: Uint32Array;
  /** `[time]`. */
  readonly labels: Uint32Array;
  /** `[time]`. */
  readonly evidence: Uint32Array;
}

/** A sample of blanks with nothing asked, the task token first where there is one. */
export function draft(length: number, blank: number, taskToken: number | undefined): Draft {
  const tokens = new Uint32Array(length).fill(blank);
  if (taskToken !== undefined) tokens[0] = taskToken;
  return {
    tokens,
    labels: new Uint32Array(length).fill(UNSCORED),
    evidence: new Uint32Array(length).fill(UNSCORED),
  };
}

/** Asks for `label` after position `t`, which rests on position `evidence`. */
export function ask(sample: Draft, t: number, label: number, evidence: number): void {
  sample.labels[t] = label;
  sample.evidence[t] = evidence;
}

/**
 * Checks that ranges and single tokens are within the vocabulary and apart from each other.
 *
 * @throws {RangeError} where they are not.
 */
export function checkLayout(
  task: string,
  vocabulary: number,
  parts: Readonly<Record<string, TokenRange | number | undefined>>,
): void {
  const ranges = Object.entries(parts).flatMap(([name, part]) =>
    part === undefined ? [] : [{ name, range: typeof part === "number" ? [part, part] : part }]
  ) as { name: string; range: TokenRange }[];
  if (!Number.isInteger(vocabulary) || vocabulary < 1) {
    throw new RangeError(
      `Cannot make ${task} as its vocabulary must be a positive integer: current value is ${vocabulary}`,
    );
  }
  for (const { name, range } of ranges) {
    if (!Array.isArray(range)) {
      throw new RangeError(
        `Cannot make ${task} as ${name} must be a pair of tokens, from low to high: current value is ${range}`,
      );
    }
    const [low, high] = range;
    if (!(Number.isInteger(low) && Number.isInteger(high) && low >= 0 && rangeSize(range) > 0)) {
      throw new RangeError(
        `Cannot make ${task} as ${name} must be tokens from low to high: current range is ${low} to ${high}`,
      );
    }
    if (high >= vocabulary) {
      throw new RangeError(
        `Cannot make ${task} as ${name} must be below the vocabulary of ${vocabulary}: current range is ${low} to ${high}`,
      );
    }
  }
  ranges.sort((a, b) => a.range[0] - b.range[0]);
  for (let i = 1; i < ranges.length; i++) {
    const [before, after] = [ranges[i - 1], ranges[i]];
    if (before.range[1] >= after.range[0]) {
      throw new RangeError(
        `Cannot make ${task} as ${before.name} and ${after.name} share token ${after.range[0]}`,
      );
    }
  }
}

/** The place of a needle that may stand at 0 to `last`: at the depth, or anywhere if there is none. */
export function placeAt(random: Random, depth: number | undefined, last: number): number {
  return depth === undefined ? random.integer(0, last) : Math.round(depth * last);
}

/** The sample that a draft has become. */
export function finish(sample: Draft, depth?: number): Sample {
  return depth === undefined ? sample : { ...sample, depth };
}
