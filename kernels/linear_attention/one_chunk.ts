import { sumAxis } from "../common/sum_axis.ts";
import type { Tensor } from "../gpu/mod.ts";
import { headScores, queryKeyProducts } from "./by_head.ts";
import { chunkOutputs, emptyScores, gradientValueScores, inputGradient, rowsOf } from "./passes.ts";
import { type Problem, workgroupsFor } from "./problem.ts";
import { LINEAR_ATTENTION } from "./shaders.ts";
import { BLOCK, type Slab } from "./slabs.ts";

const HEAD_DECAY_GRADIENT = LINEAR_ATTENTION.kernel("head_decay_gradient");

/**
 * Whether each sequence is one chunk, and no key has a decay of its own. With no state before or after it,
 * only scores are left then, as in attention, and heads of a group share the products of their queries and
 * keys.
 */
export function isOneChunk({ gpu, bounds, blocks, perKey, bonus }: Problem): boolean {
  return gpu.adapter.software && !perKey && bonus === undefined &&
    bounds.every((bound, s) => s === 0 || bound - bounds[s - 1] <= blocks * BLOCK);
}

/** Writes the outputs, `[rows, heads, valueDim]`. */
export function oneChunkOutputs(problem: Problem, output: Tensor): void {
  const { value, logDecay, slabs } = problem;
  for (const slab of slabs) {
    using products = queryKeyProducts(problem, slab, { transposed: false });
    using decayed = logDecay && emptyScores(problem, slab, false);
    if (decayed) headScores(problem, slab, { groupScores: products }, { scores: decayed }, false);
    const scores = decayed ?? products;
    chunkOutputs(problem, slab, { value, scores }, output, { reversed: false });
  }
}

/** The gradients that {@linkcode oneChunkGradients} writes. */
interface OneChunkGradients {
  /** `[rows, groups, keyDim]`, f32. */
  readonly query: Tensor;
  /** `[rows, groups, keyDim]`, f32. */
  readonly key: Tensor;
  /** `[rows, heads, valueDim]`. */
  readonly value: Tensor;
  /** `[rows, heads]`. */
  readonly logDecay: Tensor | undefined;
}

/** The gradients of {@linkcode oneChunkOutputs}. */
export function oneChunkGradients(problem: Problem, outputGradient: Tensor): OneChunkGradients {
  const { gpu, rows, heads, groups, keyVectors, valueVectors, logDecay } = problem;
  const perKey = [rows, groups, keyVectors * 4];
  const gradients = {
    query: gpu.empty(perKey),
    key: gpu.empty(perKey),
    value: gpu.empty([rows, heads, valueVectors * 4], problem.value.dtype),
    logDecay: logDecay && gpu.empty(logDecay.shape),
  };
  for (const slab of problem.slabs) slabGradients(problem, slab, outputGradient, gradients);
  return gradients;
}

function slabGradients(
  problem: Problem,
  slab: Slab,
  outputGradient: Tensor,
  gradients: OneChunkGradients,
): void {
  const { gpu, heads, groups, blocks } = problem;
  const { logDecay: logDecayGradient } = gradients;
  using products = queryKeyProducts(problem, slab, { transposed: true });
  using valueScores = gradientValueScores(problem, slab, outputGradient);
  using decayed = logDecayGradient && emptyScores(problem, slab, true);
  using decayedWeights = logDecayGradient && emptyScores(problem, slab, true);
  if (logDecayGradient && decayedWeights) {
    const given = { groupScores: products, valueScores };
    using carried = gpu.empty([slab.count, heads, blocks, blocks * BLOCK]);
    const onwards = { weights: decayedWeights, carried, logDecayGradient };
    headScores(problem, slab, given, onwards, false);
    headScores(problem, slab, given, { scores: decayed, weights: decayedWeights }, true);
    gpu.dispatch(HEAD_DECAY_GRADIENT, {
      uniform: { chunks: slab.count, heads, blocks },
      read: { chunks: slab.chunks, carried },
      write: { logDecayGradient },
      workgroups: workgroupsFor(slab.count * heads),
    });
  }
  const reading = { value: outputGradient, scores: decayed ?? products };
  chunkOutputs(problem, slab, reading, gradients.value, { reversed: true });

  const weights = decayedWeights ?? valueScores;
  using summed = heads === groups
    ? undefined
    : sumAxis(gpu, weights, [2 * slab.count * groups, heads / groups, (blocks * BLOCK) ** 2]);
  const perGroup = { ...problem, heads: groups };
  const [query, key] = [rowsOf(problem.query, groups), rowsOf(problem.key, groups)];
  const pass = { decays: undefined, scores: summed ?? weights };
  inputGradient(perGroup, slab, gradients.query, {
    ...pass,
    own: query,
    other: key,
    reversed: false,
  });
  inputGradient(perGroup, slab, gradients.key, { ...pass, own: key, other: query, reversed: true });
}
