import { assertEquals, assertThrows } from "@std/assert";
import type { Tensor } from "../../../kernels/gpu/mod.ts";
import {
  linearAttention,
  linearAttentionBackward,
  linearAttentionRecurrent,
  linearAttentionStep,
} from "../../../kernels/linear_attention/mod.ts";
import {
  linearAttentionBackwardReference,
  linearAttentionReference,
} from "../../../kernels/linear_attention/reference.ts";
import { assertClose, halves, normals, testGpu, uniforms } from "../../testing.ts";

/** What is rounded to 16 bits when it is stored; the rest is as exact as from f32. */
const STORED_BOUND = 5e-4;
const STATE_BOUND = 1e-4;
const GRADIENT_BOUND = 1e-3;

interface Case {
  readonly batch: number;
  readonly time: number;
  readonly heads: number;
  readonly groups: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly decay: "none" | "head" | "key";
  readonly bonus?: boolean;
}

const CASES: readonly Case[] = [
  { batch: 2, time: 65, heads: 4, groups: 2, keyDim: 16, valueDim: 8, decay: "none" },
  { batch: 1, time: 100, heads: 3, groups: 3, keyDim: 12, valueDim: 10, decay: "head" },
  { batch: 1, time: 65, heads: 2, groups: 1, keyDim: 9, valueDim: 16, decay: "key", bonus: true },
  { batch: 3, time: 1, heads: 1, groups: 1, keyDim: 16, valueDim: 8, decay: "key" },
];

type Name = "query" | "key" | "value" | "logDecay" | "bonus" | "initialState" | "outputGradient";

/** Inputs as arrays and as tensors: sequences of f16, decays, bonus and states of f32. */
async function inputs(
  example: Case,
): Promise<{ arrays: Record<Name, Float32Array>; tensors: Record<Name, Tensor> }> {
  const gpu = await testGpu();
  const { batch, time, heads, groups, keyDim, valueDim, decay, bonus } = example;
  const queryShape = [batch, time, groups, keyDim];
  const valueShape = [batch, time, heads, valueDim];
  const shapes: Partial<Record<Name, number[]>> = {
    query: queryShape,
    key: queryShape,
    value: valueShape,
    outputGradient: valueShape,
    logDecay: decay === "none"
      ? undefined
      : decay === "key"
      ? [batch, time, heads, keyDim]
      : [batch, time, heads],
    bonus: bonus ? [heads, keyDim] : undefined,
    initialState: [batch, heads, keyDim, valueDim],
  };
  const arrays: Partial<Record<Name, Float32Array>> = {};
  const tensors: Partial<Record<Name, Tensor>> = {};
  Object.entries(shapes).forEach(([given, shape], seed) => {
    if (shape === undefined) return;
    const name = given as Name;
    const size = shape.reduce((product, extent) => product * extent, 1);
    const stored = ["query", "key", "value", "outputGradient"].includes(name);
    const values = name === "logDecay" ? uniforms(seed, size, -1, 0) : normals(seed, size);
    arrays[name] = stored ? halves(values) : values;
    tensors[name] = gpu.tensor(shape, arrays[name], stored ? "f16" : "f32");
  });
  return {
    arrays: arrays as Record<Name, Float32Array>,
    tensors: tensors as Record<Name, Tensor>,
  };
}

for (const example of CASES) {
  const { batch, time, heads, groups, keyDim, valueDim, decay, bonus } = example;
  const what =
    `${batch} × ${time} × ${heads}/${groups} × ${keyDim} × ${valueDim}, decay a ${decay}${
      bonus ? ", bonus" : ""
    }`;

  Deno.test(`linearAttention() of f16 and its gradients equal the reference: ${what}`, async () => {
    const gpu = await testGpu();
    const { arrays, tensors } = await inputs(example);
    const outputs = linearAttention(gpu, tensors);
    const gradients = linearAttentionBackward(gpu, tensors);
    const recurrent = linearAttentionRecurrent(gpu, tensors);
    const shape = { batch, time, heads, groups, keyDim, valueDim };
    const expected = linearAttentionReference(arrays, shape);
    const backward = linearAttentionBackwardReference(arrays, shape);
    for (const { output, finalState } of [outputs, recurrent]) {
      assertEquals([output.dtype, finalState.dtype], ["f16", "f32"]);
      assertClose(await output.read(), expected.output, STORED_BOUND, "output");
      assertClose(await finalState.read(), expected.finalState, STATE_BOUND, "finalState");
    }
    for (const [name, tensor] of Object.entries(gradients)) {
      if (tensor === undefined) continue;
      const of = name as keyof typeof backward;
      assertEquals(tensor.dtype, /^(query|key|value)/.test(name) ? "f16" : "f32", name);
      assertClose(await tensor.read(), backward[of]!, GRADIENT_BOUND, name);
    }
  });

  Deno.test(`linearAttentionStep() of f16 equals the reference: ${what}`, async () => {
    const gpu = await testGpu();
    const single = { ...example, time: 1 };
    const { arrays, tensors } = await inputs(single);
    const { query, key, value, logDecay, bonus, initialState: state } = tensors;
    const { output, finalState } = linearAttentionStep(
      gpu,
      { query, key, value, logDecay, bonus, state },
    );
    const expected = linearAttentionReference(arrays, single);
    assertEquals([output.dtype, finalState.dtype], ["f16", "f32"]);
    assertClose(await output.read(), expected.output, STORED_BOUND, "output");
    assertClose(await finalState.read(), expected.finalState, STATE_BOUND, "finalState");
  });
}

Deno.test("linearAttention() refuses sequences that are stored in two ways, and decays of f16", async () => {
  const gpu = await testGpu();
  const shape = [1, 2, 1, 8];
  const [query, key, value] = [1, 2, 3].map(() => gpu.tensor(shape, undefined, "f16"));
  const whole = gpu.tensor(shape);
  const refused: [() => unknown, string][] = [
    [
      () => linearAttention(gpu, { query, key: whole, value }),
      "linearAttention() as key must be f16: current data type is f32",
    ],
    [
      () => linearAttention(gpu, { query: whole, key: whole, value }),
      "linearAttention() as value must be f32: current data type is f16",
    ],
    [
      () => linearAttention(gpu, { query, key, value, logDecay: key }),
      "linearAttention() as logDecay must be f32: current data type is f16",
    ],
    [
      () => linearAttentionBackward(gpu, { query, key, value, outputGradient: whole }),
      "linearAttentionBackward() as outputGradient must be f16: current data type is f32",
    ],
  ];
  for (const [run, message] of refused) assertThrows(run, RangeError, `Cannot run ${message}`);
});
