import {
  type AttentionAlgorithm,
  type AttentionOptions,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
  type Gpu,
} from "../../../kernels/mod.ts";
import {
  attentionBackwardReference,
  attentionReference,
  type AttentionReferenceOptions,
} from "../../../kernels/attention/reference.ts";
import type { Draws } from "../draws.ts";
import { type Bounds, compare, count, type KernelCase, upload } from "./compare.ts";

/** Head sizes, few enough that a software adapter need not compile a shader a case. */
const DIMS = [4, 6, 8, 8, 16, 16];

function shape(draws: Draws, queryTime: number): AttentionReferenceOptions {
  const keyHeads = draws.option("keyHeads", [1, 1, 2]);
  const dim = draws.option("dim", DIMS);
  const segments = queryTime === 1 ? undefined : draws.segments(queryTime);
  const keyTime = segments ? queryTime : queryTime + draws.option("cache", [0, 0, 1, 40, 70]);
  const heads = keyHeads * draws.option("queries of a key head", [1, 1, 2, 3]);
  const causal = draws.option("causal", [true, true, false]) || queryTime === 1;
  const window = causal ? draws.option("window", [undefined, undefined, 1, 9, 64]) : undefined;
  return {
    batch: segments ? 1 : draws.size("batch", 2),
    queryTime,
    keyTime,
    heads,
    keyHeads,
    dim,
    valueDim: draws.option("valueDim", [dim, dim, 8, 5]),
    causal,
    window,
    sinks: window === undefined ? undefined : draws.option("sinks", [undefined, 1, 4]),
    scale: draws.option("scale", [undefined, undefined, 0.7]),
    softCap: draws.option("softCap", [undefined, undefined, 2, 30]),
    alibiSlopes: draws.option("alibi", [false, false, true])
      ? draws.uniforms(heads, 0, 0.5)
      : undefined,
    segments,
    queryOffset: !segments && queryTime > 1 && draws.chance(0.15)
      ? draws.note("queryOffset", draws.integer(0, keyTime + 20))
      : undefined,
    keyLength: !segments && draws.chance(0.2) && keyTime > 2
      ? draws.note("keyLength", draws.integer(1, keyTime))
      : undefined,
  };
}

interface Arrays {
  readonly query: Float32Array;
  readonly key: Float32Array;
  readonly value: Float32Array;
}

function arrays(draws: Draws, s: AttentionReferenceOptions): [Arrays, Bounds["spread"]] {
  const { batch, queryTime, keyTime, heads, keyHeads, dim, valueDim } = s;
  const magnitude = draws.option("logits of about", [1, 1, 1, 30, 300, 1000]);
  const query = draws.normals(batch * queryTime * heads * dim, magnitude);
  const drawn = {
    query,
    key: draws.normals(batch * keyTime * keyHeads * dim),
    value: draws.normals(batch * keyTime * keyHeads * valueDim),
  };
  return [drawn, draws.poison({ ...drawn }, { extents: batch })];
}

function optionsOf(
  gpu: Gpu,
  scope: DisposableStack,
  s: AttentionReferenceOptions,
): AttentionOptions {
  const {
    causal,
    window,
    sinks,
    scale,
    softCap,
    segments,
    queryOffset,
    keyLength,
    alibiSlopes,
    heads,
  } = s;
  const given = { causal, window, sinks, scale, softCap, segments, queryOffset, keyLength };
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(alibiSlopes ? { alibiSlopes: scope.use(gpu.tensor([heads], alibiSlopes)) } : {}),
  };
}

function shapesOf(s: AttentionReferenceOptions): Record<string, number[]> {
  const { batch, queryTime, keyTime, heads, keyHeads, dim, valueDim } = s;
  return {
    query: [batch, queryTime, heads, dim],
    key: [batch, keyTime, keyHeads, dim],
    value: [batch, keyTime, keyHeads, valueDim],
    outputGradient: [batch, queryTime, heads, valueDim],
  };
}

/** The largest logit, in whose last digits f32 errs: what an error of a probability is relative to. */
function precision(s: AttentionReferenceOptions, { query, key }: Arrays): number {
  const scale = s.scale ?? s.dim ** -0.5;
  const largest = (x: Float32Array): number =>
    x.reduce((most, value) => Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most, 0);
  return 2 ** -23 * scale * s.dim * largest(query) * largest(key);
}

const whole = (algorithm: AttentionAlgorithm): KernelCase => async (gpu, draws) => {
  const s = shape(draws, draws.size("queryTime", 130));
  const [drawn, spread] = arrays(draws, s);
  const shapes = shapesOf(s);
  using scope = new DisposableStack();
  const options = { ...optionsOf(gpu, scope, s), algorithm };
  const inputs = upload(gpu, scope, shapes, { ...drawn });
  const { output, logSumExp } = flashAttention(gpu, inputs, options);
  scope.use(output);
  scope.use(logSumExp);
  const gradient = draws.normals(count(shapes.outputGradient));
  const { outputGradient } = upload(gpu, scope, shapes, { outputGradient: gradient });
  const gradients = flashAttentionBackward(
    gpu,
    { ...inputs, output, logSumExp, outputGradient },
    options,
  );
  const digits = precision(s, drawn);
  const bounds = { value: 1e-4 + digits, gradient: 1e-3 + 10 * digits, floor: 1e-2, spread };
  const aliases = {
    output: output.reshape(output.shape),
    logSumExp: logSumExp.reshape(logSumExp.shape),
  };
  await compare(gpu, aliases, attentionReference(drawn, s), bounds);
  const wanted = attentionBackwardReference({ ...drawn, outputGradient: gradient }, s);
  await compare(gpu, { ...gradients }, wanted, bounds);
};

/** Attention in each of its algorithms, and one token against a cache. */
export const ATTENTION: Readonly<Record<string, KernelCase>> = {
  flash_attention_rows: whole("rows"),
  flash_attention_tiles: whole("tiles"),
  async flash_attention_step(gpu, draws): Promise<void> {
    const s = shape(draws, 1);
    const [drawn, spread] = arrays(draws, s);
    using scope = new DisposableStack();
    const inputs = upload(gpu, scope, shapesOf(s), { ...drawn });
    const { output } = flashAttentionStep(gpu, inputs, optionsOf(gpu, scope, s));
    const bounds = { value: 1e-4 + precision(s, drawn), spread };
    await compare(gpu, { output }, attentionReference(drawn, s), bounds);
  },
  flash_attention_wide: whole("wide"),
};
