import { isSegmentation } from "../common/segments.ts";
import {
  anything,
  checkOption,
  checkOptions,
  checkRank,
  checkTensor,
  finite,
  flag,
  FLOATS,
  type Gpu,
  integer,
  integers,
  oneOf,
  positive,
  positiveInteger,
  type Tensor,
} from "../gpu/mod.ts";
import { ALGORITHMS, type AttentionAlgorithm, type AttentionProblem } from "./tiling.ts";

/** The sequences that attention mixes: all stored as f32, or all as f16. */
export interface AttentionInputs {
  /** `[batch, queryTime, heads, dim]`. */
  readonly query: Tensor;
  /** `[batch, keyTime, keyHeads, dim]`; `keyHeads` divides `heads`, and query head `h` reads key head `⌊h · keyHeads / heads⌋`. */
  readonly key: Tensor;
  /** `[batch, keyTime, keyHeads, valueDim]`. */
  readonly value: Tensor;
}

/** Which keys a query sees, and how their products become logits. */
export interface AttentionOptions {
  /**
   * Whether a query sees no key of a later position.
   *
   * @default {true}
   */
  readonly causal?: boolean;
  /** A causal window: the query at position p sees the keys p − window + 1 … p; left out, all before. */
  readonly window?: number;
  /**
   * With a window: the first `sinks` keys (of each segment) are seen too (Xiao et al. 2023).
   *
   * @default {0}
   */
  readonly sinks?: number;
  /** What a query's product with a key is multiplied by; left out, 1/√dim. */
  readonly scale?: number;
  /** ALiBi (Press et al. 2022): `slope · |p − k|` is taken off the logit of query p and key k: `[heads]`. */
  readonly alibiSlopes?: Tensor;
  /** A scaled product s becomes `softCap · tanh(s / softCap)`; left out, it stays as it is. */
  readonly softCap?: number;
  /**
   * Boundaries of sequences packed one after another in a batch of 1, from 0 to the time, such as
   * `[0, 100, 257]`; no query sees a key of another segment. A segment may be empty.
   */
  readonly segments?: readonly number[];
  /**
   * The position of the first query; the first key's is 0. Where keys are those of a cache followed by
   * the queries' own, it is the cache's length, and so it is where it is left out: `keyLength −
   * queryTime`. A query at a negative position sees nothing when causal.
   */
  readonly queryOffset?: number;
  /** How many rows of the key tensor hold keys, the rest being spare; left out, all. */
  readonly keyLength?: number;
  /** How it is computed; left out, the better way for the adapter. */
  readonly algorithm?: AttentionAlgorithm;
}

/** Shapes and options, checked, with every default filled in. */
export interface AttentionPlan {
  readonly batch: number;
  readonly queryTime: number;
  readonly heads: number;
  readonly dim: number;
  readonly keyTime: number;
  readonly keyHeads: number;
  readonly valueDim: number;
  /** The fields of the shaders' `Shape`, but for the walk. */
  readonly uniform: Readonly<Record<string, number | boolean>>;
  /** Whether there is a soft cap. */
  readonly capped: boolean;
  readonly alibiSlopes: Tensor | undefined;
  readonly segments: readonly number[] | undefined;
  /** How many keys the last query sees. */
  readonly seen: number;
  /** How many keys any query sees at most. */
  readonly mostKeys: number;
  /** How many queries of a head see any key at most. */
  readonly mostQueries: number;
  /** How many keys hold something. */
  readonly keyLength: number;
}

/** A call as the family's table takes it, with rows stored so. */
export function problemOf(plan: AttentionPlan, dtype: string): AttentionProblem {
  const { batch, queryTime, heads, dim, keyTime, keyHeads, valueDim, uniform } = plan;
  const extents = { batch, queryTime, heads, dim, keyTime, keyHeads, valueDim };
  const { causal, window } = uniform;
  return { ...extents, causal: Boolean(causal), window: Number(window), dtype };
}

/** A window as wide as any sequence, whose sum with a position fits 32 bits. */
const NO_WINDOW = 2 ** 30;

const RULES = {
  causal: flag,
  window: positiveInteger,
  sinks: integer(0, NO_WINDOW),
  scale: finite,
  alibiSlopes: anything,
  softCap: positive,
  segments: integers(),
  queryOffset: integer(-NO_WINDOW, NO_WINDOW),
  keyLength: integer(0),
  algorithm: oneOf(ALGORITHMS),
};

/**
 * Checks the inputs of an attention op.
 *
 * @param without Options that this op does not have.
 * @throws {RangeError} where a shape or an option does not fit.
 */
export function planAttention(
  op: string,
  { query, key, value }: AttentionInputs,
  options: AttentionOptions,
  without: readonly (keyof AttentionOptions)[] = [],
): AttentionPlan {
  checkOptions(op, options, RULES, without);
  checkRank(op, "query", query, ["batch", "queryTime", "heads", "dim"]);
  checkRank(op, "key", key, ["batch", "keyTime", "keyHeads", "dim"]);
  checkRank(op, "value", value, ["batch", "keyTime", "keyHeads", "valueDim"]);
  const [batch, queryTime, heads, dim] = query.shape;
  const [, keyTime, keyHeads] = key.shape;
  const valueDim = value.shape[3];
  checkTensor(op, "query", query, [batch, queryTime, heads, dim], FLOATS);
  checkTensor(op, "key", key, [batch, keyTime, keyHeads, dim], query.dtype);
  checkTensor(op, "value", value, [batch, keyTime, keyHeads, valueDim], query.dtype);
  if (heads % keyHeads !== 0) {
    throw new RangeError(
      `Cannot run ${op}() as the number of key heads must divide that of query heads, ${heads}: current number is ${keyHeads}`,
    );
  }
  for (const [name, extent] of [["dim", dim], ["valueDim", valueDim]] as const) {
    if (extent < 1 || extent > 256) {
      throw new RangeError(
        `Cannot run ${op}() as ${name} must be from 1 to 256: current ${name} is ${extent}`,
      );
    }
  }
  const {
    causal = true,
    window,
    sinks = 0,
    scale = 1 / Math.sqrt(dim),
    alibiSlopes,
    softCap,
    segments,
    keyLength = keyTime,
  } = options;
  const { queryOffset = keyLength - queryTime } = options;
  checkOption(op, "keyLength", keyLength, integer(0, keyTime));
  checkOption(op, "queryOffset", queryOffset, RULES.queryOffset);
  if (window !== undefined && !causal) {
    throw new RangeError(`Cannot run ${op}() as a window is causal: leave out causal: false`);
  }
  if (alibiSlopes) checkTensor(op, "alibiSlopes", alibiSlopes, [heads]);
  if (segments) checkSegments(op, segments, { batch, queryTime, keyLength, queryOffset });
  const width = Math.min(window ?? NO_WINDOW, NO_WINDOW);
  const high = causal ? Math.min(keyLength, queryOffset + queryTime) : keyLength;
  const low = Math.max(0, queryOffset + queryTime - width);
  return {
    batch,
    queryTime,
    heads,
    dim,
    keyTime,
    keyHeads,
    valueDim,
    uniform: {
      batch,
      queryTime,
      keyTime,
      keyLength,
      heads,
      keyHeads,
      queryOffset,
      causal,
      window: width,
      sinks,
      scale,
      softCap: softCap ?? 0,
    },
    capped: softCap !== undefined,
    alibiSlopes,
    segments,
    seen: Math.max(0, high - low) + Math.max(0, Math.min(sinks, low, high)),
    mostKeys: Math.min(keyLength, width + sinks),
    mostQueries: sinks > 0 ? queryTime : Math.min(queryTime, width),
    keyLength,
  };
}

/** The first position of each query's segment and the one past its last: `[queryTime, 2]`. */
export function segmentBounds(gpu: Gpu, segments: readonly number[]): Tensor<"u32"> {
  const time = segments[segments.length - 1];
  const bounds = new Uint32Array(time * 2);
  for (let i = 1; i < segments.length; i++) {
    for (let t = segments[i - 1]; t < segments[i]; t++) {
      bounds[t * 2] = segments[i - 1];
      bounds[t * 2 + 1] = segments[i];
    }
  }
  return gpu.tensor([time, 2], bounds, "u32");
}

function checkSegments(
  op: string,
  segments: readonly number[],
  { batch, queryTime, keyLength, queryOffset }: {
    batch: number;
    queryTime: number;
    keyLength: number;
    queryOffset: number;
  },
): void {
  if (batch !== 1 || keyLength !== queryTime || queryOffset !== 0) {
    throw new RangeError(
      `Cannot run ${op}() as segments take a batch of 1 whose queries and keys have the same positions: current batch is ${batch}, with ${queryTime} queries from position ${queryOffset} and ${keyLength} keys`,
    );
  }
  if (!isSegmentation(segments, queryTime)) {
    throw new RangeError(
      `Cannot run ${op}() as segments must ascend from 0 to ${queryTime}: current segments are [${
        segments.length > 10 ? `${segments.slice(0, 10)},...` : segments
      }]`,
    );
  }
}
