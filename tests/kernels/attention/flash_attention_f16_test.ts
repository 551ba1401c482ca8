import { assertEquals, assertThrows } from "@std/assert";
import type { AnyTensor, Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import {
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
} from "../../../kernels/attention/mod.ts";
import {
  attentionBackwardReference,
  attentionReference,
  type AttentionReferenceOptions,
} from "../../../kernels/attention/reference.ts";
import { assertClose, halves, normals, testGpu, testTilings } from "../../testing.ts";

/** What rounding to 16 bits costs: of an output once, of gradients also through the output that they are given. */
const OUTPUT_BOUND = 5e-4;
const GRADIENT_BOUND = 1e-3;

interface Rows {
  readonly values: Float32Array;
  readonly tensor: Tensor;
}

/** Normal values as 16 bits hold them, as a tensor of f16. */
function rows(gpu: Gpu, seed: number, shape: readonly number[]): Rows {
  const values = halves(normals(seed, shape.reduce((product, extent) => product * extent, 1)));
  return { values, tensor: gpu.tensor(shape, values, "f16") };
}

const SHAPES: Record<string, AttentionReferenceOptions> = {
  "grouped queries, a window and sinks": {
    batch: 2,
    queryTime: 65,
    keyTime: 97,
    heads: 4,
    keyHeads: 2,
    dim: 16,
    valueDim: 16,
    window: 40,
    sinks: 3,
  },
  "odd head sizes": {
    batch: 2,
    queryTime: 65,
    keyTime: 65,
    heads: 3,
    keyHeads: 1,
    dim: 6,
    valueDim: 15,
  },
  "one step": {
    batch: 1,
    queryTime: 1,
    keyTime: 1,
    heads: 1,
    keyHeads: 1,
    dim: 16,
    valueDim: 16,
  },
};

for (const algorithm of ["rows", "tiles", "wide"] as const) {
  for (const [name, shape] of Object.entries(SHAPES)) {
    Deno.test(`attention of f16 by ${algorithm} equals the reference: ${name}`, async () => {
      const gpu = await testGpu();
      const { batch, queryTime, keyTime, heads, keyHeads, dim, valueDim, window, sinks } = shape;
      const query = rows(gpu, 1, [batch, queryTime, heads, dim]);
      const key = rows(gpu, 2, [batch, keyTime, keyHeads, dim]);
      const value = rows(gpu, 3, [batch, keyTime, keyHeads, valueDim]);
      const gradient = rows(gpu, 4, [batch, queryTime, heads, valueDim]);
      const tensors = { query: query.tensor, key: key.tensor, value: value.tensor };
      const options = { window, sinks, algorithm };
      const { output, logSumExp } = flashAttention(gpu, tensors, options);
      const gradients = flashAttentionBackward(
        gpu,
        { ...tensors, output, logSumExp, outputGradient: gradient.tensor },
        options,
      );
      assertEquals(logSumExp.dtype, "f32");
      for (const tensor of [output, ...Object.values(gradients)]) {
        assertEquals(tensor.dtype, "f16");
      }
      const arrays = { query: query.values, key: key.values, value: value.values };
      const expected = attentionReference(arrays, shape);
      const backward = attentionBackwardReference(
        { ...arrays, outputGradient: gradient.values },
        shape,
      );
      assertClose(await logSumExp.read(), expected.logSumExp, 1e-5, "logSumExp");
      assertClose(await output.read(), expected.output, OUTPUT_BOUND, "output");
      for (const name of ["queryGradient", "keyGradient", "valueGradient"] as const) {
        assertClose(await gradients[name].read(), backward[name], GRADIENT_BOUND, name);
      }
    });
  }
}

for (
  const [name, heads, keyHeads, dim, valueDim] of [
    ["grouped queries", 4, 2, 16, 16],
    ["odd head sizes", 3, 1, 6, 15],
  ] as const
) {
  Deno.test(`flashAttentionStep() of an f16 cache equals the reference: ${name}`, async () => {
    for (const [tiling, gpu] of await testTilings()) {
      const query = rows(gpu, 1, [2, 1, heads, dim]);
      const key = rows(gpu, 2, [2, 700, keyHeads, dim]);
      const value = rows(gpu, 3, [2, 700, keyHeads, valueDim]);
      const { output } = flashAttentionStep(
        gpu,
        { query: query.tensor, key: key.tensor, value: value.tensor },
        { keyLength: 600 },
      );
      assertEquals(output.dtype, "f16");
      const shape = { batch: 2, queryTime: 1, keyTime: 700, keyLength: 600 };
      const expected = attentionReference(
        { query: query.values, key: key.values, value: value.values },
        { ...shape, heads, keyHeads, dim, valueDim },
      );
      assertClose(await output.read(), expected.output, OUTPUT_BOUND, tiling);
    }
  });
}

Deno.test("attention refuses rows that are stored in two ways, and integers", async () => {
  const gpu = await testGpu();
  const shape = [1, 2, 1, 8];
  const whole = gpu.tensor(shape);
  const half = gpu.tensor(shape, undefined, "f16");
  const integers = gpu.tensor(shape, undefined, "u32") as AnyTensor as Tensor;
  const refused: [Tensor, Tensor, Tensor, string][] = [
    [half, whole, half, "key must be f16: current data type is f32"],
    [whole, whole, half, "value must be f32: current data type is f16"],
    [integers, half, half, "query must be f32 or f16: current data type is u32"],
  ];
  for (const [query, key, value, message] of refused) {
    assertThrows(
      () => flashAttention(gpu, { query, key, value }),
      RangeError,
      `Cannot run flashAttention() as ${message}`,
    );
  }
  const inputs = { query: half, key: half, value: half };
  const { output, logSumExp } = flashAttention(gpu, inputs);
  assertThrows(
    () => flashAttentionBackward(gpu, { ...inputs, output, logSumExp, outputGradient: whole }),
    RangeError,
    "outputGradient must be f16: current data type is f32",
  );
});
