import { checkTensor, type Dispatch, type Gpu, type Kernel, type Tensor } from "../gpu/mod.ts";
import { flashKernel, rowTermsKernel } from "./flash_kernels.ts";
import {
  type AttentionInputs,
  type AttentionOptions,
  type AttentionPlan,
  planAttention,
  segmentBounds,
} from "./options.ts";
import { cutVectors, emptyVectors, wholeVectors } from "./resize_rows.ts";
import { defaultAlgorithm, longestWalk } from "./tiling.ts";

/** What {@linkcode flashAttention} returns. */
export interface AttentionOutputs {
  /** `[batch, queryTime, heads, valueDim]`, stored as `query` is. */
  readonly output: Tensor;
  /** Log of the sum of the exponentials of each query's logits, for the backward pass: `[batch, heads, queryTime]`, f32. */
  readonly logSumExp: Tensor;
}

/**
 * Softmax attention without a matrix of queries by keys (FlashAttention-2, Dao 2023): the output of a
 * query is the mean of the values it sees, weighted by `softmax(scale · query · key)`. Time grows
 * with the keys seen: a window costs its width, not the length. A query that sees no key gets 0, and
 * −1e30 as its log-sum-exp. Query, key and value may be stored as f16, all three; arithmetic is in f32.
 *
 * ```ts
 * import { flashAttention, openGpu } from "@lengthwise/lengthwise/kernels";
 *
 * await using gpu = await openGpu();
 * using query = gpu.tensor([1, 128, 4, 64]);
 * using key = gpu.tensor([1, 128, 2, 64]);
 * using value = gpu.tensor([1, 128, 2, 64]);
 * const { output, logSumExp } = flashAttention(gpu, { query, key, value }, { window: 32 });
 * ```
 *
 * @throws {RangeError} where a shape or an option does not fit.
 */
export function flashAttention(
  gpu: Gpu,
  inputs: AttentionInputs,
  options: AttentionOptions = {},
): AttentionOutputs {
  const plan = planAttention("flashAttention", inputs, options);
  using scope = new DisposableStack();
  const query = wholeVectors(gpu, scope, inputs.query);
  const key = wholeVectors(gpu, scope, inputs.key);
  const value = wholeVectors(gpu, scope, inputs.value);
  const segments = plan.segments ? scope.use(segmentBounds(gpu, plan.segments)) : query;
  const output = emptyVectors(
    gpu,
    [plan.batch, plan.queryTime, plan.heads, plan.valueDim],
    query.dtype,
  );
  const logSumExp = gpu.empty([plan.batch, plan.heads, plan.queryTime]);
  const HEAD = query.shape[3] / 4;
  const VALUE = value.shape[3] / 4;
  const { algorithm = defaultAlgorithm(gpu) } = options;
  const { kernel, constants, rows } = flashKernel("forward", algorithm, HEAD, VALUE, query.dtype);
  const walk = longestWalk(gpu, algorithm, { HEAD, VALUE, heads: 1 });
  walkDispatches(gpu, plan, kernel, { length: plan.keyLength, seen: plan.mostKeys + rows, walk }, {
    constants: { ...plan.constants, ...constants, SCALE: plan.scale },
    read: { query, key, value, alibiSlopes: plan.alibiSlopes ?? query, segments },
    write: { output, logSumExp },
    workgroups: [Math.ceil(plan.queryTime / rows), plan.heads, plan.batch],
  });
  return { output: cutVectors(gpu, output, plan.valueDim), logSumExp };
}

/** What {@linkcode flashAttentionBackward} takes. */
export interface AttentionBackwardInputs extends AttentionInputs {
  /** From the forward pass: `[batch, queryTime, heads, valueDim]`. */
  readonly output: Tensor;
  /** From the forward pass: `[batch, heads, queryTime]`. */
  readonly logSumExp: Tensor;
  /** `[batch, queryTime, heads, valueDim]`. */
  readonly outputGradient: Tensor;
}

/** What {@linkcode flashAttentionBackward} returns, stored as `query` is. */
export interface AttentionGradients {
  /** `[batch, queryTime, heads, dim]`. */
  readonly queryGradient: Tensor;
  /** `[batch, keyTime, keyHeads, dim]`; 0 for keys that no query sees. */
  readonly keyGradient: Tensor;
  /** `[batch, keyTime, keyHeads, valueDim]`; 0 for values that no query sees. */
  readonly valueGradient: Tensor;
}

/**
 * The gradients of {@linkcode flashAttention}, called with the same options. The probabilities are made
 * again from `logSumExp`, once for the query gradient and once for those of keys and values, so that
 * each is summed by one invocation in one order.
 *
 * @throws {RangeError} where a shape or an option does not fit.
 */
export function flashAttentionBackward(
  gpu: Gpu,
  inputs: AttentionBackwardInputs,
  options: AttentionOptions = {},
): AttentionGradients {
  const op = "flashAttentionBackward";
  const plan = planAttention(op, inputs, options);
  const { batch, queryTime, heads, dim, keyTime, keyHeads, valueDim } = plan;
  const rows = [batch, queryTime, heads, valueDim];
  checkTensor(op, "output", inputs.output, rows, inputs.query.dtype);
  checkTensor(op, "logSumExp", inputs.logSumExp, [batch, heads, queryTime]);
  checkTensor(op, "outputGradient", inputs.outputGradient, rows, inputs.query.dtype);
  using scope = new DisposableStack();
  const query = wholeVectors(gpu, scope, inputs.query);
  const key = wholeVectors(gpu, scope, inputs.key);
  const value = wholeVectors(gpu, scope, inputs.value);
  const output = wholeVectors(gpu, scope, inputs.output);
  const outputGradient = wholeVectors(gpu, scope, inputs.outputGradient);
  const segments = plan.segments ? scope.use(segmentBounds(gpu, plan.segments)) : query;
  const alibiSlopes = plan.alibiSlopes ?? query;
  const HEAD = query.shape[3] / 4;
  const VALUE = value.shape[3] / 4;

  const terms = scope.use(gpu.empty([batch, heads, queryTime, 4], "u32"));
  gpu.dispatch(rowTermsKernel(VALUE, query.dtype), {
    constants: { HAS_SEGMENTS: plan.constants.HAS_SEGMENTS, LANES: 64 },
    uniform: [...plan.uniform, 0, 0],
    read: { output, outputGradient, logSumExp: inputs.logSumExp, segments },
    write: { terms },
    workgroups: Math.ceil(batch * heads * queryTime / 64),
  });

  const { algorithm = defaultAlgorithm(gpu) } = options;
  const constants = { ...plan.constants, SCALE: plan.scale };
  const read = { query, key, value, outputGradient, terms, alibiSlopes };
  const queryGradient = emptyVectors(gpu, [batch, queryTime, heads, dim], query.dtype);
  const forQuery = flashKernel("query_gradient", algorithm, HEAD, VALUE, query.dtype);
  const keys = {
    length: plan.keyLength,
    seen: plan.mostKeys + forQuery.rows,
    walk: longestWalk(gpu, algorithm, { HEAD, VALUE, heads: 1 }),
  };
  walkDispatches(gpu, plan, forQuery.kernel, keys, {
    constants: { ...constants, ...forQuery.constants },
    read,
    write: { queryGradient },
    workgroups: [Math.ceil(queryTime / forQuery.rows), heads, batch],
  });
  const keyGradient = emptyVectors(gpu, [batch, keyTime, keyHeads, dim], query.dtype);
  const valueGradient = emptyVectors(gpu, [batch, keyTime, keyHeads, valueDim], query.dtype);
  const forKey = flashKernel("key_gradient", algorithm, HEAD, VALUE, query.dtype);
  const queries = {
    length: queryTime,
    seen: plan.mostQueries + forKey.rows,
    walk: longestWalk(gpu, algorithm, { HEAD, VALUE, heads: heads / keyHeads }),
  };
  walkDispatches(gpu, plan, forKey.kernel, queries, {
    constants: { ...constants, ...forKey.constants },
    read,
    write: { keyGradient, valueGradient },
    workgroups: [Math.ceil(keyTime / forKey.rows), keyHeads, batch],
  });
  return {
    queryGradient: cutVectors(gpu, queryGradient, dim),
    keyGradient: cutVectors(gpu, keyGradient, dim),
    valueGradient: cutVectors(gpu, valueGradient, valueDim),
  };
}

/**
 * Runs a kernel over all `length` keys, or queries: in one dispatch where what an invocation sees of
 * them, at most `seen`, is no longer than a `walk`; else walk by walk, each going on from the last.
 */
function walkDispatches(
  gpu: Gpu,
  plan: AttentionPlan,
  kernel: Kernel,
  { length, seen, walk }: { length: number; seen: number; walk: number },
  dispatch: Omit<Dispatch, "uniform">,
): void {
  const step = seen <= walk ? Math.max(1, length) : walk;
  for (let first = 0; first === 0 || first < length; first += step) {
    gpu.dispatch(kernel, {
      ...dispatch,
      constants: { ...dispatch.constants, CONTINUES: first > 0 },
      uniform: [...plan.uniform, first, Math.min(first + step, length)],
    });
  }
}
