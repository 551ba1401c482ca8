import {
  anything,
  checkRank,
  checkTensor,
  flag,
  type Gpu,
  notNegative,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import type { Inputs } from "./chunked.ts";
import { type DeltaRuleOptions, type Plan, planChunks } from "./plan.ts";
import {
  type DeltaRuleOutputs,
  type DeltaRuleStepOptions,
  type Rule,
  runBackward,
  runChunked,
  runStep,
  runTokenByToken,
} from "./rule.ts";

export type { DeltaRuleOptions, DeltaRuleOutputs, DeltaRuleStepOptions };

/** Names of inputs that have a row per token. */
const TOKENS = ["query", "key", "value", "beta", "logDecay"];

/** What {@linkcode deltaRule} takes. */
export interface DeltaRuleInputs {
  /** `[batch, time, keyHeads, keyDim]`; keyHeads divides heads, and heads in a row share a key head. */
  readonly query: Tensor;
  /** `[batch, time, keyHeads, keyDim]`; models normalize it to length 1 beforehand. */
  readonly key: Tensor;
  /** `[batch, time, heads, valueDim]`. */
  readonly value: Tensor;
  /** Strength of each write, in [0, 2]: `[batch, time, heads]`. */
  readonly beta: Tensor;
  /**
   * Log of the decay, per head `[batch, time, heads]` or per key channel `[batch, time, heads, keyDim]`:
   * at most 0, −Infinity included, which forgets all. Where it is positive the state grows.
   */
  readonly logDecay?: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; zeros if left out. */
  readonly initialState?: Tensor;
}

/**
 * DeltaNet (Yang et al. 2024, "Parallelizing Linear Transformers with the Delta Rule", §3), with
 * `logDecay` a head Gated DeltaNet (Yang et al. 2025, eq. 10) and a channel Kimi Delta Attention (2025,
 * eq. 1): `S̃ = exp(g_t) * S_{t-1}`, `S_t = S̃ + β_t k_t (v_t − k_tᵀ S̃)ᵀ`, `o_t = scale · q_tᵀ S_t`.
 * Chunked with the WY form; README.md derives it.
 *
 * ```ts
 * import { deltaRule, openGpu } from "@lengthwise/lengthwise/kernels";
 *
 * await using gpu = await openGpu();
 * using key = gpu.tensor([1, 2, 1, 2], [1, 0, 1, 0]);
 * using value = gpu.tensor([1, 2, 1, 1], [3, 5]);
 * using beta = gpu.tensor([1, 2, 1], [1, 1]);
 * const { output } = deltaRule(gpu, { query: key, key, value, beta }, { scale: 1 });
 * console.log(await output.read()); // 3, 5: the second write replaces the first
 * ```
 *
 * @throws {RangeError} where a shape does not fit, or chunkSize or segments are not as said.
 */
export function deltaRule(
  gpu: Gpu,
  inputs: DeltaRuleInputs,
  options: DeltaRuleOptions = {},
): DeltaRuleOutputs {
  return runChunked(DELTA_RULE, "deltaRule", gpu, inputs, options);
}

/** What {@linkcode deltaRuleBackward} takes. */
export interface DeltaRuleBackwardInputs extends DeltaRuleInputs {
  /** `[batch, time, heads, valueDim]`. */
  readonly outputGradient: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; zeros if left out. */
  readonly finalStateGradient?: Tensor;
}

/** What {@linkcode deltaRuleBackward} returns. */
export interface DeltaRuleGradients extends Disposable {
  /** `[batch, time, keyHeads, keyDim]`. */
  readonly queryGradient: Tensor;
  /** `[batch, time, keyHeads, keyDim]`. */
  readonly keyGradient: Tensor;
  /** `[batch, time, heads, valueDim]`. */
  readonly valueGradient: Tensor;
  /** `[batch, time, heads]`. */
  readonly betaGradient: Tensor;
  /** As `logDecay`; absent where that is. */
  readonly logDecayGradient?: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; absent where there was no initial state. */
  readonly initialStateGradient?: Tensor;
}

/**
 * The gradients of {@linkcode deltaRule}; the states inside are computed anew.
 *
 * @throws {RangeError} where a shape does not fit, or chunkSize or segments are not as said.
 */
export function deltaRuleBackward(
  gpu: Gpu,
  inputs: DeltaRuleBackwardInputs,
  options: DeltaRuleOptions = {},
): DeltaRuleGradients {
  const gradients = runBackward(DELTA_RULE, "deltaRuleBackward", gpu, inputs, options);
  return results({
    queryGradient: gradients.query,
    keyGradient: gradients.key,
    valueGradient: gradients.value,
    betaGradient: gradients.beta!,
    ...(gradients.logDecay && { logDecayGradient: gradients.logDecay }),
    ...(gradients.state && { initialStateGradient: gradients.state }),
  });
}

/**
 * {@linkcode deltaRule} token by token: one invocation per column of the state. Faster for a token or
 * two, and what the chunked form is compared with.
 *
 * @throws {RangeError} where a shape does not fit.
 */
export function deltaRuleRecurrent(
  gpu: Gpu,
  inputs: DeltaRuleInputs,
  options: DeltaRuleStepOptions = {},
): DeltaRuleOutputs {
  return runTokenByToken(DELTA_RULE, "deltaRuleRecurrent", gpu, inputs, options);
}

/** What {@linkcode deltaRuleStep} takes. */
export interface DeltaRuleStepInputs {
  /** `[batch, 1, keyHeads, keyDim]`. */
  readonly query: Tensor;
  /** `[batch, 1, keyHeads, keyDim]`. */
  readonly key: Tensor;
  /** `[batch, 1, heads, valueDim]`. */
  readonly value: Tensor;
  /** `[batch, 1, heads]`. */
  readonly beta: Tensor;
  /** `[batch, 1, heads]` or `[batch, 1, heads, keyDim]`. */
  readonly logDecay?: Tensor;
  /** The state before the step: `[batch, heads, keyDim, valueDim]`. */
  readonly state: Tensor;
}

/**
 * One step of {@linkcode deltaRule}: a token and the state before it, its output and the state after.
 *
 * @throws {RangeError} where a shape does not fit.
 */
export function deltaRuleStep(
  gpu: Gpu,
  inputs: DeltaRuleStepInputs,
  options: DeltaRuleStepOptions = {},
): DeltaRuleOutputs {
  return runStep(DELTA_RULE, "deltaRuleStep", gpu, inputs, options);
}

const DELTA_RULE: Rule<DeltaRuleInputs> = {
  tokens: TOKENS,
  stepRules: { scale: anything, unitLength: notNegative, inPlace: flag },
  inputs: (given) => given,
  plan: planDeltaRule,
};

function planDeltaRule(op: string, gpu: Gpu, inputs: Inputs, options: DeltaRuleOptions): Plan {
  const { query, key, value, beta, logDecay } = inputs;
  checkRank(op, "value", value, ["batch", "time", "heads", "valueDim"]);
  checkRank(op, "key", key, ["batch", "time", "keyHeads", "keyDim"]);
  const [batch, time, heads] = value.shape;
  const [, , keyHeads, keyDim] = key.shape;
  checkTensor(op, "value", value, value.shape);
  checkTensor(op, "key", key, [batch, time, keyHeads, keyDim]);
  checkTensor(op, "query", query, key.shape);
  if (keyHeads === 0 || heads % keyHeads !== 0) {
    throw new RangeError(
      `Cannot run ${op}() as the key heads must divide the ${heads} heads: current number is ${keyHeads}`,
    );
  }
  checkTensor(op, "beta", beta!, [batch, time, heads]);
  const perChannel = logDecay?.shape.length === 4;
  if (logDecay) {
    const shape = [batch, time, heads];
    checkTensor(op, "logDecay", logDecay, perChannel ? [...shape, keyDim] : shape);
  }
  return planChunks(
    op,
    gpu,
    inputs,
    options,
    { LOW_RANK: false, DECAYED: logDecay !== undefined, PER_CHANNEL: perChannel },
    1 / Math.sqrt(Math.max(1, keyDim)),
  );
}
