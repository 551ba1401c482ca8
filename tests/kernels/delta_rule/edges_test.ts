/** Sizes and options at their edges, of both rules. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { assertClose, testGpu, testKernel } from "../../testing.ts";
import {
  assertEqualsReference,
  type Case,
  FORMS,
  makeProblem,
  release,
  RULES,
  runAll,
  take,
  upload,
} from "./rules.ts";

for (const { title, rule, form } of FORMS) {
  const small: Case = { time: 20, heads: 2, keyDim: 4, valueDim: 4, decay: -1, ...form };

  for (const empty of [{ keyDim: 0 }, { valueDim: 0 }, { time: 0 }, { batch: 0 }, { heads: 0 }]) {
    testKernel(
      `${title} writes what there is of outputs and gradients with ${JSON.stringify(empty)}`,
      async () => {
        const gpu = await testGpu();
        const problem = makeProblem(rule, { ...small, ...empty });
        if (problem.shapes.value[2] === 0) return assertThrowsNothing(problem);
        const expected = { ...rule.reference(problem), ...rule.gradientReference(problem) };
        const tensors = upload(gpu, problem);
        const step = "time" in empty ? {} : await take(gpu, rule.recurrent(gpu, tensors));
        release(tensors);
        for (const values of [await runAll(gpu, problem), step]) {
          for (const [name, data] of Object.entries(values)) {
            assertEquals([...data], [...expected[name]], name);
          }
        }
      },
    );
  }

  testKernel(`${title} refuses more heads than a dispatch has, and says so`, async () => {
    const gpu = await testGpu();
    const heads = gpu.device.limits.maxComputeWorkgroupsPerDimension + 1;
    const problem = makeProblem(rule, { ...small, batch: 1, heads, keyHeads: heads, time: 1 });
    const tensors = upload(gpu, problem);
    assertThrows(
      () => rule.forward(gpu, tensors),
      RangeError,
      `() as value must have at most ${heads - 1} heads`,
    );
    release(tensors);
  });

  testKernel(`${title} takes a step with a batch of more than 65,535`, async () => {
    const gpu = await testGpu();
    const problem = makeProblem(rule, { ...small, batch: 70_000, heads: 1, time: 1 });
    const tensors = upload(gpu, problem);
    const { initialState: state, outputGradient: _, finalStateGradient: __, ...tokens } = tensors;
    const next = await take(gpu, rule.step(gpu, { ...tokens, state }));
    release(tensors);
    const expected = rule.reference(problem);
    for (const [name, data] of Object.entries(next)) assertClose(data, expected[name], 1e-5, name);
  });

  // Three groups, as a dimension holds 65,535 workgroups; SwiftShader takes minutes for many more.
  testKernel(`${title} takes 66,000 segments, of which some have tokens`, () => {
    const segments = [0];
    for (let i = 0; i < 66_000; i++) {
      segments.push(segments[i] + (i === 40_000 ? 300 : i % 500 === 1 ? 17 : 0));
    }
    const test = { ...small, heads: 1, time: segments.at(-1)!, segments };
    return assertEqualsReference(rule, test);
  });

  testKernel(
    `${title} works span by span where a workspace holds a chunk of a few sequences`,
    async () => {
      const gpu = await testGpu();
      const problem = makeProblem(rule, { ...small, batch: 5, time: 70 });
      const whole = await runAll(gpu, problem);
      for (const workspaceBytes of [1, 5e3, 2e4]) {
        const cut = await runAll(gpu, problem, { workspaceBytes });
        for (const [name, data] of Object.entries(whole)) {
          assertClose(cut[name], data, 1e-5, `${name} in ${workspaceBytes} bytes`);
        }
      }
    },
  );

  testKernel(`${title} gives the initial state's gradient where there is one`, async () => {
    const gpu = await testGpu();
    for (const fresh of [false, true]) {
      const tensors = upload(gpu, makeProblem(rule, { ...small, fresh }));
      const gradients = rule.backward(gpu, tensors);
      // SwiftShader takes minutes for so many workgroups.
      assertEquals("initialStateGradient" in gradients, !fresh);
      release({ ...gradients, ...tensors });
    }
  });
}

Deno.test("deltaRule() and its gradients take a batch of more than 65,535", () =>
  assertEqualsReference(RULES.deltaRule, {
    batch: 66_000,
    time: 1,
    keyDim: 4,
    valueDim: 4,
    decay: -1,
  }));

/** Without heads, no number of key heads divides them: that is refused, or there is nothing to write. */
async function assertThrowsNothing(problem: ReturnType<typeof makeProblem>): Promise<void> {
  const gpu = await testGpu();
  if (problem.rule === RULES.deltaRule) {
    const tensors = upload(gpu, problem);
    assertThrows(
      () => problem.rule.forward(gpu, tensors),
      RangeError,
      "the key heads must divide the 0 heads: current number is 0",
    );
    return release(tensors);
  }
  const results = await runAll(gpu, problem);
  assert(Object.values(results).every((data) => data.length === 0));
}

for (const rule of Object.values(RULES)) {
  const { name } = rule;

  testKernel(`${name}() takes undefined for a default`, async () => {
    const gpu = await testGpu();
    const problem = makeProblem(rule, { time: 20, keyDim: 8, valueDim: 4, decay: -1 });
    const options = {
      scale: undefined,
      chunkSize: undefined,
      segments: undefined,
      workspaceBytes: undefined,
    };
    assertEquals(await runAll(gpu, problem, options), await runAll(gpu, problem));
  });

  testKernel(`${name}() refuses options out of range by their names`, async () => {
    const gpu = await testGpu();
    const tensors = upload(
      gpu,
      makeProblem(rule, { time: 4, keyDim: 8, valueDim: 4, decay: -1 }),
    );
    const refusals: [object, string][] = [
      [{ scale: NaN }, "scale must be a finite number: current value is NaN"],
      [{ scale: Infinity }, "scale must be a finite number: current value is Infinity"],
      [{ scale: 1e39 }, "scale must be a finite number: current value is 1e+39"],
      [{ chunkSize: NaN }, "chunkSize must be a multiple of 16: current value is NaN"],
      [{ chunkSize: 0 }, "chunkSize must be a multiple of 16: current value is 0"],
      [{ chunkSize: 1e9 }, "chunkSize must be at most 1024: current value is 1000000000"],
      [{ workspaceBytes: NaN }, "workspaceBytes must be greater than 0: current value is NaN"],
      [{ workspaceBytes: 0 }, "workspaceBytes must be greater than 0: current value is 0"],
      [{ segments: [0, 1.5, 4] }, "segments must rise from 0 to the time 4 of a batch of 1"],
      [{ segments: [0, NaN, 4] }, "segments must rise from 0 to the time 4 of a batch of 1"],
    ];
    for (const [options, message] of refusals) {
      assertThrows(
        () => rule.forward(gpu, tensors, options),
        RangeError,
        `Cannot run ${name}() as ${message}`,
      );
      assertThrows(
        () => rule.backward(gpu, tensors, options),
        RangeError,
        `Cannot run ${name}Backward() as ${message}`,
      );
    }
    assertThrows(
      () => rule.recurrent(gpu, tensors, { scale: NaN }),
      RangeError,
      `Cannot run ${name}Recurrent() as scale must be a finite number`,
    );
    for (const unknown of [{ segments: [0, 2, 4] }, { chunkSize: 16 }, { chunksize: 16 }]) {
      assertThrows(
        () => rule.recurrent(gpu, tensors, unknown as object),
        RangeError,
        `Cannot run ${name}Recurrent()`,
      );
    }
    release(tensors);
  });
}
