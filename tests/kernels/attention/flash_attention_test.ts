import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import {
  type AttentionAlgorithm,
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
import { readSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { assertClose, normals, testGpu, testKernel, testTilings } from "../../testing.ts";

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

const SHARED: Record<string, Case> = {
  "one step": { batch: 1, queryTime: 1, heads: 1, dim: 8 },
  "causal": { batch: 2, queryTime: 65, heads: 3, dim: 16 },
  "not causal": { batch: 2, queryTime: 63, heads: 3, dim: 16, causal: false },
  "grouped queries": { batch: 2, queryTime: 65, heads: 6, keyHeads: 2, dim: 16 },
  "values narrower than keys": { batch: 1, queryTime: 64, heads: 1, dim: 60, valueDim: 8 },
  "head size 128": { batch: 1, queryTime: 100, heads: 2, keyHeads: 1, dim: 128 },
  "head sizes that are not multiples of 4": {
    batch: 2,
    queryTime: 65,
    heads: 2,
    dim: 6,
    valueDim: 15,
  },
  "a window": { batch: 2, queryTime: 257, heads: 1, dim: 16, window: 20 },
  "a window with sinks": { batch: 1, queryTime: 257, heads: 1, dim: 16, window: 20, sinks: 3 },
  "sinks that reach into the window": {
    batch: 1,
    queryTime: 100,
    heads: 1,
    dim: 16,
    window: 9,
    sinks: 70,
  },
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
  "everything at once": {
    batch: 1,
    queryTime: 257,
    heads: 4,
    keyHeads: 2,
    dim: 16,
    segments: [0, 1, 1, 100, 104, 257],
    window: 40,
    sinks: 4,
    alibiSlopes: [0.5, 0.25, 0.125, 0.0625],
    softCap: 2,
    scale: 0.7,
  },
};

/** Whose pipelines take long to compile as tiles on a software adapter. */
const ROWS_ONLY: Record<string, Case> = {
  "two steps": { batch: 2, queryTime: 2, heads: 3, dim: 8 },
  "one key head, values wider than keys": {
    batch: 1,
    queryTime: 100,
    heads: 3,
    keyHeads: 1,
    dim: 8,
    valueDim: 60,
  },
  "head size 64": { batch: 1, queryTime: 257, heads: 1, dim: 64 },
  "head size 256": { batch: 1, queryTime: 33, heads: 2, keyHeads: 1, dim: 256 },
  // A vec4 more than an invocation holds four rows of: a driver takes long for many more.
  "head size 100": { batch: 1, queryTime: 65, heads: 1, dim: 100, valueDim: 32 },
  "a window of 1": { batch: 1, queryTime: 65, heads: 1, dim: 16, window: 1 },
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
  "1000 steps": { batch: 1, queryTime: 1000, heads: 1, dim: 16 },
};

async function assertEqualsReference(
  shape: AttentionReferenceOptions,
  algorithm: AttentionAlgorithm,
): Promise<void> {
  const gpu = await testGpu();
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

// A driver takes seconds for the pipelines of each head size.
const WIDE = Object.fromEntries(
  Object.entries(SHARED).filter(([, { dim }]) => dim === 16 || dim === 128),
);
for (
  const [algorithm, cases] of [
    ["rows", { ...SHARED, ...ROWS_ONLY }],
    ["tiles", SHARED],
    ["wide", WIDE],
  ] as const
) {
  for (const [name, shape] of Object.entries(cases)) {
    // SwiftShader compiles rows of large heads for half a minute, and wide tiles for ten seconds.
    const register = algorithm === "wide" || algorithm === "rows" && shape.dim > 16
      ? Deno.test
      : testKernel;
    register(
      `flashAttention() and its gradients by ${algorithm} equal the reference: ${name}`,
      () => assertEqualsReference(withDefaults(shape), algorithm),
    );
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
  testKernel(`flashAttentionStep() equals the reference: ${name}`, async () => {
    for (const [tiling, gpu] of await testTilings()) {
      const shape = withDefaults(given);
      const { query: [q, query], key: [k, key], value: [v, value] } = inputs(gpu, shape);
      const { output } = flashAttentionStep(gpu, { query, key, value }, optionsOf(gpu, shape));
      const expected = attentionReference({ query: q, key: k, value: v }, shape);
      assertClose(await output.read(), expected.output, 1e-5, `output ${tiling}`);
    }
  });
}

const GOLDEN = new URL("../../golden/attention.safetensors", import.meta.url);
const golden = readSafetensors(Deno.readFileSync(GOLDEN), GOLDEN.pathname);

for (const [name, text] of Object.entries(golden.metadata)) {
  if (name === "format") continue;
  testKernel(`flashAttention() and its gradients equal PyTorch's: ${name}`, async () => {
    const gpu = await testGpu();
    const stored = (field: string): { shape: readonly number[]; data: Float32Array } => {
      const found = golden.tensors.get(`${name}.${field}`);
      if (!found) throw new Error(`${name}.${field} is not in ${GOLDEN}`);
      return found;
    };
    const tensor = (field: string): Tensor => gpu.tensor(stored(field).shape, stored(field).data);
    const [query, key, value, outputGradient] = ["query", "key", "value", "outputGradient"].map(
      tensor,
    );
    const { alibiSlopes, ...options } = JSON.parse(text);
    const given: AttentionOptions = {
      ...options,
      alibiSlopes: alibiSlopes && gpu.tensor([alibiSlopes.length], alibiSlopes),
    };
    const { output, logSumExp } = flashAttention(gpu, { query, key, value }, given);
    const gradients = flashAttentionBackward(
      gpu,
      { query, key, value, output, logSumExp, outputGradient },
      given,
    );
    const actual = { output, ...gradients };
    const values = await gpu.read(Object.values(actual));
    Object.keys(actual).forEach((field, i) =>
      assertClose(values[i], stored(field).data, field === "output" ? 1e-4 : 1e-3, field)
    );
  });
}
