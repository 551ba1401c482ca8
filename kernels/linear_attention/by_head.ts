import type { Tensor } from "../gpu/mod.ts";
import { type Decayed, dispatchScores, emptyScores, rowsOf } from "./passes.ts";
import { type Problem, workgroupsFor } from "./problem.ts";
import { LINEAR_ATTENTION } from "./shaders.ts";
import { BLOCK, type Slab } from "./slabs.ts";

const HEAD_SCORES = LINEAR_ATTENTION.kernel("head_scores");
const HEAD_SPANS = LINEAR_ATTENTION.kernel("head_spans");

/**
 * Whether all keys of a head decay alike. A decay is one number per pair of tokens then, and heads of a group
 * share the products of their queries and keys.
 */
export function decaysByHead({ logDecay, perKey, bonus }: Problem): boolean {
  return logDecay !== undefined && !perKey && bonus === undefined;
}

/** Queries and keys as they are, and what is left of heads from the chunks' starts and to their ends. */
export function spanHeads(
  { gpu, query, key, logDecay, groups, heads, blocks }: Problem,
  slab: Slab,
): Decayed {
  const shape = [slab.count, heads, blocks * BLOCK];
  const spans = { fromStart: gpu.empty(shape), toEnd: gpu.empty(shape) };
  gpu.dispatch(HEAD_SPANS, {
    uniform: { chunks: slab.count, heads, blocks },
    read: { chunks: slab.chunks, logDecay },
    write: spans,
    workgroups: workgroupsFor(slab.count * heads),
  });
  return {
    query: rowsOf(query, groups),
    key: rowsOf(key, groups),
    ...spans,
    [Symbol.dispose](): void {
      for (const span of Object.values(spans)) span[Symbol.dispose]();
    },
  };
}

/** `scale * decay_ij * query_i · key_j` in each chunk: `[1, chunks, heads, chunkSize, chunkSize]`. */
export function decayedScores(problem: Problem, slab: Slab): Tensor {
  using groupScores = queryKeyProducts(problem, slab, { transposed: false });
  const scores = emptyScores(problem, slab, false);
  headScores(problem, slab, { groupScores }, { scores }, false);
  return scores;
}

/** `query_i · key_j` of each group, or where nothing decays `scale` times that of each head. */
export function queryKeyProducts(
  problem: Problem,
  slab: Slab,
  options: { transposed: boolean },
): Tensor {
  const { groups, keyVectors, logDecay } = problem;
  const shared = logDecay ? { ...problem, heads: groups, scale: 1 } : problem;
  const products = emptyScores(shared, slab, options.transposed);
  const [query, key] = [rowsOf(problem.query, groups), rowsOf(problem.key, groups)];
  const plain = { decays: undefined, diagonal: true, ...options };
  dispatchScores(shared, slab, products, query, key, keyVectors, plain);
  return products;
}

/** Decays scores of groups, or of values, for each head. */
export function headScores(
  problem: Problem,
  slab: Slab,
  given: { groupScores: Tensor; valueScores?: Tensor },
  write: Partial<Record<"scores" | "weights" | "carried" | "logDecayGradient", Tensor>>,
  transposed: boolean,
): void {
  const { gpu, heads, groups, blocks, logDecay, scale } = problem;
  gpu.dispatch(HEAD_SCORES, {
    uniform: { chunks: slab.count, heads, groups, blocks, transposed, scale },
    read: { chunks: slab.chunks, logDecay, ...given },
    write,
    workgroups: workgroupsFor(slab.count * blocks * heads),
  });
}
