import {
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  finite,
  flag,
  type Gpu,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import type { LinearAttentionOutputs } from "./linear_attention.ts";
import { checkInputs, ROWS, workgroupsFor } from "./problem.ts";
import { LINEAR_ATTENTION } from "./shaders.ts";

const LINEAR_ATTENTION_STEP = LINEAR_ATTENTION.kernel("linear_attention_step");

/** What {@linkcode linearAttentionStep} takes: one token; query, key and value all stored as f32 or all as f16. */
export interface LinearAttentionStepInputs {
  /** `[batch, 1, groups, keyDim]`; `heads / groups` heads share a group. */
  readonly query: Tensor;
  /** `[batch, 1, groups, keyDim]`. */
  readonly key: Tensor;
  /** `[batch, 1, heads, valueDim]`. */
  readonly value: Tensor;
  /** g ≤ 0: `[batch, 1, heads]` or `[batch, 1, heads, keyDim]`. */
  readonly logDecay?: Tensor;
  /** u of RWKV-6: `[heads, keyDim]`. */
  readonly bonus?: Tensor;
  /** After the tokens so far: `[batch, heads, keyDim, valueDim]`; it is left as it is. */
  readonly state: Tensor;
}

/** Options of {@linkcode linearAttentionStep}. */
export interface LinearAttentionStepOptions {
  /** Multiplies the query. @default 1/√keyDim */
  readonly scale?: number;
  /** Whether the state is overwritten: `finalState` is its memory then. @default false */
  readonly inPlace?: boolean;
}

/**
 * One token of {@linkcode linearAttention}: state in, state out.
 *
 * @throws {RangeError} where a shape does not fit, saying which was expected.
 */
export function linearAttentionStep(
  gpu: Gpu,
  inputs: LinearAttentionStepInputs,
  options: LinearAttentionStepOptions = {},
): LinearAttentionOutputs {
  checkNames("linearAttentionStep", inputs, [...ROWS, "state"]);
  const op = "linearAttentionStep";
  checkOptions(op, options, { scale: finite, inPlace: flag });
  const { query, key, value, logDecay, bonus, state } = inputs;
  const { batch, time, groups, heads, keyDim, valueDim, decay } = checkInputs(op, inputs);
  if (time !== 1) {
    throw new RangeError(
      `Cannot run ${op}() as it takes one token: current shape of query is [${query.shape}]`,
    );
  }
  checkRank(op, "state", state, ["batch", "heads", "keyDim", "valueDim"]);
  checkTensor(op, "state", state, [batch, heads, keyDim, valueDim]);
  const output = gpu.empty(value.shape, value.dtype);
  const { inPlace = false } = options;
  const finalState = inPlace ? state.reshape(state.shape) : gpu.empty(state.shape);
  gpu.dispatch(LINEAR_ATTENTION_STEP, {
    constants: { Element: query.dtype, PER_KEY: decay === "key" },
    uniform: {
      batch,
      heads,
      groups,
      keys: keyDim,
      values: valueDim,
      scale: options.scale ?? 1 / Math.sqrt(Math.max(1, keyDim)),
    },
    read: { query, key, value, logDecay, bonus, state: inPlace ? undefined : state },
    write: { output, finalState },
    workgroups: workgroupsFor(batch * heads * valueDim),
  });
  return results({ output, finalState });
}
