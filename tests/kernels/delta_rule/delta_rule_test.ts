import { assertThrows } from "@std/assert";
import { deltaRuleRecurrent, deltaRuleStep } from "../../../kernels/delta_rule/mod.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../../testing.ts";
import {
  assertEqualsReference,
  type Case,
  makeProblem,
  release,
  RULES,
  type Tensors,
  upload,
} from "./rules.ts";

const cases: Case[] = [
  { time: 1, keyDim: 8, valueDim: 8 },
  { time: 2, batch: 2, keyDim: 60, valueDim: 7, fresh: true },
  { time: 63, heads: 3, keyDim: 8, valueDim: 60, decay: -1 },
  { time: 64, keyDim: 64, valueDim: 64, decay: -20 },
  { time: 65, heads: 3, keyDim: 64, valueDim: 8, decay: -1, perChannel: true },
  { time: 100, batch: 2, keyDim: 100, valueDim: 128, decay: -20, perChannel: true },
  { time: 100, heads: 4, keyHeads: 2, keyDim: 8, valueDim: 12, decay: -0.1 },
  { time: 257, keyDim: 128, valueDim: 100 },
  { time: 257, heads: 3, keyDim: 8, valueDim: 16, decay: 0, perChannel: true },
  { time: 1000, keyDim: 16, valueDim: 8, decay: -0.01 },
  { time: 15, keyDim: 8, valueDim: 8, segments: [0, 15] },
  { time: 16, heads: 3, keyDim: 8, valueDim: 8, decay: -1, segments: [0, 0, 16] },
  { time: 257, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, segments: [0, 1, 100, 257] },
  // Many sequences with small states: token by token in registers on a software adapter.
  { time: 1, batch: 16, keyDim: 16, valueDim: 16, decay: -1 },
  { time: 16, batch: 9, heads: 2, keyDim: 16, valueDim: 16, fresh: true },
  { time: 33, batch: 8, heads: 2, keyDim: 16, valueDim: 16, decay: -0.1 },
  { time: 40, batch: 6, heads: 3, keyDim: 4, valueDim: 20, decay: -20, perChannel: true },
  { time: 70, batch: 17, keyDim: 12, valueDim: 8, decay: -1 },
];

for (const test of cases) {
  testKernel(
    `deltaRule() and its gradients equal the reference for ${JSON.stringify(test)}`,
    () => assertEqualsReference(RULES.deltaRule, test),
  );
}

testKernel("deltaRule() refuses what does not fit", async () => {
  const { forward, backward, step } = RULES.deltaRule;
  const gpu = await testGpu();
  const test = { time: 4, heads: 3, keyDim: 8, valueDim: 6, decay: -1 };
  const tensors = upload(gpu, makeProblem(RULES.deltaRule, test));
  using wrong = gpu.tensor([1, 4, 3]);
  using twoHeads = gpu.tensor([1, 4, 2, 8]);
  const refusals: [Partial<Tensors>, object, string][] = [
    [{ query: wrong }, {}, "query must have shape [1,4,3,8]: current shape is [1,4,3]"],
    [
      { value: wrong },
      {},
      "value must have shape [batch, time, heads, valueDim]: current shape is [1,4,3]",
    ],
    [{ beta: tensors.query }, {}, "beta must have shape [1,4,3]: current shape is [1,4,3,8]"],
    [
      { logDecay: tensors.value },
      {},
      "logDecay must have shape [1,4,3,8]: current shape is [1,4,3,6]",
    ],
    [
      { initialState: wrong },
      {},
      "initialState must have shape [1,3,8,6]: current shape is [1,4,3]",
    ],
    [
      { query: twoHeads, key: twoHeads },
      {},
      "the key heads must divide the 3 heads: current number is 2",
    ],
    [{}, { chunkSize: 24 }, "chunkSize must be a multiple of 16: current value is 24"],
    [{}, { segments: [0, 3, 2, 4] }, "segments must rise from 0 to the time 4 of a batch of 1"],
    [{}, { segments: [0, 5] }, "segments must rise from 0 to the time 4 of a batch of 1"],
  ];
  for (const [inputs, options, message] of refusals) {
    assertThrows(
      () => forward(gpu, { ...tensors, ...inputs }, options),
      RangeError,
      `Cannot run deltaRule() as ${message}`,
    );
  }
  assertThrows(
    () => backward(gpu, { ...tensors, outputGradient: wrong }),
    RangeError,
    "Cannot run deltaRuleBackward() as outputGradient must have shape [1,4,3,6]",
  );
  const { initialState: state, outputGradient: _, finalStateGradient: __, ...tokens } = tensors;
  assertThrows(
    () => step(gpu, { ...tokens, state }),
    RangeError,
    "Cannot run deltaRuleStep() as value must have shape [1,1,3,6]: current shape is [1,4,3,6]",
  );
  release(tensors);
});

testKernel(
  "queries and keys that a step brings to unit length are those that the host does",
  async () => {
    const gpu = await testGpu();
    const [heads, keyHeads, keyDim, valueDim] = [4, 2, 9, 7];
    const unit = (values: Float32Array): Float32Array => {
      const rows = values.slice();
      for (let start = 0; start < rows.length; start += keyDim) {
        const row = rows.subarray(start, start + keyDim);
        const length = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0.01));
        row.forEach((x, i) => row[i] = x / length);
      }
      return rows;
    };
    for (const time of [1, 5]) {
      const [queries, keys] = [1, 2].map((seed) => normals(seed, time * keyHeads * keyDim));
      using value = gpu.tensor([1, time, heads, valueDim], normals(3, time * heads * valueDim));
      using beta = gpu.tensor([1, time, heads], uniforms(4, time * heads));
      using logDecay = gpu.tensor([1, time, heads], uniforms(5, time * heads, -1, 0));
      using state = gpu.tensor([1, heads, keyDim, valueDim], normals(6, heads * keyDim * valueDim));
      const walked = (
        q: Float32Array,
        k: Float32Array,
        unitLength?: number,
      ): Promise<Float32Array[]> => {
        using query = gpu.tensor([1, time, keyHeads, keyDim], q);
        using key = gpu.tensor([1, time, keyHeads, keyDim], k);
        const tokens = { query, key, value, beta, logDecay };
        using result = time === 1
          ? deltaRuleStep(gpu, { ...tokens, state }, { unitLength })
          : deltaRuleRecurrent(gpu, { ...tokens, initialState: state }, { unitLength });
        return gpu.read([result.output, result.finalState]);
      };
      const [output, finalState] = await walked(queries, keys, 0.01);
      const [expected, expectedState] = await walked(unit(queries), unit(keys));
      assertClose(output, expected, 1e-6, "output");
      assertClose(finalState, expectedState, 1e-6, "finalState");
    }
  },
);
