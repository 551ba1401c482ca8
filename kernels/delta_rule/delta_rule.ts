import {
  anything,
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  flag,
  type Gpu,
  notNegative,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { workBackward, workForward } from "./chunked.ts";
import {
  cloneOrZeros,
  type DeltaRuleOptions,
  emptyFor,
  openOutputs,
  type Plan,
  planChunks,
} from "./plan.ts";
import { workTokenByToken } from "./recurrent.ts";

export type { DeltaRuleOptions };

/** Names of inputs that have a row per token. */
const TOKENS = ["query", "key", "value", "beta", "logDecay"];
/** Names of inputs; an op and its gradients may be handed the same. */
const INPUTS = [...TOKENS, "initialState", "outputGradient", "finalStateGradient"];

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

/** What {@linkcode deltaRule} returns. */
export interface DeltaRuleOutputs extends Disposable {
  /** `[batch, time, heads, valueDim]`. */
  readonly output: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`. */
  readonly finalState: Tensor;
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
  checkNames("deltaRule", inputs, INPUTS);
  const plan = checkInputs("deltaRule", gpu, inputs, options);
  const outputs = openOutputs(gpu, plan, inputs);
  workForward(gpu, plan, inputs, outputs);
  return results(outputs);
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
  checkNames("deltaRuleBackward", inputs, INPUTS);
  const op = "deltaRuleBackward";
  const plan = checkInputs(op, gpu, inputs, options);
  const { query, key, value, beta, logDecay, initialState } = inputs;
  const { outputGradient, finalStateGradient } = inputs;
  checkTensor(op, "outputGradient", outputGradient, value.shape);
  if (finalStateGradient) {
    checkTensor(op, "finalStateGradient", finalStateGradient, plan.stateShape);
  }
  const empty = emptyFor(gpu, plan);
  const gradients = {
    query: empty(query),
    key: empty(key),
    value: empty(value),
    beta: empty(beta),
    logDecay: logDecay && empty(logDecay),
    state: cloneOrZeros(gpu, finalStateGradient, plan.stateShape),
  };
  workBackward(gpu, plan, inputs, outputGradient, gradients);
  if (initialState === undefined) gradients.state[Symbol.dispose]();
  return results({
    queryGradient: gradients.query,
    keyGradient: gradients.key,
    valueGradient: gradients.value,
    betaGradient: gradients.beta,
    ...(gradients.logDecay && { logDecayGradient: gradients.logDecay }),
    ...(initialState && { initialStateGradient: gradients.state }),
  });
}

/** Options of {@linkcode deltaRuleRecurrent} and {@linkcode deltaRuleStep}. */
export interface DeltaRuleStepOptions {
  /** Multiplies the query. @default 1/√keyDim */
  readonly scale?: number;
  /**
   * Where it is given, each query and key is divided by its length first, `x / √(|x|² + unitLength)`, as
   * DeltaNet does (Yang et al. 2024, section 3).
   */
  readonly unitLength?: number;
  /** Whether the state is overwritten: `finalState` is its memory then. @default false */
  readonly inPlace?: boolean;
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
  checkNames("deltaRuleRecurrent", inputs, INPUTS);
  return recurrent("deltaRuleRecurrent", gpu, inputs, options);
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
  checkNames("deltaRuleStep", inputs, [...TOKENS, "state"]);
  const { state, ...tokens } = inputs;
  const { value } = inputs;
  checkRank("deltaRuleStep", "value", value, ["batch", "1", "heads", "valueDim"]);
  checkTensor("deltaRuleStep", "value", value, value.shape.with(1, 1));
  return recurrent("deltaRuleStep", gpu, { ...tokens, initialState: state }, options);
}

function recurrent(
  op: string,
  gpu: Gpu,
  inputs: DeltaRuleInputs,
  options: DeltaRuleStepOptions,
): DeltaRuleOutputs {
  // No segments here; the scale's value is checked below.
  checkOptions(op, options, { scale: anything, unitLength: notNegative, inPlace: flag });
  const { unitLength, inPlace = false, ...rest } = options;
  const plan = checkInputs(op, gpu, inputs, rest);
  const { initialState } = inputs;
  const outputs = inPlace && initialState
    ? {
      output: emptyFor(gpu, plan)(inputs.value),
      finalState: initialState.reshape(plan.stateShape),
    }
    : openOutputs(gpu, plan, inputs);
  workTokenByToken(gpu, plan, inputs, outputs, unitLength);
  return results(outputs);
}

function checkInputs(
  op: string,
  gpu: Gpu,
  inputs: DeltaRuleInputs,
  options: DeltaRuleOptions,
): Plan {
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
  checkTensor(op, "beta", beta, [batch, time, heads]);
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
