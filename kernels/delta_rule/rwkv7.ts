import {
  anything,
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  type Gpu,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { type Inputs, workBackward, workForward } from "./chunked.ts";
import type { DeltaRuleOutputs } from "./delta_rule.ts";
import {
  cloneOrZeros,
  type DeltaRuleOptions,
  emptyFor,
  openOutputs,
  type Plan,
  planChunks,
} from "./plan.ts";
import { workTokenByToken } from "./recurrent.ts";

/** Names of inputs that have a row per token. */
const TOKENS = ["receptance", "logDecay", "key", "value", "a", "b"];
/** Names of inputs; an op and its gradients may be handed the same. */
const INPUTS = [...TOKENS, "initialState", "outputGradient", "finalStateGradient"];

/** What {@linkcode rwkv7} takes. */
export interface Rwkv7Inputs {
  /** `[batch, time, heads, keyDim]`. */
  readonly receptance: Tensor;
  /**
   * Log of the decay of each key channel, `[batch, time, heads, keyDim]`: at most 0, −Infinity included,
   * which forgets all. Where it is positive the state grows.
   */
  readonly logDecay: Tensor;
  /** `[batch, time, heads, keyDim]`. */
  readonly key: Tensor;
  /** `[batch, time, heads, valueDim]`. */
  readonly value: Tensor;
  /** What reads the state before the update, in RWKV-7 the removal key, negated: `[batch, time, heads, keyDim]`. */
  readonly a: Tensor;
  /** Where what was read is added, in RWKV-7 the removal key times its rate: `[batch, time, heads, keyDim]`. */
  readonly b: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; zeros if left out. */
  readonly initialState?: Tensor;
}

/** Options of {@linkcode rwkv7}. */
export interface Rwkv7Options extends DeltaRuleOptions {
  /**
   * Multiplies the receptance.
   *
   * @default {1}
   */
  readonly scale?: number;
}

/** What {@linkcode rwkv7} returns. */
export type Rwkv7Outputs = DeltaRuleOutputs;

/**
 * RWKV-7's state (Peng et al. 2025, "RWKV-7 Goose", eq. 17), diagonal plus low rank:
 * `S_t = exp(w_t) * S_{t-1} + b_t (a_tᵀ S_{t-1}) + k_t v_tᵀ`, `o_t = scale · r_tᵀ S_t`, w being the log
 * decay. Chunked; README.md derives it.
 *
 * ```ts
 * import { openGpu, rwkv7 } from "@lengthwise/lengthwise/kernels";
 *
 * await using gpu = await openGpu();
 * using key = gpu.tensor([1, 2, 1, 1], [1, 1]);
 * using value = gpu.tensor([1, 2, 1, 1], [3, 5]);
 * using logDecay = gpu.tensor([1, 2, 1, 1], [0, 0]);
 * using a = gpu.tensor([1, 2, 1, 1], [-1, -1]);
 * const { output } = rwkv7(gpu, { receptance: key, logDecay, key, value, a, b: key });
 * console.log(await output.read()); // 3, 5: the second value replaces the first
 * ```
 *
 * @throws {RangeError} where a shape does not fit, or chunkSize or segments are not as said.
 */
export function rwkv7(gpu: Gpu, inputs: Rwkv7Inputs, options: Rwkv7Options = {}): Rwkv7Outputs {
  checkNames("rwkv7", inputs, INPUTS);
  const plan = checkInputs("rwkv7", gpu, inputs, options);
  const outputs = openOutputs(gpu, plan, inputs);
  workForward(gpu, plan, rows(inputs), outputs);
  return results(outputs);
}

/** What {@linkcode rwkv7Backward} takes. */
export interface Rwkv7BackwardInputs extends Rwkv7Inputs {
  /** `[batch, time, heads, valueDim]`. */
  readonly outputGradient: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; zeros if left out. */
  readonly finalStateGradient?: Tensor;
}

/** What {@linkcode rwkv7Backward} returns. */
export interface Rwkv7Gradients extends Disposable {
  /** `[batch, time, heads, keyDim]`. */
  readonly receptanceGradient: Tensor;
  /** `[batch, time, heads, keyDim]`. */
  readonly logDecayGradient: Tensor;
  /** `[batch, time, heads, keyDim]`. */
  readonly keyGradient: Tensor;
  /** `[batch, time, heads, valueDim]`. */
  readonly valueGradient: Tensor;
  /** `[batch, time, heads, keyDim]`. */
  readonly aGradient: Tensor;
  /** `[batch, time, heads, keyDim]`. */
  readonly bGradient: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; absent where there was no initial state. */
  readonly initialStateGradient?: Tensor;
}

/**
 * The gradients of {@linkcode rwkv7}; the states inside are computed anew.
 *
 * @throws {RangeError} where a shape does not fit, or chunkSize or segments are not as said.
 */
export function rwkv7Backward(
  gpu: Gpu,
  inputs: Rwkv7BackwardInputs,
  options: Rwkv7Options = {},
): Rwkv7Gradients {
  checkNames("rwkv7Backward", inputs, INPUTS);
  const op = "rwkv7Backward";
  const plan = checkInputs(op, gpu, inputs, options);
  const { key, value, initialState, outputGradient, finalStateGradient } = inputs;
  checkTensor(op, "outputGradient", outputGradient, value.shape);
  if (finalStateGradient) {
    checkTensor(op, "finalStateGradient", finalStateGradient, plan.stateShape);
  }
  const empty = emptyFor(gpu, plan);
  const gradients = {
    query: empty(key),
    logDecay: empty(key),
    key: empty(key),
    value: empty(value),
    a: empty(key),
    b: empty(key),
    state: cloneOrZeros(gpu, finalStateGradient, plan.stateShape),
  };
  workBackward(gpu, plan, rows(inputs), outputGradient, gradients);
  if (initialState === undefined) gradients.state[Symbol.dispose]();
  return results({
    receptanceGradient: gradients.query,
    logDecayGradient: gradients.logDecay,
    keyGradient: gradients.key,
    valueGradient: gradients.value,
    aGradient: gradients.a,
    bGradient: gradients.b,
    ...(initialState && { initialStateGradient: gradients.state }),
  });
}

/**
 * {@linkcode rwkv7} token by token: one invocation per column of the state. Faster for a token or two,
 * and what the chunked form is compared with.
 *
 * @throws {RangeError} where a shape does not fit.
 */
export function rwkv7Recurrent(
  gpu: Gpu,
  inputs: Rwkv7Inputs,
  options: { readonly scale?: number } = {},
): Rwkv7Outputs {
  checkNames("rwkv7Recurrent", inputs, INPUTS);
  return recurrent("rwkv7Recurrent", gpu, inputs, options);
}

/** What {@linkcode rwkv7Step} takes. */
export interface Rwkv7StepInputs {
  /** `[batch, 1, heads, keyDim]`. */
  readonly receptance: Tensor;
  /** `[batch, 1, heads, keyDim]`. */
  readonly logDecay: Tensor;
  /** `[batch, 1, heads, keyDim]`. */
  readonly key: Tensor;
  /** `[batch, 1, heads, valueDim]`. */
  readonly value: Tensor;
  /** `[batch, 1, heads, keyDim]`. */
  readonly a: Tensor;
  /** `[batch, 1, heads, keyDim]`. */
  readonly b: Tensor;
  /** The state before the step: `[batch, heads, keyDim, valueDim]`. */
  readonly state: Tensor;
}

/**
 * One step of {@linkcode rwkv7}: a token and the state before it, its output and the state after.
 *
 * @throws {RangeError} where a shape does not fit.
 */
export function rwkv7Step(
  gpu: Gpu,
  inputs: Rwkv7StepInputs,
  options: { readonly scale?: number } = {},
): Rwkv7Outputs {
  checkNames("rwkv7Step", inputs, [...TOKENS, "state"]);
  const { state, ...tokens } = inputs;
  const { value } = inputs;
  checkRank("rwkv7Step", "value", value, ["batch", "1", "heads", "valueDim"]);
  checkTensor("rwkv7Step", "value", value, value.shape.with(1, 1));
  return recurrent("rwkv7Step", gpu, { ...tokens, initialState: state }, options);
}

function recurrent(
  op: string,
  gpu: Gpu,
  inputs: Rwkv7Inputs,
  options: { readonly scale?: number },
): Rwkv7Outputs {
  checkOptions(op, options, { scale: anything }); // no segments here: its value is checked below
  const plan = checkInputs(op, gpu, inputs, options);
  const outputs = openOutputs(gpu, plan, inputs);
  workTokenByToken(gpu, plan, rows(inputs), outputs);
  return results(outputs);
}

/** The inputs by the names that both rules share. */
function rows({ receptance, ...inputs }: Rwkv7Inputs): Inputs {
  return { ...inputs, query: receptance };
}

function checkInputs(op: string, gpu: Gpu, inputs: Rwkv7Inputs, options: Rwkv7Options): Plan {
  const { receptance, logDecay, key, value, a, b } = inputs;
  checkRank(op, "value", value, ["batch", "time", "heads", "valueDim"]);
  checkRank(op, "key", key, ["batch", "time", "heads", "keyDim"]);
  const [batch, time, heads] = value.shape;
  const keyDim = key.shape[3];
  checkTensor(op, "value", value, value.shape);
  for (const [name, tensor] of Object.entries({ key, receptance, logDecay, a, b })) {
    checkTensor(op, name, tensor, [batch, time, heads, keyDim]);
  }
  return planChunks(
    op,
    gpu,
    inputs,
    options,
    { LOW_RANK: true, DECAYED: true, PER_CHANNEL: true },
    1,
  );
}
