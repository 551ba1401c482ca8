import {
  anything,
  checkRank,
  checkTensor,
  flag,
  type Gpu,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import type { Inputs } from "./chunked.ts";
import { type DeltaRuleOptions, type Plan, planChunks } from "./plan.ts";
import {
  type DeltaRuleOutputs,
  type Rule,
  runBackward,
  runChunked,
  runStep,
  runTokenByToken,
} from "./rule.ts";

/** Names of inputs that have a row per token. */
const TOKENS = ["receptance", "logDecay", "key", "value", "a", "b"];

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
  return runChunked(RWKV7, "rwkv7", gpu, inputs, options);
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
  const gradients = runBackward(RWKV7, "rwkv7Backward", gpu, inputs, options);
  return results({
    receptanceGradient: gradients.query,
    logDecayGradient: gradients.logDecay!,
    keyGradient: gradients.key,
    valueGradient: gradients.value,
    aGradient: gradients.a!,
    bGradient: gradients.b!,
    ...(gradients.state && { initialStateGradient: gradients.state }),
  });
}

/** Options of {@linkcode rwkv7Recurrent} and {@linkcode rwkv7Step}. */
export interface Rwkv7StepOptions {
  /** Multiplies the receptance. @default 1 */
  readonly scale?: number;
  /** Whether the state is overwritten: `finalState` is its memory then. @default false */
  readonly inPlace?: boolean;
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
  options: Rwkv7StepOptions = {},
): Rwkv7Outputs {
  return runTokenByToken(RWKV7, "rwkv7Recurrent", gpu, inputs, options);
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
  options: Rwkv7StepOptions = {},
): Rwkv7Outputs {
  return runStep(RWKV7, "rwkv7Step", gpu, inputs, options);
}

const RWKV7: Rule<Rwkv7Inputs> = {
  tokens: TOKENS,
  stepRules: { scale: anything, inPlace: flag },
  inputs: ({ receptance, ...given }) => ({ ...given, query: receptance }),
  plan: planRwkv7,
};

function planRwkv7(op: string, gpu: Gpu, inputs: Inputs, options: DeltaRuleOptions): Plan {
  const { query: receptance, logDecay, key, value, a, b } = inputs;
  checkRank(op, "value", value, ["batch", "time", "heads", "valueDim"]);
  checkRank(op, "key", key, ["batch", "time", "heads", "keyDim"]);
  const [batch, time, heads] = value.shape;
  const keyDim = key.shape[3];
  checkTensor(op, "value", value, value.shape);
  for (const [name, tensor] of Object.entries({ key, receptance, logDecay, a, b })) {
    checkTensor(op, name, tensor!, [batch, time, heads, keyDim]);
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
