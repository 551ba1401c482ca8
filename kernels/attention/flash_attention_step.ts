import { checkNames, checkTensor, type Gpu, results, type Tensor } from "../gpu/mod.ts";
import {
  type AttentionInputs,
  type AttentionOptions,
  planAttention,
  problemOf,
} from "./options.ts";
import { cutVectors, emptyVectors, wholeVectors } from "./resize_rows.ts";
import { ATTENTION } from "./shaders.ts";
import { stepTiling } from "./tiling.ts";

const STEP = ATTENTION.kernel("flash_step");
const COMBINE = ATTENTION.kernel("flash_step_combine");

/** Options of {@linkcode flashAttentionStep}. */
export type AttentionStepOptions = Omit<AttentionOptions, "segments" | "algorithm">;

/** What {@linkcode flashAttentionStep} takes. */
export interface AttentionStepInputs extends AttentionInputs {
  /**
   * The query's position, on the GPU, so that the step can be recorded: `[1]`, u32, in place of
   * `queryOffset` and `keyLength`, which is one more. Once the cache is full its rows behind the
   * `sinks` are a ring, as `rotaryAppend()` writes it: it has `window + sinks` rows, or is never full.
   */
  readonly position?: Tensor<"u32">;
}

/** What {@linkcode flashAttentionStep} returns. */
export interface AttentionStepOutputs extends Disposable {
  /** `[batch, 1, heads, valueDim]`, stored as `query` is. */
  readonly output: Tensor;
}

/**
 * Softmax attention of one query to a cache, split over the keys so that a single query fills the GPU
 * (Flash-Decoding, Dao et al. 2023). `keyLength` counts the keys in the cache, the query's own among
 * them, and the query's position is `keyLength − 1` where `queryOffset` is left out.
 *
 * Without a window or ALiBi the order of keys does not matter, so the cache of a window may be a ring:
 * pass it without `window`, with `keyLength` the number of rows that are filled.
 *
 * @throws {RangeError} where a shape or an option does not fit.
 */
export function flashAttentionStep(
  gpu: Gpu,
  inputs: AttentionStepInputs,
  options: AttentionStepOptions = {},
): AttentionStepOutputs {
  checkNames("flashAttentionStep", inputs, ["query", "key", "value", "position"]);
  const op = "flashAttentionStep";
  const { position } = inputs;
  const followed = position ? ["queryOffset", "keyLength"] as const : [];
  const plan = planAttention(op, inputs, options, ["segments", "algorithm", ...followed]);
  if (position) checkTensor(op, "position", position, [1], "u32");
  const { batch, queryTime, heads, valueDim } = plan;
  if (queryTime !== 1) {
    throw new RangeError(
      `Cannot run ${op}() as query must hold one time step: current number is ${queryTime}; flashAttention() takes several`,
    );
  }
  using scope = new DisposableStack();
  const query = wholeVectors(gpu, scope, inputs.query);
  const key = wholeVectors(gpu, scope, inputs.key);
  const value = wholeVectors(gpu, scope, inputs.value);
  const HEAD = query.shape[3] / 4;
  const VALUE = value.shape[3] / 4;
  const Element = query.dtype;
  const tiling = stepTiling(gpu, problemOf(plan, Element));
  const seen = position ? plan.mostKeys : plan.seen;
  const chunks = Math.max(1, Math.ceil(seen / tiling.CHUNK));
  const partial = scope.use(gpu.empty([batch, heads, chunks, VALUE * 4]));
  const weights = scope.use(gpu.empty([batch, heads, chunks, 2]));
  gpu.dispatch(STEP, {
    constants: { ...tiling, HEAD, VALUE, Element, CAPPED: plan.capped },
    uniform: { ...plan.uniform, walkFirst: 0, walkLast: plan.keyLength },
    read: { query, key, value, alibiSlopes: plan.alibiSlopes, position },
    write: { partial, weights },
    workgroups: heads * chunks * batch,
  });
  const output = emptyVectors(gpu, [batch, 1, heads, valueDim], query.dtype);
  const { WORKGROUP_SIZE } = tiling;
  gpu.dispatch(COMBINE, {
    constants: { WORKGROUP_SIZE, VALUE, Element },
    uniform: { rows: batch * heads, chunks, seen },
    read: { partial, weights },
    write: { y: output },
    workgroups: Math.ceil(batch * heads * VALUE / WORKGROUP_SIZE),
  });
  return results({ output: cutVectors(gpu, output, valueDim) });
}
