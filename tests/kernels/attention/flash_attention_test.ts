import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import {
  type AttentionOptions,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
} from "../../../kernels/attention/mod.ts";
import {
  attentionBackwardReference,
  attentionReference,
  type AttentionReferenceOptions,
} from "../../../kernels/attention/reference.ts";
import { assertClose, normals, testGpu } from "../../testing.ts";

interface Case extends Omit<AttentionReferenceOptions, "keyTime" | "keyHeads" | "valueDim"> {
  readonly keyTime?: number;
  readonly keyHeads?: number;
  readonly valueDim?: number;
}

function withDefaults(shape: Case): AttentionReferenceOptions {
  const { keyTime = shape.queryTime, keyHeads = shape.heads, valueDim = shape.dim } = shape;
  return { ...shape, keyTime, keyHeads, valueDim };
}

function inputs(
  gpu: Gpu,
  shape: AttentionReferenceOptions,
): Record<string, [Float32Array, Tensor]> {
  const { batch, queryTime, keyTime, heads, keyHeads, dim, valueDim } = shape;
  const shapes = {
    query: [batch, queryTime, heads, dim],
    key: [batch, keyTime, keyHeads, dim],
    value: [batch, keyTime, keyHeads, valueDim],
    outputGradient: [batch, queryTime, heads, valueDim],
  };
  return Object.fromEntries(
    Object.entries(shapes).map(([name, extents], i) => {
      const elements = normals(i + 1, extents.reduce((product, extent) => product * extent, 1));
      return [name, [elements, gpu.tensor(extents, elements)]];
    }),
  );
}

function optionsOf(gpu: Gpu, shape: AttentionReferenceOptions): AttentionOptions {
  const { causal, window, sinks, scale, alibiSlopes, softCap, segments, queryOffset, keyLength } =
    shape;
  const slopes = alibiSlopes && gpu.tensor([shape.heads], alibiSlopes);
  return {
    causal,
    window,
    sinks,
    scale,
    alibiSlopes: slopes,
    softCap,
    segments,
    queryOffset,
    keyLength,
  };
}

const CASES: Record<string, Case> = {
  "one step": { batch: 1, queryTime: 1, heads: 1, dim: 8 },
  "two steps": { batch: 2, queryTime: 2, heads: 3, dim: 8 },
  "causal": { batch: 2, queryTime: 65, heads: 3, dim: 16 },
  "not causal": { batch: 2, queryTime: 63, heads: 3, dim: 16, causal: false },
  "grouped queries": { batch: 2, queryTime: 65, heads: 6, keyHeads: 2, dim: 16 },
  "one key head, values wider than keys": {
    batch: 1,
    queryTime: 100,
    heads: 3,
    keyHeads: 1,
    dim: 8,
    valueDim: 60,
  },
  "values narrower than keys": { batch: 1, queryTime: 64, heads: 1, dim: 60, valueDim: 8 },
  "head size 64": { batch: 1, queryTime: 257, heads: 1, dim: 64 },
  "head size 100": { batch: 1, queryTime: 65, heads: 1, dim: 100 },
  "head size 128": { batch: 1, queryTime: 100, heads: 2, keyHeads: 1, dim: 128 },
  "head sizes that are no multiple of 4": {
    batch: 2,
    queryTime: 65,
    heads: 2,
    dim: 6,
    valueDim: 15,
  },
  "a window": { batch: 2, queryTime: 257, heads: 1, dim: 16, window: 20 },
  "a window of 1": { batch: 1, queryTime: 65, heads: 1, dim: 16, window: 1 },
  "a window with sinks": { batch: 1, queryTime: 257, heads: 1, dim: 16, window: 20, sinks: 3 },
  "sinks that reach into the window": {
    batch: 1,
    queryTime: 100,
    heads: 1,
    dim: 16,
    window: 9,
    sinks: 70,
  },
  "ALiBi": { batch: 1, queryTime: 65, heads: 2, dim: 16, alibiSlopes: [0.5, 0.0625] },
  "ALiBi, not causal": {
    batch: 1,
    queryTime: 65,
    heads: 2,
    dim: 16,
    causal: false,
    alibiSlopes: [0.5, 0.0625],
  },
  "a soft cap and a scale": { batch: 1, queryTime: 65, heads: 1, dim: 16, softCap: 2, scale: 0.7 },
  "a cache before the queries": {
    batch: 2,
    queryTime: 30,
    keyTime: 97,
    heads: 2,
    keyHeads: 1,
    dim: 16,
  },
  "a cache before the queries, a window and sinks": {
    batch: 1,
    queryTime: 70,
    keyTime: 200,
    heads: 1,
    dim: 16,
    window: 40,
    sinks: 5,
  },
  "a key buffer with spare rows": {
    batch: 2,
    queryTime: 30,
    keyTime: 130,
    keyLength: 60,
    heads: 1,
    dim: 16,
  },
  "queries before the first key": {
    batch: 1,
    queryTime: 50,
    keyTime: 20,
    heads: 1,
    dim: 16,
  },
  "queries past the last key": {
    batch: 1,
    queryTime: 50,
    keyTime: 20,
    heads: 1,
    dim: 16,
    queryOffset: 10,
    window: 4,
  },
  "segments [0, 15]": { batch: 1, queryTime: 15, heads: 1, dim: 16, segments: [0, 15] },
  "segments [0, 0, 16]": { batch: 1, queryTime: 16, heads: 1, dim: 16, segments: [0, 0, 16] },
  "segments [0, 1, 100, 257]": {
    batch: 1,
    queryTime: 257,
    heads: 3,
    keyHeads: 1,
    dim: 16,
    segments: [0, 1, 100, 257],
  },
  "segments, not causal": {
    batch: 1,
    queryTime: 257,
    heads: 1,
    dim: 16,
    causal: false,
    segments: [0, 1, 100, 257],
  },
  "segments, a window and sinks": {
    batch: 1,
    queryTime: 257,
    heads: 1,
    dim: 16,
    segments: [0, 1, 1, 100, 104, 257],
    window: 12,
    sinks: 4,
  },
};

async function assertEqualsReference(
  given: Case,
  algorithm: "rows" | "tiles",
): Promise<void> {
  const gpu = await testGpu();
  const shape = withDefaults(given);
  const options = { ...optionsOf(gpu, shape), algorithm };
  const { query: [q, query], key: [k, key], value: [v, value], outputGradient: [dy, gradient] } =
    inputs(gpu, shape);
  const { output, logSumExp } = flashAttention(gpu, { query, key, value }, options);
  const gradients = flashAttentionBackward(
    gpu,
    { query, key, value, output, logSumExp, outputGradient: gradient },
    options,
  );
  const [y, lse, dq, dk, dv] = await gpu.read([
    output,
    logSumExp,
    gradients.queryGradient,
    gradients.keyGradient,
    gradients.valueGradient,
  ]);
  const expected = attentionReference({ query: q, key: k, value: v }, shape);
  assertClose(y, expected.output, 1e-5, "output");
  assertClose(lse, expected.logSumExp, 1e-5, "logSumExp");
  const backward = attentionBackwardReference(
    { query: q, key: k, value: v, outputGradient: dy },
    shape,
  );
  assertClose(dq, backward.queryGradient, 1e-4, "queryGradient");
  assertClose(dk, backward.keyGradient, 1e-4, "keyGradient");
  assertClose(dv, backward.valueGradient, 1e-4, "valueGradient");
}

for (const [name, shape] of Object.entries(CASES)) {
  for (const algorithm of ["rows", "tiles"] as const) {
    Deno.test(`flashAttention() and its gradients by ${algorithm} equal the reference: ${name}`, async () => {
      await assertEqualsReference(shape, algorithm);
    });
  }
}

const STEPS: Record<string, Case> = {
  "a full cache": { batch: 2, queryTime: 1, keyTime: 65, heads: 3, dim: 16 },
  "spare rows, grouped queries": {
    batch: 2,
    queryTime: 1,
    keyTime: 700,
    keyLength: 600,
    heads: 4,
    keyHeads: 2,
    dim: 16,
  },
  "one key": { batch: 1, queryTime: 1, keyTime: 100, keyLength: 1, heads: 1, dim: 64 },
  "no key": { batch: 1, queryTime: 1, keyTime: 100, keyLength: 0, heads: 1, dim: 64 },
  "a window and sinks": {
    batch: 1,
    queryTime: 1,
    keyTime: 700,
    keyLength: 650,
    heads: 2,
    dim: 16,
    window: 300,
    sinks: 4,
  },
  "ALiBi and a soft cap": {
    batch: 1,
    queryTime: 1,
    keyTime: 300,
    heads: 2,
    dim: 16,
    alibiSlopes: [0.5, 0.0625],
    softCap: 2,
  },
  "odd head sizes": { batch: 2, queryTime: 1, keyTime: 100, heads: 2, dim: 6, valueDim: 15 },
  "wide values": { batch: 1, queryTime: 1, keyTime: 300, heads: 1, dim: 8, valueDim: 100 },
};

for (const [name, given] of Object.entries(STEPS)) {
  Deno.test(`flashAttentionStep() equals the reference: ${name}`, async () => {
    const gpu = await testGpu();
    const shape = withDefaults(given);
    const { query: [q, query], key: [k, key], value: [v, value] } = inputs(gpu, shape);
    const { output } = flashAttentionStep(gpu, { query, key, value }, optionsOf(gpu, shape));
    const expected = attentionReference({ query: q, key: k, value: v }, shape);
    assertClose(await output.read(), expected.output, 1e-5, "output");
  });
}
