/** What needs no reference, of both rules. */
import { assertEquals } from "@std/assert";
import { assertClose, testGpu, testKernel } from "../../testing.ts";
import {
  type Case,
  cut,
  FORMS,
  makeProblem,
  release,
  RULES,
  runAll,
  take,
  type Tensors,
  upload,
} from "./rules.ts";

for (const rule of Object.values(RULES)) {
  const { name } = rule;

  testKernel(
    `${name}() does not depend on the chunk size or on how much is worked at once`,
    async () => {
      const gpu = await testGpu();
      const test = { time: 150, batch: 2, heads: 2, keyDim: 20, valueDim: 12, decay: -1 };
      const problem = makeProblem(rule, test);
      const plain = await runAll(gpu, problem);
      for (
        const options of [{ chunkSize: 64 }, { workspaceBytes: 1 }, {
          chunkSize: 32,
          workspaceBytes: 1e5,
        }]
      ) {
        const others = await runAll(gpu, problem, options);
        for (const [field, values] of Object.entries(plain)) {
          const bound = field.endsWith("Gradient") ? 1e-4 : 1e-5;
          assertClose(others[field], values, bound, `${field} with ${JSON.stringify(options)}`);
        }
      }
    },
  );

  testKernel(`${name}() gives the same bits twice`, async () => {
    const gpu = await testGpu();
    const problem = makeProblem(rule, { time: 100, heads: 3, keyDim: 8, valueDim: 8, decay: -1 });
    assertEquals(await runAll(gpu, problem), await runAll(gpu, problem));
  });

  testKernel(
    `${name}(): packed sequences equal each on its own, the empty one its initial state`,
    async () => {
      const gpu = await testGpu();
      const segments = [0, 0, 1, 34, 70];
      const test = { time: 70, heads: 2, keyDim: 12, valueDim: 8, decay: -1, segments };
      const problem = makeProblem(rule, test);
      const tensors = upload(gpu, problem);
      const packed = await take(gpu, rule.forward(gpu, tensors, { segments }));
      for (let i = 0; i + 1 < segments.length; i++) {
        const slice = cut(gpu, problem, segments[i], segments[i + 1], i);
        const alone = await take(gpu, rule.forward(gpu, slice));
        const rows = packed.output.subarray(segments[i] * 2 * 8, segments[i + 1] * 2 * 8);
        assertClose(rows, alone.output, 1e-6, `output of segment ${i}`);
        const state = packed.finalState.subarray(i * 2 * 12 * 8, (i + 1) * 2 * 12 * 8);
        assertClose(state, alone.finalState, 1e-6, `state of segment ${i}`);
        release(slice);
      }
      assertEquals(
        packed.finalState.subarray(0, 192),
        problem.arrays.initialState.subarray(0, 192),
      );
      release(tensors);
    },
  );

  testKernel(`${name}() stays right over 65,536 tokens`, async () => {
    const gpu = await testGpu();
    const problem = makeProblem(rule, { time: 65536, keyDim: 8, valueDim: 4, decay: -0.001 });
    const tensors = upload(gpu, problem);
    const { output, finalState } = await take(gpu, rule.forward(gpu, tensors));
    const expected = rule.reference(problem);
    assertClose(output.subarray(-4096), expected.output.subarray(-4096), 5e-4, "the last outputs");
    assertClose(finalState, expected.finalState, 5e-4, "finalState");
    const recurrent = await take(gpu, rule.recurrent(gpu, tensors));
    assertClose(recurrent.finalState, expected.finalState, 5e-4, "recurrent state");
    release(tensors);
  });
}

for (const { title, rule, form } of FORMS) {
  testKernel(
    `${title}: segment by segment, step by step and recurrent equal the whole`,
    async () => {
      const gpu = await testGpu();
      const shape: Case = { time: 40, heads: 4, keyDim: 12, valueDim: 8, decay: -1, ...form };
      if (rule === RULES.deltaRule) shape.keyHeads = 2;
      const problem = makeProblem(rule, shape);
      const tensors = upload(gpu, problem);
      const whole = await take(gpu, rule.forward(gpu, tensors));
      const recurrent = await take(gpu, rule.recurrent(gpu, tensors));
      assertClose(recurrent.output, whole.output, 1e-5, "recurrent output");
      assertClose(recurrent.finalState, whole.finalState, 1e-5, "recurrent state");

      let state = gpu.tensor(problem.shapes.initialState, problem.arrays.initialState);
      const outputs: number[] = [];
      for (const [begin, end] of [[0, 17], [17, 37], [37, 38], [38, 39], [39, 40]]) {
        const { initialState, ...tokens } = cut(gpu, problem, begin, end, 0);
        const next: Tensors = end - begin === 1
          ? rule.step(gpu, { ...tokens, state })
          : rule.forward(gpu, { ...tokens, initialState: state });
        outputs.push(...await next.output.read());
        release({ ...tokens, initialState, state, output: next.output });
        state = next.finalState;
      }
      assertClose(outputs, whole.output, 1e-5, "output");
      assertClose(await state.read(), whole.finalState, 1e-5, "finalState");
      release({ ...tensors, state });
    },
  );
}
