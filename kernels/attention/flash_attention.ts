import {
  type AnyTensor,
  checkNames,
  checkTensor,
  type Gpu,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import {
  type AttentionInputs,
  type AttentionOptions,
  type AttentionPlan,
  planAttention,
  problemOf,
  segmentBounds,
} from "./options.ts";
import { cutVectors, emptyVectors, wholeVectors } from "./resize_rows.ts";
import { ATTENTION } from "./shaders.ts";
import {
  ATTENTION_PASSES,
  type AttentionAlgorithm,
  type AttentionValues,
  checkAlgorithm,
  longestWalk,
  tilingOf,
} from "./tiling.ts";

const KERNELS = {
  forward: {
    rows: ATTENTION.kernel("flash_forward_rows"),
    tiles: ATTENTION.kernel("flash_forward_tiles"),
    wide: ATTENTION.kernel("flash_forward_wide"),
  },
  query_gradient: {
    rows: ATTENTION.kernel("flash_query_gradient_rows"),
    tiles: ATTENTION.kernel("flash_query_gradient_tiles"),
    wide: ATTENTION.kernel("flash_query_gradient_wide"),
  },
  key_gradient: {
    rows: ATTENTION.kernel("flash_key_gradient_rows"),
    tiles: ATTENTION.kernel("flash_key_gradient_tiles"),
    wide: ATTENTION.kernel("flash_key_gradient_wide"),
  },
};
const ROW_TERMS = ATTENTION.kernel("flash_row_terms");
const ROW_TERMS_WORKGROUP_SIZE = 64;

/** Names of inputs; an op and its gradients may be handed the same, with what the op gave. */
const INPUTS = ["query", "key", "value", "output", "logSumExp", "outputGradient"];

/** What {@linkcode flashAttention} returns. */
export interface AttentionOutputs extends Disposable {
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
  checkNames("flashAttention", inputs, INPUTS);
  const plan = planAttention("flashAttention", inputs, options);
  checkAlgorithm("flashAttention", gpu, options.algorithm);
  using scope = new DisposableStack();
  const query = wholeVectors(gpu, scope, inputs.query);
  const key = wholeVectors(gpu, scope, inputs.key);
  const value = wholeVectors(gpu, scope, inputs.value);
  const segments = plan.segments && scope.use(segmentBounds(gpu, plan.segments));
  const { batch, queryTime, heads, valueDim, alibiSlopes } = plan;
  const y = emptyVectors(gpu, [batch, queryTime, heads, valueDim], query.dtype);
  const logSumExp = gpu.empty([batch, heads, queryTime]);
  walkDispatches(gpu, plan, {
    what: "forward",
    algorithm: options.algorithm,
    read: { query, key, value, alibiSlopes, segments },
    write: { y, logSumExp },
  });
  return results({ output: cutVectors(gpu, y, valueDim), logSumExp });
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
export interface AttentionGradients extends Disposable {
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
  checkNames("flashAttentionBackward", inputs, INPUTS);
  const op = "flashAttentionBackward";
  const plan = planAttention(op, inputs, options);
  checkAlgorithm(op, gpu, options.algorithm);
  const { batch, queryTime, heads, dim, keyTime, keyHeads, valueDim } = plan;
  const rows = [batch, queryTime, heads, valueDim];
  checkTensor(op, "output", inputs.output, rows, inputs.query.dtype);
  checkTensor(op, "logSumExp", inputs.logSumExp, [batch, heads, queryTime]);
  checkTensor(op, "outputGradient", inputs.outputGradient, rows, inputs.query.dtype);
  using scope = new DisposableStack();
  const query = wholeVectors(gpu, scope, inputs.query);
  const key = wholeVectors(gpu, scope, inputs.key);
  const value = wholeVectors(gpu, scope, inputs.value);
  const y = wholeVectors(gpu, scope, inputs.output);
  const yGradient = wholeVectors(gpu, scope, inputs.outputGradient);
  const segments = plan.segments && scope.use(segmentBounds(gpu, plan.segments));

  const terms = scope.use(gpu.empty([batch, heads, queryTime, TERMS]));
  gpu.dispatch(ROW_TERMS, {
    constants: {
      WORKGROUP_SIZE: ROW_TERMS_WORKGROUP_SIZE,
      VALUE: value.shape[3] / 4,
      Element: query.dtype,
    },
    uniform: { batch, queryTime, heads, keyLength: plan.keyLength },
    read: { y, yGradient, logSumExp: inputs.logSumExp, segments },
    write: { terms },
    workgroups: Math.ceil(batch * heads * queryTime / ROW_TERMS_WORKGROUP_SIZE),
  });

  const { alibiSlopes } = plan;
  const { algorithm } = options;
  const queryGradient = emptyVectors(gpu, [batch, queryTime, heads, dim], query.dtype);
  const normalizedTerms = scope.use(gpu.empty(terms.shape));
  walkDispatches(gpu, plan, {
    what: "query_gradient",
    algorithm,
    read: { query, key, value, alibiSlopes, yGradient, terms },
    write: { queryGradient, normalizedTerms },
  });
  const keyGradient = emptyVectors(gpu, [batch, keyTime, keyHeads, dim], query.dtype);
  const valueGradient = emptyVectors(gpu, [batch, keyTime, keyHeads, valueDim], query.dtype);
  walkDispatches(gpu, plan, {
    what: "key_gradient",
    algorithm,
    read: { query, key, value, alibiSlopes, yGradient, terms: normalizedTerms },
    write: { keyGradient, valueGradient },
  });
  return results({
    queryGradient: cutVectors(gpu, queryGradient, dim),
    keyGradient: cutVectors(gpu, keyGradient, dim),
    valueGradient: cutVectors(gpu, valueGradient, valueDim),
  });
}

/** Floats of the shaders' `Terms`. */
const TERMS = 5;

/** One of the three kernels, and its tensors. */
interface Work {
  readonly what: keyof typeof KERNELS;
  readonly algorithm: AttentionAlgorithm | undefined;
  readonly read: Readonly<Record<string, AnyTensor | undefined>>;
  readonly write: Readonly<Record<string, Tensor>>;
}

/**
 * Runs a kernel over all keys, or for the key gradient all queries: in one dispatch where what an
 * invocation sees of them is no longer than the longest walk; else walk by walk, each continuing
 * from the last.
 */
function walkDispatches(
  gpu: Gpu,
  plan: AttentionPlan,
  { what, algorithm: asked, read, write }: Work,
): void {
  const HEAD = Math.ceil(plan.dim / 4);
  const VALUE = Math.ceil(plan.valueDim / 4);
  const chosen = ATTENTION_PASSES[what].choose(gpu, problemOf(plan, read.query!.dtype));
  const isAsked = asked === undefined || asked === chosen.algorithm;
  const values: AttentionValues = isAsked ? chosen : { algorithm: asked };
  const { algorithm } = values;
  const ofKeys = what === "key_gradient";
  const time = ofKeys ? plan.keyTime : plan.queryTime;
  const tiling = tilingOf(what, values, { HEAD, VALUE, time });
  const { rows, constants } = tiling;
  const length = ofKeys ? plan.queryTime : plan.keyLength;
  const heads = ofKeys ? plan.heads / plan.keyHeads : 1;
  const walk = longestWalk(gpu, algorithm, { HEAD, VALUE, heads });
  const seen = (ofKeys ? plan.mostQueries : plan.mostKeys) + rows;
  const step = seen <= walk ? Math.max(1, length) : walk;
  const tiles = Math.ceil(time / rows) * (ofKeys ? plan.keyHeads : plan.heads) * plan.batch;
  for (let first = 0; first === 0 || first < length; first += step) {
    gpu.dispatch(KERNELS[what][algorithm], {
      constants: {
        ...constants,
        HEAD,
        VALUE,
        Element: read.query!.dtype,
        CAPPED: plan.capped,
        CONTINUES: first > 0,
        ...(ofKeys ? { PACKED: plan.segments !== undefined } : {}),
      },
      uniform: { ...plan.uniform, walkFirst: first, walkLast: Math.min(first + step, length) },
      read,
      write,
      workgroups: Math.ceil(tiles / tiling.tiles),
    });
  }
}
