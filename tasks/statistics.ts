/** A value with the interval that holds the true one in 95 of 100 cases. */
export interface Estimate {
  /** The value. */
  readonly value: number;
  /** The interval's lower end. */
  readonly low: number;
  /** The interval's upper end. */
  readonly high: number;
}

/** The 97.5% point of the standard normal distribution. */
const Z95 = 1.959963984540054;

/**
 * Wilson's score interval for a proportion (Wilson 1927): it stays within 0 and 1 and does not
 * collapse where all answers are right.
 *
 * @param proportion From 0 to 1.
 * @param trials How many independent answers the proportion is of; need not be an integer.
 * @throws {RangeError} for a proportion of less than one answer.
 */
export function wilson(proportion: number, trials: number): Estimate {
  if (!(proportion >= 0 && proportion <= 1) || !(trials > 0)) {
    throw new RangeError(
      `Cannot make an interval as it takes a proportion of at least one answer: current values are ${proportion} of ${trials}`,
    );
  }
  const z2 = Z95 ** 2;
  const centre = (proportion + z2 / (2 * trials)) / (1 + z2 / trials);
  const half = Z95 / (1 + z2 / trials) *
    Math.sqrt(proportion * (1 - proportion) / trials + z2 / (4 * trials ** 2));
  return {
    value: proportion,
    low: proportion === 0 ? 0 : Math.max(0, centre - half),
    high: proportion === 1 ? 1 : Math.min(1, centre + half),
  };
}

/**
 * The share of right answers over samples that ask several questions each. Answers within one
 * sample go together, so they count for less than as many independent ones: Wilson's interval is
 * taken over n / d answers, where the design effect d (Kish 1965, section 8.2) is the variance seen
 * between samples over the one that independent answers would have. n / d is kept between the number
 * of samples and the number of answers; where all answers are alike it is the number of samples.
 *
 * @param right Right answers in each sample.
 * @param asked Questions in each sample.
 */
export function clusteredProportion(
  right: readonly number[],
  asked: readonly number[],
): Estimate {
  const samples = right.length;
  const answers = sum(asked);
  const proportion = answers === 0 ? NaN : sum(right) / answers;
  const independent = proportion * (1 - proportion);
  if (samples < 2 || independent === 0) return wilson(proportion, samples);
  const spread = right.reduce((total, count, i) => total + (count - proportion * asked[i]) ** 2, 0);
  const variance = spread * samples / (samples - 1) / answers ** 2;
  const effective = variance === 0 ? answers : independent / variance;
  return wilson(proportion, Math.min(Math.max(effective, samples), answers));
}

/**
 * How many independent answers a Wilson interval was made of, from the interval alone: its ends x
 * solve (proportion − x)² = z² x (1 − x) / n.
 */
export function wilsonTrials({ value, low, high }: Estimate): number {
  const end = value - low > high - value ? low : high;
  return Z95 ** 2 * end * (1 - end) / (value - end) ** 2;
}

/**
 * Several proportions of the same thing as one: the mean weighted by samples w, with Wilson's
 * interval over 1 / Σ (wᵢ² / nᵢ) answers, which has the variance of that mean. The weights are not
 * the answers nᵢ that each interval was made of: those depend on the proportion, and would pull it.
 */
export function poolProportions(parts: readonly Estimate[], samples: readonly number[]): Estimate {
  const total = sum(samples);
  const weights = samples.map((count) => count / total);
  const mean = sum(parts.map(({ value }, i) => weights[i] * value));
  const trials = 1 / sum(parts.map((part, i) => weights[i] ** 2 / wilsonTrials(part)));
  return wilson(Math.min(1, mean), trials);
}

/**
 * The mean of values from 0 to 1, such as the accuracies of several trainings, with an interval for
 * any distribution (no case is known in which it fails, though that is not proven): a training that
 * learns all or nothing is not normal, and three that agree do not rule out a fourth that fails. The lower end is the 2.5% point of
 * D₀ · 0 + Σ Dᵢ · x₍ᵢ₎ with D uniform on the simplex, the upper end the 97.5% point with 1 in place
 * of 0 (Gaffke 2005; Learned-Miller & Thomas 2020, "A new confidence interval for the mean of a
 * bounded random variable"). Where all values are 0 or 1 it is Clopper & Pearson's.
 *
 * @param values At least one, each from 0 to 1.
 * @throws {RangeError} for a value outside of 0 to 1, or none.
 */
export function boundedMean(values: readonly number[]): Estimate {
  if (values.length === 0 || !values.every((value) => value >= 0 && value <= 1)) {
    throw new RangeError(
      `Cannot make an interval as it takes values from 0 to 1: current values are [${values}]`,
    );
  }
  return {
    value: sum(values) / values.length,
    low: simplexQuantile([0, ...values], 0.025),
    high: simplexQuantile([1, ...values], 0.975),
  };
}

/** The point below which Σ Dᵢ cᵢ lies with a probability, D uniform on the simplex; by halving. */
function simplexQuantile(coefficients: readonly number[], probability: number): number {
  let [low, high] = [Math.min(...coefficients), Math.max(...coefficients)];
  while (high - low > 1e-9) {
    const middle = (low + high) / 2;
    if (simplexShare(coefficients, middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The share of the simplex on which Σ Dᵢ cᵢ ≤ t (Varsi 1973): convex combinations alone. */
function simplexShare(coefficients: readonly number[], t: number): number {
  const above = coefficients.filter((c) => c >= t).map((c) => c - t);
  const shares = [1, ...above.map(() => 0)];
  for (const below of coefficients.filter((c) => c < t).map((c) => t - c)) {
    above.forEach((distance, k) => {
      shares[k + 1] = (distance * shares[k + 1] + below * shares[k]) / (distance + below);
    });
  }
  return shares[above.length];
}

/**
 * How likely it is that the mean of `a` exceeds that of `b` as much as it does, or more, if all values
 * were of one kind: the share of all ways to part them into groups of these sizes (Fisher's exact
 * permutation test, one-sided). It supposes no distribution; three against three give at least 1/20.
 *
 * @param a At least one value; with those of `b`, at most 20.
 * @throws {RangeError} where a group is empty, or both together are larger.
 */
export function permutationTest(a: readonly number[], b: readonly number[]): number {
  const all = [...a, ...b];
  if (a.length === 0 || b.length === 0 || all.length > 20) {
    throw new RangeError(
      `Cannot test groups of ${a.length} and ${b.length} values: each must hold one at least, both together 20 at most`,
    );
  }
  const observed = sum(a);
  const slack = 1e-12 * all.length;
  let [ways, asFar] = [0, 0];
  const choose = (from: number, left: number, total: number): void => {
    if (left === 0) {
      ways++;
      if (total >= observed - slack) asFar++;
      return;
    }
    for (let i = from; i <= all.length - left; i++) choose(i + 1, left - 1, total + all[i]);
  };
  choose(0, a.length, 0);
  return asFar / ways;
}

/** The mean of independent values with Student's interval. One value has no interval: NaN. */
export function meanInterval(values: readonly number[]): Estimate {
  const count = values.length;
  const mean = sum(values) / count;
  if (count < 2) return { value: mean, low: NaN, high: NaN };
  const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / (count - 1);
  const half = student95(count - 1) * Math.sqrt(variance / count);
  return { value: mean, low: mean - half, high: mean + half };
}

/** exp of the mean negative log-likelihood, with the interval of the mean. */
export function perplexity(nllOfSamples: readonly number[]): Estimate {
  const { value, low, high } = meanInterval(nllOfSamples);
  return { value: Math.exp(value), low: Math.exp(low), high: Math.exp(high) };
}

/**
 * exp of the mean negative log-likelihood of all tokens of samples that count different numbers of
 * them: a ratio of sums, with Student's interval from how far each sample is from it (Cochran 1977,
 * section 6.4). Where fewer than two samples have any there is none: NaN.
 *
 * @param sums Of each sample, the sum of its negative log-likelihoods.
 * @param counts Of each sample, of how many tokens it is; some is more than 0.
 */
export function perplexityOfParts(sums: readonly number[], counts: readonly number[]): Estimate {
  const total = sum(counts);
  const mean = sum(sums) / total;
  const parts = counts.filter((count) => count > 0).length;
  if (parts < 2) return { value: Math.exp(mean), low: NaN, high: NaN };
  const spread = sums.reduce((whole, part, i) => whole + (part - mean * counts[i]) ** 2, 0);
  const half = student95(parts - 1) * Math.sqrt(spread * parts / (parts - 1)) / total;
  return { value: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) };
}

/**
 * Several perplexities of the same thing as one: the geometric mean weighted by samples, the
 * interval from the parts' own (whose half-widths in the logarithm add in squares).
 */
export function poolPerplexities(
  parts: readonly Estimate[],
  samples: readonly number[],
): Estimate {
  const total = sum(samples);
  const mean = parts.reduce((s, { value }, i) => s + Math.log(value) * samples[i] / total, 0);
  const half = Math.sqrt(
    parts.reduce(
      (s, { low, high }, i) => s + (Math.log(high / low) / 2 * samples[i] / total) ** 2,
      0,
    ),
  );
  return { value: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) };
}

/**
 * Several means of the same thing as one, weighted by samples; each end is as far from the mean as the
 * parts' own ends are in squares (Zou & Donner 2008).
 */
export function poolMeans(parts: readonly Estimate[], samples: readonly number[]): Estimate {
  const total = sum(samples);
  const weights = samples.map((count) => count / total);
  const value = sum(parts.map((part, i) => weights[i] * part.value));
  const half = (of: (part: Estimate) => number): number =>
    Math.sqrt(sum(parts.map((part, i) => (weights[i] * of(part)) ** 2)));
  return {
    value,
    low: value - half((part) => part.value - part.low),
    high: value + half((part) => part.high - part.value),
  };
}

/**
 * The mean of estimates that are independent of each other, such as of several tasks: each end is as
 * far from the mean as the parts' own ends are in squares (Zou & Donner 2008).
 */
export function averageEstimates(parts: readonly Estimate[]): Estimate {
  return poolMeans(parts, parts.map(() => 1));
}

/** A power law y = coefficient · x^exponent. */
export interface PowerLaw {
  /** The slope on log–log axes: 1 is linear, 2 quadratic. */
  readonly exponent: number;
  /** y at x = 1. */
  readonly coefficient: number;
}

/**
 * The power law through points by least squares on their logarithms; undefined where fewer than two
 * different x are over 0.
 */
export function fitPowerLaw(
  points: readonly { readonly x: number; readonly y: number }[],
): PowerLaw | undefined {
  const logs = points.filter(({ x, y }) => x > 0 && y > 0)
    .map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }));
  const meanX = sum(logs.map(({ x }) => x)) / logs.length;
  const meanY = sum(logs.map(({ y }) => y)) / logs.length;
  const spread = logs.reduce((total, { x }) => total + (x - meanX) ** 2, 0);
  if (!(spread > 0)) return undefined;
  const exponent = logs.reduce((total, { x, y }) => total + (x - meanX) * (y - meanY), 0) / spread;
  return { exponent, coefficient: Math.exp(meanY - exponent * meanX) };
}

/**
 * The 97.5% point of Student's distribution: exact for 1 and 2 degrees of freedom, else by the
 * expansion in 1/ν of Abramowitz & Stegun 26.7.5 (off by less than 0.5% from 3 on).
 */
export function student95(degrees: number): number {
  if (degrees === 1) return 12.706204736174698;
  if (degrees === 2) return 4.302652729749462;
  const z = Z95;
  const terms = [
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160,
  ];
  return terms.reduce((total, term, i) => total + term / degrees ** (i + 1), z);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
