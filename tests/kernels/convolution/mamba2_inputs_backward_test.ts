import { assertEquals, assertThrows } from "@std/assert";
import {
  hasMamba2InputsBackward,
  mamba2InputsBackward,
  type Mamba2InputsBackwardInputs,
} from "../../../kernels/convolution/mod.ts";
import { mamba2InputsBackwardReference } from "../../../kernels/convolution/reference.ts";
import type { Tensor } from "../../../kernels/gpu/mod.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

interface Case {
  batch: number;
  time: number;
  heads: number;
  headDim: number;
  shared: number;
  width: number;
  start: number;
  carried: boolean;
  low?: number;
  high?: number;
}

const CASES: Case[] = [
  { batch: 2, time: 1, heads: 4, headDim: 4, shared: 4, width: 4, start: 8, carried: true },
  { batch: 2, time: 2, heads: 4, headDim: 8, shared: 4, width: 4, start: 0, carried: true },
  { batch: 3, time: 32, heads: 4, headDim: 16, shared: 32, width: 4, start: 64, carried: false },
  { batch: 2, time: 67, heads: 8, headDim: 4, shared: 8, width: 3, start: 4, carried: true },
  { batch: 1, time: 130, heads: 4, headDim: 4, shared: 12, width: 1, start: 16, carried: true },
  {
    batch: 2,
    time: 9,
    heads: 4,
    headDim: 4,
    shared: 4,
    width: 2,
    start: 4,
    carried: false,
    low: 0.3,
    high: 0.9,
  },
];

function makeProblem(
  test: Case,
): { arrays: Record<string, Float32Array>; shapes: Record<string, number[]> } {
  const { batch, time, heads, headDim, shared, width, start, carried } = test;
  const channels = heads * headDim + 2 * shared;
  const shapes: Record<string, number[]> = {
    x: [batch, time, start + channels + heads],
    weight: [channels, width],
    bias: [channels],
    ...carried && { initialTail: [batch, width - 1, channels] },
    stepBias: [heads],
    decay: [heads],
    gateGradient: [batch, time, start],
    valuesGradient: [batch, time, heads, headDim],
    inputGradient: [batch, time, heads, headDim],
    keyGradient: [batch, time, shared],
    queryGradient: [batch, time, shared],
    logDecayGradient: [batch, time, heads],
    finalTailGradient: [batch, width - 1, channels],
  };
  const arrays = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], seed) => [
      name,
      normals(seed + 1, shape.reduce((product, extent) => product * extent, 1)),
    ]),
  );
  return { arrays, shapes };
}

for (const test of CASES) {
  testKernel(
    `mamba2InputsBackward() equals the reference for ${JSON.stringify(test)}`,
    async () => {
      const gpu = await testGpu();
      const { low, high, headDim } = test;
      const { arrays, shapes } = makeProblem(test);
      const inputs = Object.fromEntries(
        Object.entries(arrays).map(([name, array]) => [name, gpu.tensor(shapes[name], array)]),
      ) as unknown as Mamba2InputsBackwardInputs & Record<string, Tensor>;
      const { x, weight, bias, initialTail, stepBias, decay } = inputs;
      const given = { x, weight, bias, initialTail, stepBias, decay };
      if (!hasMamba2InputsBackward(gpu, given, { headDim })) {
        assertThrows(() => mamba2InputsBackward(gpu, inputs, { headDim }), RangeError, "bindings");
        return;
      }
      using gradients = mamba2InputsBackward(gpu, inputs, { headDim, low, high });
      const expected = mamba2InputsBackwardReference(
        arrays as unknown as Parameters<typeof mamba2InputsBackwardReference>[0],
        { ...test, low: low ?? 0, high: high ?? Infinity },
      );
      assertEquals(gradients.initialTailGradient !== undefined, test.carried);
      for (const name of Object.keys(expected) as (keyof typeof expected)[]) {
        const gradient = gradients[name];
        if (gradient === undefined || gradient.size === 0) continue;
        assertClose(await gradient.read(), expected[name], 1e-5, name);
      }
      for (const tensor of Object.values(inputs)) tensor[Symbol.dispose]();
    },
  );
}

testKernel("a gradient that mamba2InputsBackward() is not given is 0", async () => {
  const gpu = await testGpu();
  const { arrays, shapes } = makeProblem(CASES[2]);
  const tensors = (zeros: boolean): Record<string, Tensor> =>
    Object.fromEntries(
      Object.entries(arrays)
        .filter(([name]) => zeros || !/^(gate|values|key|logDecay|finalTail)/.test(name))
        .map(([name, array]) => [
          name,
          gpu.tensor(
            shapes[name],
            /^(gate|values|key|logDecay|finalTail)/.test(name) ? undefined : array,
          ),
        ]),
    );
  const { headDim } = CASES[2];
  const [left, zero] = [false, true].map((zeros) =>
    tensors(zeros) as unknown as Mamba2InputsBackwardInputs
  );
  const { x, weight, bias, stepBias, decay } = left;
  if (!hasMamba2InputsBackward(gpu, { x, weight, bias, stepBias, decay }, { headDim })) return;
  const [a, b] = [left, zero].map((inputs) => mamba2InputsBackward(gpu, inputs, { headDim }));
  assertEquals(await a.xGradient.read(), await b.xGradient.read());
  assertEquals(await a.decayGradient.read(), new Float32Array(CASES[2].heads));
  for (const gradients of [a, b]) gradients[Symbol.dispose]();
});
