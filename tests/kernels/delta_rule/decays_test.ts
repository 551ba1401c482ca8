/** Log decays of every kind, each by itself: a mixture hides what fails in its small part. */
import { assert, assertEquals } from "@std/assert";
import { assertClose, relativeError, testGpu, testKernel, uniforms } from "../../testing.ts";
import { type Case, FORMS, makeProblem, release, runAll, take, upload } from "./rules.ts";

type Decays = Exclude<Case["decay"], number | undefined>;

const alike = (logDecay: number): Decays => (count) => new Float32Array(count).fill(logDecay);

/** One token in seven forgets everything; the others decay weakly. */
const resetting = (reset: number): Decays => (count, perToken) =>
  uniforms(8, count, -1, 0).map((weak, i) => Math.floor(i / perToken) % 7 === 3 ? reset : weak);

const mixed: Decays = (count) => {
  const kind = uniforms(9, count);
  return uniforms(8, count, -20, 0).map((strong, i) =>
    kind[i] < 0.1 ? -Infinity : kind[i] < 0.2 ? 0 : kind[i] < 0.5 ? strong : strong / 1000
  );
};

const KINDS: Record<string, Decays> = {
  "all -5": alike(-5),
  "all -10": alike(-10),
  "all -15": alike(-15),
  "all -20": alike(-20),
  "all -50": alike(-50),
  "all -0.001": alike(-0.001),
  "all 0": alike(0),
  "all -Infinity": alike(-Infinity),
  "one in seven -Infinity": resetting(-Infinity),
  "one in seven -1e4": resetting(-1e4),
  "one in seven -1e9": resetting(-1e9),
  "mixed": mixed,
  "growing by 0.05": alike(0.05),
  "growing by 0.5": alike(0.5),
};

/** What rounding comes to; DESIGN.md allows a hundred times as much. */
const BOUND = 1e-5;

for (const { title, rule, form } of FORMS) {
  for (const [kind, decay] of Object.entries(KINDS)) {
    testKernel(`${title} and its gradients are right with log decays ${kind}`, async () => {
      const gpu = await testGpu();
      const problem = makeProblem(rule, {
        time: 100,
        heads: 2,
        keyDim: 16,
        valueDim: 12,
        decay,
        ...form,
      });
      const expected = { ...rule.reference(problem), ...rule.gradientReference(problem) };
      for (const chunkSize of [16, 64]) {
        const actual = await runAll(gpu, problem, { chunkSize });
        for (const [name, values] of Object.entries(actual)) {
          assertClose(values, expected[name], BOUND, `${name} with chunkSize ${chunkSize}`);
        }
        assertPartsClose(
          actual.logDecayGradient,
          expected.logDecayGradient,
          problem.arrays.logDecay,
        );
      }
      const tensors = upload(gpu, problem);
      const recurrent = await take(gpu, rule.recurrent(gpu, tensors));
      release(tensors);
      for (const [name, values] of Object.entries(recurrent)) {
        assertClose(values, expected[name], BOUND, `${name} token by token`);
      }
    });
  }
}

/** Compares gradients of weak, strong and forgetting decays each by themselves. */
function assertPartsClose(
  actual: Float32Array,
  expected: Float64Array,
  logDecay: Float32Array,
): void {
  const bounds = [-Infinity, -1e3, -10, -1, 0, Infinity];
  for (let part = 0; part + 1 < bounds.length; part++) {
    const isIn = (_: number, i: number): boolean =>
      logDecay[i] >= bounds[part] && logDecay[i] < bounds[part + 1];
    const what = `logDecayGradient where the log decay is ${bounds[part]} to ${bounds[part + 1]}`;
    assertClose([...actual].filter(isIn), [...expected].filter(isIn), 1e-4, what);
  }
}

for (const { title, rule, form } of FORMS) {
  testKernel(
    `${title}: what is not a number goes where the mathematics sends it, and nowhere else`,
    async () => {
      const gpu = await testGpu();
      const test = { time: 40, heads: 2, keyDim: 8, valueDim: 8, decay: -1, ...form };
      const fresh = makeProblem(rule, test);
      for (const name of [...rule.tokens, "outputGradient"]) {
        const problem = makeProblem(rule, test);
        const data = problem.arrays[name];
        // In the second chunk, the third row of a block; in the middle of the row.
        data[Math.floor((22 + 0.4) * data.length / 40)] = NaN;
        const expected = { ...rule.reference(problem), ...rule.gradientReference(problem) };
        const actual = await runAll(gpu, problem);
        const clean = { ...rule.reference(fresh), ...rule.gradientReference(fresh) };
        let spared = 0;
        for (const [field, values] of Object.entries(actual)) {
          const missing = values.findIndex((x, i) =>
            Number.isNaN(expected[field][i]) && !Number.isNaN(x)
          );
          assertEquals(missing, -1, `${field} is a number where ${name} makes it none`);
          const isNumber = (_: number, i: number): boolean => !Number.isNaN(expected[field][i]);
          const kept = [...values].filter(isNumber);
          spared += kept.length;
          assertClose(
            kept,
            [...expected[field]].filter(isNumber),
            BOUND,
            `${field} beside a NaN in ${name}`,
          );
        }
        assert(spared > 0);
        assert(
          relativeError(actual.output.subarray(0, 100), clean.output.subarray(0, 100)) < BOUND,
        );
      }
    },
  );
}
