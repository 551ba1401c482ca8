import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  averageEstimates,
  boundedMean,
  clusteredProportion,
  fitPowerLaw,
  meanInterval,
  permutationTest,
  perplexity,
  poolPerplexities,
  poolProportions,
  student95,
  wilson,
  wilsonTrials,
} from "../../tasks/mod.ts";

function assertNear(actual: number, expected: number, bound: number): void {
  assert(Math.abs(actual - expected) <= bound, `${actual}, not ${expected}`);
}

Deno.test("wilson() gives the published intervals", () => {
  // Newcombe 1998, table I, method 3.
  for (
    const [right, asked, low, high] of [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ]
  ) {
    const interval = wilson(right / asked, asked);
    assertNear(interval.low, low, 5e-5);
    assertNear(interval.high, high, 5e-5);
  }
  assertEquals(wilson(1, 20).high, 1);
});

Deno.test("wilsonTrials() finds what an interval was made of, and pooling adds it up", () => {
  for (const [proportion, trials] of [[0.5, 100], [0, 32], [1, 32], [0.97, 250]]) {
    assertNear(wilsonTrials(wilson(proportion, trials)), trials, 1e-6 * trials);
  }
  const pooled = poolProportions([wilson(0.5, 10), wilson(1, 30)], [10, 30]);
  const whole = wilson(35 / 40, 40);
  assertNear(pooled.low, whole.low, 1e-9);
  assertNear(pooled.high, whole.high, 1e-9);
});

Deno.test("clusteredProportion(): answers that go together count once, others each", () => {
  const together = clusteredProportion([4, 0, 4, 0, 4, 0, 4, 0], new Array(8).fill(4));
  const alone = wilson(0.5, 8);
  assertNear(together.low, alone.low, 1e-12);
  assertEquals(clusteredProportion([2, 2, 2, 2], [4, 4, 4, 4]), wilson(0.5, 16));
  assertEquals(clusteredProportion([4, 4, 4], [4, 4, 4]), wilson(1, 3));
  assertEquals(clusteredProportion([3], [4]), wilson(0.75, 1));
  // With one question a sample it is Wilson's interval itself.
  const single = clusteredProportion([1, 0, 1, 1], [1, 1, 1, 1]);
  assertNear(single.low, wilson(0.75, 4).low, 1e-12);
});

Deno.test("clusteredProportion() covers the true share in 95 of 100 cases where answers go together", () => {
  let state = 99;
  const uniform = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  let [covered, naive] = [0, 0];
  const runs = 2000;
  for (let run = 0; run < runs; run++) {
    const right = Array.from({ length: 50 }, () => {
      // A sample's own share is 0.5 or 0.9.
      const share = uniform() < 0.5 ? 0.5 : 0.9;
      return Array.from({ length: 8 }, () => Number(uniform() < share)).reduce((a, b) => a + b);
    });
    const { low, high } = clusteredProportion(right, new Array(50).fill(8));
    if (low <= 0.7 && 0.7 <= high) covered++;
    const flat = wilson(right.reduce((a, b) => a + b) / 400, 400);
    if (flat.low <= 0.7 && 0.7 <= flat.high) naive++;
  }
  assert(covered / runs > 0.93 && covered / runs < 0.97, `covered ${covered / runs}`);
  assert(naive / runs < 0.9, "the naive interval should fall short here");
});

Deno.test("student95() is the table's", () => {
  for (
    const [degrees, point] of [[1, 12.7062], [2, 4.3027], [3, 3.1824], [4, 2.7764], [9, 2.2622], [
      30,
      2.0423,
    ], [1000, 1.9623]]
  ) assertNear(student95(degrees), point, point * 5e-3);
});

Deno.test("meanInterval() and perplexity()", () => {
  const { value, low, high } = meanInterval([1, 2, 3, 4, 5]);
  assertEquals(value, 3);
  assertNear(high - 3, 2.7764 * Math.sqrt(2.5 / 5), 1e-2);
  assertNear(high - 3, 3 - low, 1e-12);
  assertNear(perplexity([Math.log(2), Math.log(8)]).value, 4, 1e-12);
  assert(Number.isNaN(perplexity([1]).low));
});

Deno.test("poolPerplexities(): four like parts halve the interval", () => {
  const part = { value: 4, low: 4 / 1.2, high: 4 * 1.2 };
  const pooled = poolPerplexities([part, part, part, part], [8, 8, 8, 8]);
  assertNear(pooled.value, 4, 1e-12);
  assertNear(pooled.high, 4 * Math.sqrt(1.2), 1e-9);
});

Deno.test("averageEstimates(): errors of independent parts add in squares", () => {
  const { value, low, high } = averageEstimates([
    { value: 0.2, low: 0.1, high: 0.3 },
    { value: 0.6, low: 0.5, high: 0.7 },
  ]);
  assertNear(value, 0.4, 1e-12);
  assertNear(high - low, 0.2 / Math.SQRT2, 1e-12);
});

Deno.test("the mean over tasks and seeds is not pulled, and its interval covers the true one", () => {
  let state = 7;
  const uniform = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  // Five tasks from easy to hard, three seeds each, 20 samples with 4 questions; a sample's own
  // share lies 0.1 above or below its task's.
  const shares = [0.9, 0.85, 0.6, 0.4, 0.15];
  const truth = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  const runs = 1000;
  let [covered, total] = [0, 0];
  for (let run = 0; run < runs; run++) {
    const { value, low, high } = averageEstimates(shares.map((share) => {
      const seeds = [0, 1, 2].map(() => {
        const right = Array.from({ length: 20 }, () => {
          const own = share + (uniform() < 0.5 ? 0.1 : -0.1);
          return [0, 1, 2, 3].filter(() => uniform() < own).length;
        });
        return clusteredProportion(right, new Array(20).fill(4));
      });
      return poolProportions(seeds, [20, 20, 20]);
    }));
    total += value;
    if (low <= truth && truth <= high) covered++;
  }
  assert(covered / runs > 0.93 && covered / runs < 0.98, `covered ${covered / runs}`);
  assertNear(total / runs, truth, 2e-3);
});

Deno.test("fitPowerLaw() finds the exponent", () => {
  const { exponent, coefficient } = fitPowerLaw(
    [64, 128, 512, 4096].map((x) => ({ x, y: 3 * x ** 1.5 })),
  )!;
  assertNear(exponent, 1.5, 1e-12);
  assertNear(coefficient, 3, 1e-9);
  assertEquals(fitPowerLaw([{ x: 64, y: 1 }, { x: 64, y: 2 }]), undefined);
  assertEquals(fitPowerLaw([{ x: 64, y: 0 }, { x: 128, y: 2 }]), undefined);
});

Deno.test("boundedMean() is Clopper and Pearson's for zeros and ones, and stays within 0 and 1", () => {
  // Clopper & Pearson 1934: the ends solve a binomial tail of 2.5%.
  for (
    const [values, low, high] of [
      [[1, 1, 1], 0.025 ** (1 / 3), 1],
      [[0, 0, 0, 0, 0], 0, 1 - 0.025 ** (1 / 5)],
      [[1, 0, 1], 0.09430, 0.99160],
      [[1, 0, 1, 1, 0], 0.14663, 0.94727],
    ] as const
  ) {
    const interval = boundedMean(values);
    assertNear(interval.low, low, 5e-5);
    assertNear(interval.high, high, 5e-5);
  }
  const { value, low, high } = boundedMean([0.94, 0.95, 0.96]);
  assertNear(value, 0.95, 1e-12);
  assert(low > 0.25 && low < 0.4 && high > 0.96 && high < 1);
  assertEquals(boundedMean([0.3, 0.9, 0.6]), boundedMean([0.9, 0.6, 0.3]));
  assertThrows(() => boundedMean([]), RangeError, "from 0 to 1");
  assertThrows(() => boundedMean([0.5, 1.01]), RangeError, "from 0 to 1");
});

Deno.test("boundedMean() covers the true mean of trainings, normal or all or nothing", () => {
  let state = 11;
  const uniform = (): number =>
    ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 0.5) / 2 ** 32;
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const clip = (value: number): number => Math.min(1, Math.max(0, value));
  /** An accuracy as it is measured on 200 answers, about. */
  const measured = (accuracy: number): number =>
    clip(accuracy + normal() * Math.sqrt(accuracy * (1 - accuracy) / 200));
  const outcomes: [name: string, mean: number, draw: () => number][] = [
    ...[0.3, 0.6, 0.8].map((mean): [string, number, () => number] => [
      `normal about ${mean}`,
      mean,
      () => clip(mean + 0.05 * normal()),
    ]),
    ...[0.5, 0.7, 0.8, 0.9].map((share): [string, number, () => number] => [
      `learned by ${share}`,
      share * 0.97 + (1 - share) * 0.0625,
      () => measured(uniform() < share ? 0.97 : 0.0625),
    ]),
  ];
  const runs = 2000;
  let fewestOfStudent = 1;
  for (const [name, mean, draw] of outcomes) {
    for (const trainings of [3, 5]) {
      let [covered, student] = [0, 0];
      for (let run = 0; run < runs; run++) {
        const values = Array.from({ length: trainings }, draw);
        const holds = ({ low, high }: { low: number; high: number }): boolean =>
          low <= mean && mean <= high;
        if (holds(boundedMean(values))) covered++;
        if (holds(meanInterval(values))) student++;
      }
      assert(covered / runs >= 0.9, `${name}, ${trainings} trainings: covers ${covered / runs}`);
      fewestOfStudent = Math.min(fewestOfStudent, student / runs);
    }
  }
  assert(fewestOfStudent < 0.7, `Student's interval should fall short here: ${fewestOfStudent}`);
});

Deno.test("permutationTest() counts the ways to part the values that are as far apart", () => {
  assertEquals(permutationTest([1, 1, 1], [0, 0, 0]), 1 / 20);
  assertEquals(permutationTest([0.9, 1, 0.8, 0.7, 0.95], [0.1, 0.2, 0, 0.3, 0.6]), 1 / 252);
  assertEquals(permutationTest([0, 0, 0], [1, 1, 1]), 1);
  assertEquals(permutationTest([0.5, 0.5], [0.5, 0.5]), 1);
  assertEquals(permutationTest([3], [1, 2]), 1 / 3);
  assertThrows(() => permutationTest([], [1]), RangeError, "groups of 0 and 1 values");
});
