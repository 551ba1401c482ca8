import { checkRank, checkTensor, type Gpu, kernel, type Tensor } from "../gpu/mod.ts";
import betaGradientSource from "./delta_rule_beta_gradient.wgsl" with { type: "text" };
import gatherKeysSource from "./delta_rule_gather_keys.wgsl" with { type: "text" };
import inputGradientsSource from "./delta_rule_input_gradients.wgsl" with { type: "text" };
import keyGradientsSource from "./delta_rule_key_gradients.wgsl" with { type: "text" };
import pairsSource from "./delta_rule_pairs.wgsl" with { type: "text" };
import recurrentSource from "./delta_rule_recurrent.wgsl" with { type: "text" };
import statesSource from "./delta_rule_states.wgsl" with { type: "text" };
import sumChannelsSource from "./delta_rule_sum_channels.wgsl" with { type: "text" };
import gradientBlocks from "./gradient_blocks.wgsl" with { type: "text" };
import pairBlocks from "./pair_blocks.wgsl" with { type: "text" };
import panelBlocks from "./panel_blocks.wgsl" with { type: "text" };
import { cloneOrZeros, type Plan, planChunks, type Span } from "./plan.ts";
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

const GATHER_KEYS = chunkKernel("delta_rule_gather_keys", gatherKeysSource);
const PAIRS = chunkKernel("delta_rule_pairs", pairsSource, panelBlocks);
const STATES = chunkKernel(
  "delta_rule_states",
  statesSource,
  panelBlocks,
  pairBlocks,
  stateColumns,
);
const BETA_GRADIENT = chunkKernel("delta_rule_beta_gradient", betaGradientSource);
const KEY_GRADIENTS = chunkKernel(
  "delta_rule_key_gradients",
  keyGradientsSource,
  panelBlocks,
  gradientBlocks,
);
const INPUT_GRADIENTS = chunkKernel("delta_rule_input_gradients", inputGradientsSource);
const SUM_CHANNELS = kernel("delta_rule_sum_channels", sumChannelsSource);
const RECURRENT = kernel("delta_rule_recurrent", recurrentSource);

const WORKGROUP_SIZE = 64;
const PLANES = { panels: 6, pairs: 3, panelGradients: 3, pairGradients: 2 };

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
  /** Log of the decay, ≤ 0: `[batch, time, heads]`, or a key channel `[batch, time, heads, keyDim]`. */
  readonly logDecay?: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; zeros unless given. */
  readonly initialState?: Tensor;
}

/** Options of {@linkcode deltaRule}. */
export interface DeltaRuleOptions {
  /** Multiplies the query; 1/√keyDim unless told. */
  readonly scale?: number;
  /** Rows a chunk, a multiple of 16; 16 unless told. It changes the time taken, not the result. */
  readonly chunkSize?: number;
  /** Bounds of the sequences packed in a batch of 1, as `[0, 1, 100, 257]`; an empty one is allowed. */
  readonly segments?: readonly number[];
  /** The most bytes one workspace buffer may take: longer input is worked span by span; 128 MiB unless told. */
  readonly workspaceBytes?: number;
}

/** What {@linkcode deltaRule} returns. */
export interface DeltaRuleOutputs {
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
  const problem = checkInputs("deltaRule", gpu, inputs, options);
  const output = gpu.empty(inputs.value.shape);
  const finalState = cloneOrZeros(gpu, inputs.initialState, problem.stateShape);
  for (const tables of problem.spans) {
    using span = forwardSpan(gpu, problem, tables, inputs, finalState);
    const { residual } = span;
    // Nobody needs the residual any more: its panels take the outputs.
    workOutputs(gpu, span, residual);
    scatterRows(gpu, span, residual, output);
  }
  return { output, finalState };
}

/** What {@linkcode deltaRuleBackward} takes. */
export interface DeltaRuleBackwardInputs extends DeltaRuleInputs {
  /** `[batch, time, heads, valueDim]`. */
  readonly outputGradient: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`; zeros unless given. */
  readonly finalStateGradient?: Tensor;
}

/** What {@linkcode deltaRuleBackward} returns. */
export interface DeltaRuleGradients {
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
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`. */
  readonly initialStateGradient: Tensor;
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
  const op = "deltaRuleBackward";
  const problem = checkInputs(op, gpu, inputs, options);
  const { query, key, value, beta, logDecay, initialState } = inputs;
  const { outputGradient, finalStateGradient } = inputs;
  const { heads, keyDim, stateShape } = problem;
  checkTensor(op, "outputGradient", outputGradient, value.shape);
  if (finalStateGradient) checkTensor(op, "finalStateGradient", finalStateGradient, stateShape);

  const [batch, time] = value.shape;
  const byChannel = gpu.empty(logDecay ? [batch, time, heads, keyDim] : [1]);
  const gradients = {
    queryGradient: gpu.empty(query.shape),
    keyGradient: gpu.empty(key.shape),
    valueGradient: gpu.empty(value.shape),
    betaGradient: gpu.empty(beta.shape),
    initialStateGradient: cloneOrZeros(gpu, finalStateGradient, stateShape),
  };
  workBackward(
    gpu,
    problem,
    initialState,
    (tables, state) => forwardSpan(gpu, problem, tables, inputs, state),
    (span) => backwardSpan(gpu, problem, span, outputGradient, { ...gradients, byChannel }),
  );
  if (logDecay === undefined) {
    byChannel[Symbol.dispose]();
    return gradients;
  }
  if (problem.perChannel) return { ...gradients, logDecayGradient: byChannel };
  const logDecayGradient = gpu.empty(logDecay.shape);
  gpu.dispatch(SUM_CHANNELS, {
    constants: { WORKGROUP_SIZE },
    uniform: [logDecay.size, keyDim],
    read: { byChannel },
    write: { logDecayGradient },
    workgroups: Math.ceil(logDecay.size / WORKGROUP_SIZE),
  });
  byChannel[Symbol.dispose]();
  return { ...gradients, logDecayGradient };
}

/**
 * {@linkcode deltaRule} token by token: one invocation a column of the state. Faster for a token or
 * two, and what the chunked form is compared with.
 *
 * @throws {RangeError} where a shape does not fit.
 */
export function deltaRuleRecurrent(
  gpu: Gpu,
  inputs: DeltaRuleInputs,
  options: { readonly scale?: number } = {},
): DeltaRuleOutputs {
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
  options: { readonly scale?: number } = {},
): DeltaRuleOutputs {
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
  options: { readonly scale?: number },
): DeltaRuleOutputs {
  const { query, key, value, beta, logDecay, initialState } = inputs;
  const problem = checkInputs(op, gpu, inputs, options);
  const { scale: SCALE, hasDecay: HAS_DECAY, perChannel: PER_CHANNEL } = problem;
  return workTokenByToken(gpu, RECURRENT, problem, value, initialState, {
    constants: { SCALE, HAS_DECAY, PER_CHANNEL },
    read: { query, key, value, beta, logDecay: logDecay ?? key },
  });
}

interface Problem extends Plan {
  readonly scale: number;
  readonly hasDecay: boolean;
  readonly perChannel: boolean;
}

function checkInputs(
  op: string,
  gpu: Gpu,
  inputs: DeltaRuleInputs,
  options: DeltaRuleOptions,
): Problem {
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
  return {
    ...planChunks(op, gpu, inputs, options, PLANES),
    scale: options.scale ?? 1 / Math.sqrt(keyDim),
    hasDecay: logDecay !== undefined,
    perChannel,
  };
}

interface DeltaRuleSpan extends SpanWorkspace {
  readonly beta: Tensor;
  /** Where the value's rows were. */
  readonly residual: Tensor;
}

function forwardSpan(
  gpu: Gpu,
  problem: Problem,
  tables: Span,
  inputs: DeltaRuleInputs,
  state: Tensor,
): DeltaRuleSpan {
  const { heads, chunkSize, keyQuads, valueQuads, sequences } = problem;
  const { scale: SCALE, hasDecay: HAS_DECAY, perChannel: PER_CHANNEL } = problem;
  const { query, key, logDecay } = inputs;
  const span = openSpan(gpu, problem, tables, inputs.value);
  const { chunks, panels, pairs, value: residual, update, states, grid } = span;
  const count = chunks.shape[0];
  const beta = gpu.empty([count, heads, chunkSize]);
  gpu.dispatch(GATHER_KEYS, {
    ...grid(keyQuads, { SCALE, HAS_DECAY, PER_CHANNEL }),
    read: { chunks, query, key, logDecay: logDecay ?? key },
    write: { panels },
  });
  gpu.dispatch(PAIRS, {
    ...grid((chunkSize / 4) ** 2, { PER_CHANNEL }),
    read: { chunks, panels, beta: inputs.beta },
    write: { pairs, chunkBeta: beta },
  });
  solve(gpu, span, beta);
  gpu.dispatch(STATES, {
    ...grid(valueQuads, {}, [sequences.length, heads]),
    read: { sequences: span.sequences, panels, pairs, beta },
    write: { residual, update, states, state },
  });
  return {
    ...span,
    beta,
    residual,
    [Symbol.dispose]: () => {
      span[Symbol.dispose]();
      beta[Symbol.dispose]();
    },
  };
}

function backwardSpan(
  gpu: Gpu,
  problem: Problem,
  span: DeltaRuleSpan,
  outputGradient: Tensor,
  gradients: {
    readonly queryGradient: Tensor;
    readonly keyGradient: Tensor;
    readonly valueGradient: Tensor;
    readonly betaGradient: Tensor;
    readonly byChannel: Tensor;
    /** The state's gradient: at the span's end before, at its start after. */
    readonly initialStateGradient: Tensor;
  },
): void {
  const { keyHeads, chunkSize, keyQuads } = problem;
  const { chunks, panels, pairs, beta, residual, states, grid } = span;
  const { queryGradient, keyGradient, valueGradient, betaGradient, byChannel } = gradients;
  const { initialStateGradient } = gradients;
  using through = openGradients(gpu, span, outputGradient, initialStateGradient, { beta });
  const { solved, stateGradients, pairGradients, panelGradients } = through;
  scatterRows(gpu, span, solved, valueGradient, beta);
  gpu.dispatch(BETA_GRADIENT, {
    ...grid(chunkSize),
    read: { chunks, pairs, pairGradients, residual, solved },
    write: { betaGradient },
  });
  gpu.dispatch(KEY_GRADIENTS, {
    ...grid(keyQuads),
    read: { panels, beta, pairGradients },
    write: { panelGradients },
  });
  const constants = { SCALE: problem.scale, HAS_DECAY: problem.hasDecay };
  gpu.dispatch(INPUT_GRADIENTS, {
    ...grid(keyQuads, constants, [chunks.shape[0], keyHeads]),
    read: { chunks, panels, panelGradients, states, stateGradients },
    write: { queryGradient, keyGradient, byChannel },
  });
}
