import { checkRank, checkTensor, type Gpu, kernel, type Tensor } from "../gpu/mod.ts";
import type { DeltaRuleOptions, DeltaRuleOutputs } from "./delta_rule.ts";
import gradientBlocks from "./gradient_blocks.wgsl" with { type: "text" };
import pairBlocks from "./pair_blocks.wgsl" with { type: "text" };
import panelBlocks from "./panel_blocks.wgsl" with { type: "text" };
import { cloneOrZeros, type Plan, planChunks, type Span } from "./plan.ts";
import decayGradientSource from "./rwkv7_decay_gradient.wgsl" with { type: "text" };
import gatherKeysSource from "./rwkv7_gather_keys.wgsl" with { type: "text" };
import keyGradientsSource from "./rwkv7_key_gradients.wgsl" with { type: "text" };
import pairsSource from "./rwkv7_pairs.wgsl" with { type: "text" };
import recurrentSource from "./rwkv7_recurrent.wgsl" with { type: "text" };
import scatterKeysSource from "./rwkv7_scatter_keys.wgsl" with { type: "text" };
import statesSource from "./rwkv7_states.wgsl" with { type: "text" };
import valueGradientsSource from "./rwkv7_value_gradients.wgsl" with { type: "text" };
import {
  chunkKernel,
  openGradients,
  openSpan,
  scatterRows,
  solve,
  type SpanWorkspace,
  workBackward,
  workOutputs,
  workTokenByToken,
} from "./spans.ts";
import stateColumns from "./state_columns.wgsl" with { type: "text" };

const GATHER_KEYS = chunkKernel("rwkv7_gather_keys", gatherKeysSource);
const PAIRS = chunkKernel("rwkv7_pairs", pairsSource, panelBlocks);
const STATES = chunkKernel("rwkv7_states", statesSource, panelBlocks, pairBlocks, stateColumns);
const VALUE_GRADIENTS = chunkKernel(
  "rwkv7_value_gradients",
  valueGradientsSource,
  panelBlocks,
  pairBlocks,
);
const KEY_GRADIENTS = chunkKernel(
  "rwkv7_key_gradients",
  keyGradientsSource,
  panelBlocks,
  gradientBlocks,
);
const SCATTER_KEYS = chunkKernel("rwkv7_scatter_keys", scatterKeysSource);
const DECAY_GRADIENT = chunkKernel("rwkv7_decay_gradient", decayGradientSource);
const RECURRENT = kernel("rwkv7_recurrent", recurrentSource);

const PLANES = { panels: 9, pairs: 5, panelGradients: 4, pairGradients: 4 };

/** What {@linkcode rwkv7} takes. */
export interface Rwkv7Inputs {
  /** `[batch, time, heads, keyDim]`. */
  readonly receptance: Tensor;
  /** Log of the decay of each key channel, ≤ 0: `[batch, time, heads, keyDim]`. */
  readonly logDecay: Tensor;
  /** `[batch, time, heads, keyDim]`. */
  readonly key: Tensor;
  /** `[batch, time, heads, valueDim]`. */
  readonly value: Tensor;
  /** What reads the state before the update, in RWKV-7 the removal key, negated: `[batch, time, heads, keyDim]`. */
  readonly a: Tensor;
  /** Where what was read is added, in RWKV-7 the removal key times its rate: `[batch, time, heads, keyDim]`. */
  readonly b: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; zeros unless given. */
  readonly initialState?: Tensor;
}

/** Options of {@linkcode rwkv7}. */
export interface Rwkv7Options extends DeltaRuleOptions {
  /** Multiplies the receptance; 1 unless told. */
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
  const problem = checkInputs("rwkv7", gpu, inputs, options);
  const output = gpu.empty(inputs.value.shape);
  const finalState = cloneOrZeros(gpu, inputs.initialState, problem.stateShape);
  for (const tables of problem.spans) {
    using span = forwardSpan(gpu, problem, tables, inputs, finalState);
    using outputs = span.emptyRows();
    workOutputs(gpu, span, outputs, span.value);
    scatterRows(gpu, span, outputs, output);
  }
  return { output, finalState };
}

/** What {@linkcode rwkv7Backward} takes. */
export interface Rwkv7BackwardInputs extends Rwkv7Inputs {
  /** `[batch, time, heads, valueDim]`. */
  readonly outputGradient: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; zeros unless given. */
  readonly finalStateGradient?: Tensor;
}

/** What {@linkcode rwkv7Backward} returns. */
export interface Rwkv7Gradients {
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
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`. */
  readonly initialStateGradient: Tensor;
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
  const op = "rwkv7Backward";
  const problem = checkInputs(op, gpu, inputs, options);
  const { key, value, initialState, outputGradient, finalStateGradient } = inputs;
  const { stateShape } = problem;
  checkTensor(op, "outputGradient", outputGradient, value.shape);
  if (finalStateGradient) checkTensor(op, "finalStateGradient", finalStateGradient, stateShape);

  const gradients = {
    receptanceGradient: gpu.empty(key.shape),
    logDecayGradient: gpu.empty(key.shape),
    keyGradient: gpu.empty(key.shape),
    valueGradient: gpu.empty(value.shape),
    aGradient: gpu.empty(key.shape),
    bGradient: gpu.empty(key.shape),
    initialStateGradient: cloneOrZeros(gpu, finalStateGradient, stateShape),
  };
  workBackward(
    gpu,
    problem,
    initialState,
    (tables, state) => forwardSpan(gpu, problem, tables, inputs, state),
    (span) => backwardSpan(gpu, problem, span, outputGradient, gradients),
  );
  return gradients;
}

/**
 * {@linkcode rwkv7} token by token: one invocation a column of the state. Faster for a token or two,
 * and what the chunked form is compared with.
 *
 * @throws {RangeError} where a shape does not fit.
 */
export function rwkv7Recurrent(
  gpu: Gpu,
  inputs: Rwkv7Inputs,
  options: { readonly scale?: number } = {},
): Rwkv7Outputs {
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
  const { receptance, logDecay, key, value, a, b, initialState } = inputs;
  const problem = checkInputs(op, gpu, inputs, options);
  return workTokenByToken(gpu, RECURRENT, problem, value, initialState, {
    constants: { SCALE: problem.scale },
    read: { receptance, logDecay, key, value, a, b },
  });
}

interface Problem extends Plan {
  readonly scale: number;
}

function checkInputs(op: string, gpu: Gpu, inputs: Rwkv7Inputs, options: Rwkv7Options): Problem {
  const { receptance, logDecay, key, value, a, b } = inputs;
  checkRank(op, "value", value, ["batch", "time", "heads", "valueDim"]);
  checkRank(op, "key", key, ["batch", "time", "heads", "keyDim"]);
  const [batch, time, heads] = value.shape;
  const keyDim = key.shape[3];
  checkTensor(op, "value", value, value.shape);
  for (const [name, tensor] of Object.entries({ key, receptance, logDecay, a, b })) {
    checkTensor(op, name, tensor, [batch, time, heads, keyDim]);
  }
  return { ...planChunks(op, gpu, inputs, options, PLANES), scale: options.scale ?? 1 };
}

function forwardSpan(
  gpu: Gpu,
  problem: Problem,
  tables: Span,
  inputs: Rwkv7Inputs,
  state: Tensor,
): SpanWorkspace {
  const { heads, chunkSize, keyQuads, valueQuads, sequences } = problem;
  const { receptance, logDecay, key, a, b } = inputs;
  const span = openSpan(gpu, problem, tables, inputs.value);
  const { chunks, panels, pairs, value, update, states, grid } = span;
  gpu.dispatch(GATHER_KEYS, {
    ...grid(keyQuads, { SCALE: problem.scale }),
    read: { chunks, receptance, logDecay, key, a, b },
    write: { panels },
  });
  gpu.dispatch(PAIRS, {
    ...grid((chunkSize / 4) ** 2),
    read: { panels },
    write: { pairs },
  });
  solve(gpu, span);
  gpu.dispatch(STATES, {
    ...grid(valueQuads, {}, [sequences.length, heads]),
    read: { sequences: span.sequences, panels, pairs, value },
    write: { update, states, state },
  });
  return span;
}

/** `initialStateGradient` holds the state's gradient at the span's end before, at its start after. */
function backwardSpan(
  gpu: Gpu,
  problem: Problem,
  span: SpanWorkspace,
  outputGradient: Tensor,
  gradients: Rwkv7Gradients,
): void {
  const { chunkSize, keyQuads, valueQuads } = problem;
  const { chunks, panels, pairs, value, states, grid } = span;
  const { receptanceGradient, logDecayGradient, keyGradient, aGradient, bGradient } = gradients;
  const { initialStateGradient } = gradients;
  using through = openGradients(gpu, span, outputGradient, initialStateGradient, { value });
  const { outputRows, solved, stateGradients, pairGradients, panelGradients } = through;
  using valueRows = span.emptyRows();
  gpu.dispatch(VALUE_GRADIENTS, {
    ...grid(valueQuads),
    read: { chunks, panels, pairs, outputRows, solved, stateGradients },
    write: { valueRows },
  });
  scatterRows(gpu, span, valueRows, gradients.valueGradient);
  gpu.dispatch(KEY_GRADIENTS, {
    ...grid(keyQuads),
    read: { panels, pairGradients },
    write: { panelGradients },
  });
  gpu.dispatch(SCATTER_KEYS, {
    ...grid(chunkSize * keyQuads, { SCALE: problem.scale }),
    read: { chunks, panelGradients },
    write: { receptanceGradient, aGradient, keyGradient, bGradient },
  });
  gpu.dispatch(DECAY_GRADIENT, {
    ...grid(keyQuads),
    read: { chunks, panels, panelGradients, states, stateGradients },
    write: { logDecayGradient },
  });
}
