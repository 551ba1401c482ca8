import {
  checkRank,
  checkTensor,
  type Gpu,
  kernel,
  LOOP_ITERATIONS,
  type Tensor,
} from "../gpu/mod.ts";
import betaGradientSource from "./delta_rule_beta_gradient.wgsl" with { type: "text" };
import gatherKeysSource from "./delta_rule_gather_keys.wgsl" with { type: "text" };
import gatherRowsSource from "./delta_rule_gather_rows.wgsl" with { type: "text" };
import inputGradientsSource from "./delta_rule_input_gradients.wgsl" with { type: "text" };
import keyGradientsSource from "./delta_rule_key_gradients.wgsl" with { type: "text" };
import outputsSource from "./delta_rule_outputs.wgsl" with { type: "text" };
import pairGradientsSource from "./delta_rule_pair_gradients.wgsl" with { type: "text" };
import pairsSource from "./delta_rule_pairs.wgsl" with { type: "text" };
import panelGradientsSource from "./delta_rule_panel_gradients.wgsl" with { type: "text" };
import recurrentSource from "./delta_rule_recurrent.wgsl" with { type: "text" };
import scatterRowsSource from "./delta_rule_scatter_rows.wgsl" with { type: "text" };
import solveSource from "./delta_rule_solve.wgsl" with { type: "text" };
import stateGradientsSource from "./delta_rule_state_gradients.wgsl" with { type: "text" };
import statesSource from "./delta_rule_states.wgsl" with { type: "text" };
import sumChannelsSource from "./delta_rule_sum_channels.wgsl" with { type: "text" };
import { cloneOrZeros, planSpans, type Sequence, sequencesOf, type Span } from "./plan.ts";

const GATHER_KEYS = kernel("delta_rule_gather_keys", gatherKeysSource);
const GATHER_ROWS = kernel("delta_rule_gather_rows", gatherRowsSource);
const SCATTER_ROWS = kernel("delta_rule_scatter_rows", scatterRowsSource);
const PAIRS = kernel("delta_rule_pairs", pairsSource);
const SOLVE = kernel("delta_rule_solve", solveSource);
const STATES = kernel("delta_rule_states", statesSource);
const OUTPUTS = kernel("delta_rule_outputs", outputsSource);
const STATE_GRADIENTS = kernel("delta_rule_state_gradients", stateGradientsSource);
const PAIR_GRADIENTS = kernel("delta_rule_pair_gradients", pairGradientsSource);
const BETA_GRADIENT = kernel("delta_rule_beta_gradient", betaGradientSource);
const PANEL_GRADIENTS = kernel("delta_rule_panel_gradients", panelGradientsSource);
const KEY_GRADIENTS = kernel("delta_rule_key_gradients", keyGradientsSource);
const INPUT_GRADIENTS = kernel("delta_rule_input_gradients", inputGradientsSource);
const SUM_CHANNELS = kernel("delta_rule_sum_channels", sumChannelsSource);
const RECURRENT = kernel("delta_rule_recurrent", recurrentSource);

const WORKGROUP_SIZE = 64;
const DEFAULT_WORKSPACE_BYTES = 128 * 2 ** 20;

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
    const { chunks, panels, pairs, beta, residual, update, states } = span;
    // Nobody needs the residual any more: its panels take the outputs.
    gpu.dispatch(OUTPUTS, {
      ...span.grid(problem.valueQuads),
      read: { chunks, panels, pairs, update, states },
      write: { outputs: residual },
    });
    scatterRows(gpu, problem, span, { chunks, beta, panels: residual, rows: output }, false);
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
  const { heads, keyDim, spans, stateShape } = problem;
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
  const starts = [cloneOrZeros(gpu, initialState, stateShape)];
  for (const tables of spans.slice(0, -1)) {
    const state = cloneOrZeros(gpu, starts.at(-1), stateShape);
    forwardSpan(gpu, problem, tables, inputs, state)[Symbol.dispose]();
    starts.push(state);
  }
  for (const tables of spans.toReversed()) {
    using state = starts.pop()!;
    using span = forwardSpan(gpu, problem, tables, inputs, state);
    backwardSpan(gpu, problem, span, outputGradient, { ...gradients, byChannel });
  }
  for (const state of starts) state[Symbol.dispose]();
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
  const { heads, keyHeads, keyDim, valueDim, stateShape } = problem;
  const output = gpu.empty(value.shape);
  const finalState = cloneOrZeros(gpu, initialState, stateShape);
  const [batch, time] = value.shape;
  const slice = Math.max(1, Math.floor(LOOP_ITERATIONS / (2 * keyDim + 5)));
  for (let begin = 0; begin < time; begin += slice) {
    gpu.dispatch(RECURRENT, {
      constants: {
        LANES: problem.lanes,
        SCALE: problem.scale,
        HAS_DECAY: problem.hasDecay,
        PER_CHANNEL: problem.perChannel,
      },
      uniform: [time, begin, Math.min(begin + slice, time), heads, keyHeads, keyDim, valueDim],
      read: { query, key, value, beta, logDecay: logDecay ?? key },
      write: { output, finalState },
      workgroups: [batch, heads, Math.ceil(valueDim / problem.lanes)],
    });
  }
  return { output, finalState };
}

interface Problem {
  readonly heads: number;
  readonly keyHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly chunkSize: number;
  /** Quads of channels a row of keys takes; every product works on 16 key channels at a time. */
  readonly keyQuads: number;
  readonly valueQuads: number;
  readonly scale: number;
  readonly hasDecay: boolean;
  readonly perChannel: boolean;
  /** Invocations a workgroup. A software adapter's vectors are 8 wide, a GPU's 32 or more. */
  readonly lanes: number;
  readonly sequences: readonly Sequence[];
  readonly stateShape: readonly number[];
  readonly spans: readonly Span[];
}

function checkInputs(
  op: string,
  gpu: Gpu,
  inputs: DeltaRuleInputs,
  options: DeltaRuleOptions,
): Problem {
  const { query, key, value, beta, logDecay, initialState } = inputs;
  const { chunkSize = 16, segments, workspaceBytes = DEFAULT_WORKSPACE_BYTES } = options;
  checkRank(op, "value", value, ["batch", "time", "heads", "valueDim"]);
  checkRank(op, "key", key, ["batch", "time", "keyHeads", "keyDim"]);
  const [batch, time, heads, valueDim] = value.shape;
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
  if (!Number.isInteger(chunkSize) || chunkSize < 16 || chunkSize % 16 !== 0) {
    throw new RangeError(
      `Cannot run ${op}() as chunkSize must be a multiple of 16: current value is ${chunkSize}`,
    );
  }
  const sequences = sequencesOf(op, batch, time, segments);
  const stateShape = [sequences.length, heads, keyDim, valueDim];
  if (initialState) checkTensor(op, "initialState", initialState, stateShape);
  const keyQuads = 4 * Math.ceil(keyDim / 16);
  const valueQuads = Math.ceil(valueDim / 4);
  return {
    heads,
    keyHeads,
    keyDim,
    valueDim,
    chunkSize,
    keyQuads,
    valueQuads,
    scale: options.scale ?? 1 / Math.sqrt(keyDim),
    hasDecay: logDecay !== undefined,
    perChannel,
    lanes: gpu.adapter.software ? 8 : 32,
    sequences,
    stateShape,
    spans: planSpans(
      sequences,
      chunkSize,
      chunksPerSpan(
        gpu,
        { heads, chunkSize, keyQuads, valueQuads },
        sequences.length,
        workspaceBytes,
      ),
    ),
  };
}

/** How many chunks of each sequence fit the memory, the workgroup counts and the loops of a dispatch. */
function chunksPerSpan(
  gpu: Gpu,
  { heads, chunkSize, keyQuads, valueQuads }: Pick<
    Problem,
    "heads" | "chunkSize" | "keyQuads" | "valueQuads"
  >,
  sequences: number,
  workspaceBytes: number,
): number {
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = gpu.device.limits;
  const bytes = 16 * heads *
    Math.max(6 * chunkSize * keyQuads, 4 * keyQuads * valueQuads, chunkSize * valueQuads);
  const chunks = Math.min(
    Math.floor(Math.min(workspaceBytes, maxStorageBufferBindingSize) / bytes),
    maxComputeWorkgroupsPerDimension,
  );
  // Iterations a chunk, and two more for each loop, of the kernels that pass states and gradients on.
  const loops = chunkSize / 16 * (keyQuads + chunkSize / 4 + 12) +
    keyQuads / 4 * (chunkSize / 2 + 5) + 7;
  return Math.max(
    1,
    Math.min(
      Math.floor(chunks / sequences) - 1, // a state more than chunks in each sequence
      Math.floor((LOOP_ITERATIONS - 8 * keyQuads) / loops),
    ),
  );
}

/** The workspace of one span after its forward pass; disposing of it frees all of it. */
interface SpanWorkspace extends Disposable {
  readonly chunks: Tensor;
  readonly sequences: Tensor;
  readonly panels: Tensor;
  readonly pairs: Tensor;
  readonly beta: Tensor;
  readonly residual: Tensor;
  readonly update: Tensor;
  readonly states: Tensor;
  /** Tensors of the shapes of `update`, `states`. */
  emptyRows(): Tensor;
  emptyStates(): Tensor;
  /** Constants, uniform and workgroups of a dispatch of `items` invocations a chunk and head. */
  grid(items: number, workgroupRows?: [number, number]): Grid;
}

interface Grid {
  readonly constants: Record<string, number>;
  readonly uniform: readonly number[];
  readonly workgroups: [number, number, number];
}

function forwardSpan(
  gpu: Gpu,
  problem: Problem,
  tables: Span,
  inputs: DeltaRuleInputs,
  state: Tensor,
): SpanWorkspace {
  const { heads, keyHeads, chunkSize, keyQuads, valueQuads, lanes, perChannel } = problem;
  const { query, key, value, logDecay } = inputs;
  const count = tables.chunks.length / 4;
  const sequenceCount = problem.sequences.length;
  const emptyRows = (): Tensor => gpu.empty([count, heads, chunkSize, 4 * valueQuads]);
  const emptyStates = (): Tensor =>
    gpu.empty([count + sequenceCount, heads, 4 * keyQuads, 4 * valueQuads]);
  const tensors = {
    chunks: gpu.tensor([count, 4], tables.chunks, "u32"),
    sequences: gpu.tensor([sequenceCount, 2], tables.sequences, "u32"),
    panels: gpu.empty([count, heads, 6, chunkSize, 4 * keyQuads]),
    pairs: gpu.empty([count, heads, 3, chunkSize, chunkSize]),
    beta: gpu.empty([count, heads, chunkSize]),
    residual: emptyRows(),
    update: emptyRows(),
    states: emptyStates(),
  };
  const { chunks, sequences, panels, pairs, beta, residual, update, states } = tensors;
  const uniform = [
    heads,
    keyHeads,
    problem.keyDim,
    problem.valueDim,
    chunkSize,
    keyQuads,
    valueQuads,
  ];
  const grid: SpanWorkspace["grid"] = (items, [x, y] = [count, heads]) => ({
    constants: { LANES: lanes },
    uniform,
    workgroups: [x, y, Math.ceil(items / lanes)],
  });

  const keys = grid(keyQuads);
  gpu.dispatch(GATHER_KEYS, {
    ...keys,
    constants: {
      ...keys.constants,
      SCALE: problem.scale,
      HAS_DECAY: problem.hasDecay,
      PER_CHANNEL: perChannel,
    },
    read: { chunks, query, key, logDecay: logDecay ?? key },
    write: { panels },
  });
  gpu.dispatch(GATHER_ROWS, {
    ...grid(chunkSize * valueQuads),
    read: { chunks, value },
    write: { residual },
  });
  const tiles = grid((chunkSize / 4) ** 2);
  gpu.dispatch(PAIRS, {
    ...tiles,
    constants: { ...tiles.constants, PER_CHANNEL: perChannel },
    read: { chunks, panels, beta: inputs.beta },
    write: { pairs, chunkBeta: beta },
  });
  gpu.dispatch(SOLVE, {
    constants: { WORKGROUP_SIZE },
    uniform: [count * heads, chunkSize],
    read: { beta },
    write: { pairs },
    workgroups: Math.ceil(count * heads * chunkSize / 4 / WORKGROUP_SIZE),
  });
  gpu.dispatch(STATES, {
    ...grid(valueQuads, [sequenceCount, heads]),
    read: { sequences, panels, pairs, beta },
    write: { residual, update, states, state },
  });
  return {
    ...tensors,
    emptyRows,
    emptyStates,
    grid,
    [Symbol.dispose]: () => {
      for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
    },
  };
}

function backwardSpan(
  gpu: Gpu,
  problem: Problem,
  span: SpanWorkspace,
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
  const { heads, keyHeads, chunkSize, keyQuads, valueQuads } = problem;
  const { chunks, sequences, panels, pairs, beta, residual, update, states, grid } = span;
  const { queryGradient, keyGradient, valueGradient, betaGradient, byChannel } = gradients;
  const count = chunks.shape[0];
  using outputRows = span.emptyRows();
  using solved = span.emptyRows();
  using stateGradients = span.emptyStates();
  using pairGradients = gpu.empty([count, heads, 2, chunkSize, chunkSize]);
  using panelGradients = gpu.empty([count, heads, 3, chunkSize, 4 * keyQuads]);
  gpu.dispatch(GATHER_ROWS, {
    ...grid(chunkSize * valueQuads),
    read: { chunks, outputGradient },
    write: { outputRows },
  });
  gpu.dispatch(STATE_GRADIENTS, {
    ...grid(valueQuads, [problem.sequences.length, heads]),
    read: { sequences, panels, pairs, beta, outputRows },
    write: { solved, stateGradients, stateGradient: gradients.initialStateGradient },
  });
  scatterRows(gpu, problem, span, { chunks, beta, panels: solved, rows: valueGradient }, true);
  gpu.dispatch(PAIR_GRADIENTS, {
    ...grid((chunkSize / 4) ** 2),
    read: { outputRows, solved, update },
    write: { pairGradients },
  });
  gpu.dispatch(BETA_GRADIENT, {
    ...grid(chunkSize),
    read: { chunks, pairs, pairGradients, residual, solved },
    write: { betaGradient },
  });
  const products: [rows: Tensor, states: Tensor, after: number][] = [
    [outputRows, states, 0],
    [solved, states, 0],
    [update, stateGradients, 1],
  ];
  products.forEach(([rows, against, AFTER], PLANE) => {
    const keys = grid(keyQuads);
    gpu.dispatch(PANEL_GRADIENTS, {
      ...keys,
      constants: { ...keys.constants, PLANE, AFTER },
      read: { chunks, rows, states: against },
      write: { panelGradients },
    });
  });
  gpu.dispatch(KEY_GRADIENTS, {
    ...grid(keyQuads),
    read: { panels, beta, pairGradients },
    write: { panelGradients },
  });
  const inputs = grid(keyQuads, [count, keyHeads]);
  gpu.dispatch(INPUT_GRADIENTS, {
    ...inputs,
    constants: {
      ...inputs.constants,
      SCALE: problem.scale,
      HAS_DECAY: problem.hasDecay,
    },
    read: { chunks, panels, panelGradients, states, stateGradients },
    write: { queryGradient, keyGradient, byChannel },
  });
}

function scatterRows(
  gpu: Gpu,
  problem: Problem,
  span: SpanWorkspace,
  tensors: { chunks: Tensor; beta: Tensor; panels: Tensor; rows: Tensor },
  timesBeta: boolean,
): void {
  const { chunks, beta, panels, rows } = tensors;
  const grid = span.grid(problem.chunkSize * problem.valueQuads);
  gpu.dispatch(SCATTER_ROWS, {
    ...grid,
    constants: { ...grid.constants, TIMES_BETA: timesBeta },
    read: { chunks, beta, panels },
    write: { rows },
  });
}
