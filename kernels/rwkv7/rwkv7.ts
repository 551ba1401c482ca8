import {
  checkRank,
  checkTensor,
  type Gpu,
  kernel,
  LOOP_ITERATIONS,
  type Tensor,
} from "../gpu/mod.ts";
import { cloneOrZeros, planSpans, type Sequence, sequencesOf, type Span } from "./plan.ts";
import decayGradientSource from "./rwkv7_decay_gradient.wgsl" with { type: "text" };
import gatherKeysSource from "./rwkv7_gather_keys.wgsl" with { type: "text" };
import gatherRowsSource from "./rwkv7_gather_rows.wgsl" with { type: "text" };
import keyGradientsSource from "./rwkv7_key_gradients.wgsl" with { type: "text" };
import outputsSource from "./rwkv7_outputs.wgsl" with { type: "text" };
import pairGradientsSource from "./rwkv7_pair_gradients.wgsl" with { type: "text" };
import pairsSource from "./rwkv7_pairs.wgsl" with { type: "text" };
import panelGradientsSource from "./rwkv7_panel_gradients.wgsl" with { type: "text" };
import recurrentSource from "./rwkv7_recurrent.wgsl" with { type: "text" };
import scatterKeysSource from "./rwkv7_scatter_keys.wgsl" with { type: "text" };
import scatterRowsSource from "./rwkv7_scatter_rows.wgsl" with { type: "text" };
import solveSource from "./rwkv7_solve.wgsl" with { type: "text" };
import stateGradientsSource from "./rwkv7_state_gradients.wgsl" with { type: "text" };
import statesSource from "./rwkv7_states.wgsl" with { type: "text" };
import valueGradientsSource from "./rwkv7_value_gradients.wgsl" with { type: "text" };

const GATHER_KEYS = kernel("rwkv7_gather_keys", gatherKeysSource);
const GATHER_ROWS = kernel("rwkv7_gather_rows", gatherRowsSource);
const SCATTER_ROWS = kernel("rwkv7_scatter_rows", scatterRowsSource);
const PAIRS = kernel("rwkv7_pairs", pairsSource);
const SOLVE = kernel("rwkv7_solve", solveSource);
const STATES = kernel("rwkv7_states", statesSource);
const OUTPUTS = kernel("rwkv7_outputs", outputsSource);
const STATE_GRADIENTS = kernel("rwkv7_state_gradients", stateGradientsSource);
const VALUE_GRADIENTS = kernel("rwkv7_value_gradients", valueGradientsSource);
const PAIR_GRADIENTS = kernel("rwkv7_pair_gradients", pairGradientsSource);
const PANEL_GRADIENTS = kernel("rwkv7_panel_gradients", panelGradientsSource);
const KEY_GRADIENTS = kernel("rwkv7_key_gradients", keyGradientsSource);
const SCATTER_KEYS = kernel("rwkv7_scatter_keys", scatterKeysSource);
const DECAY_GRADIENT = kernel("rwkv7_decay_gradient", decayGradientSource);
const RECURRENT = kernel("rwkv7_recurrent", recurrentSource);

const WORKGROUP_SIZE = 64;
const DEFAULT_WORKSPACE_BYTES = 128 * 2 ** 20;

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
export interface Rwkv7Options {
  /** Multiplies the receptance; 1 unless told. */
  readonly scale?: number;
  /** Rows a chunk, a multiple of 16; 16 unless told. It changes the time taken, not the result. */
  readonly chunkSize?: number;
  /** Bounds of the sequences packed in a batch of 1, as `[0, 1, 100, 257]`; an empty one is allowed. */
  readonly segments?: readonly number[];
  /** The most bytes one workspace buffer may take: longer input is worked span by span; 128 MiB unless told. */
  readonly workspaceBytes?: number;
}

/** What {@linkcode rwkv7} returns. */
export interface Rwkv7Outputs {
  /** `[batch, time, heads, valueDim]`. */
  readonly output: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`. */
  readonly finalState: Tensor;
}

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
    const { chunks, panels, pairs, value, update, states } = span;
    using outputs = span.emptyRows();
    gpu.dispatch(OUTPUTS, {
      ...span.grid(problem.valueQuads),
      read: { chunks, panels, pairs, value, update, states },
      write: { outputs },
    });
    gpu.dispatch(SCATTER_ROWS, {
      ...span.grid(problem.chunkSize * problem.valueQuads),
      read: { chunks, outputs },
      write: { output },
    });
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
  const { spans, stateShape } = problem;
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
  const starts = [cloneOrZeros(gpu, initialState, stateShape)];
  for (const tables of spans.slice(0, -1)) {
    const state = cloneOrZeros(gpu, starts.at(-1), stateShape);
    forwardSpan(gpu, problem, tables, inputs, state)[Symbol.dispose]();
    starts.push(state);
  }
  for (const tables of spans.toReversed()) {
    using state = starts.pop()!;
    using span = forwardSpan(gpu, problem, tables, inputs, state);
    backwardSpan(gpu, problem, span, outputGradient, gradients);
  }
  for (const state of starts) state[Symbol.dispose]();
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
  const { heads, keyDim, valueDim, lanes, scale, stateShape } = checkInputs(
    op,
    gpu,
    inputs,
    options,
  );
  const output = gpu.empty(value.shape);
  const finalState = cloneOrZeros(gpu, initialState, stateShape);
  const [batch, time] = value.shape;
  const slice = Math.max(1, Math.floor(LOOP_ITERATIONS / (2 * keyDim + 5)));
  for (let begin = 0; begin < time; begin += slice) {
    gpu.dispatch(RECURRENT, {
      constants: { LANES: lanes, SCALE: scale },
      uniform: [time, begin, Math.min(begin + slice, time), heads, keyDim, valueDim],
      read: { receptance, logDecay, key, value, a, b },
      write: { output, finalState },
      workgroups: [batch, heads, Math.ceil(valueDim / lanes)],
    });
  }
  return { output, finalState };
}

interface Problem {
  readonly heads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly chunkSize: number;
  /** Quads of channels a row of keys takes; every product works on 16 key channels at a time. */
  readonly keyQuads: number;
  readonly valueQuads: number;
  readonly scale: number;
  /** Invocations a workgroup. A software adapter's vectors are 8 wide, a GPU's 32 or more. */
  readonly lanes: number;
  readonly sequences: readonly Sequence[];
  readonly stateShape: readonly number[];
  readonly spans: readonly Span[];
}

function checkInputs(op: string, gpu: Gpu, inputs: Rwkv7Inputs, options: Rwkv7Options): Problem {
  const { receptance, logDecay, key, value, a, b, initialState } = inputs;
  const { chunkSize = 16, segments, workspaceBytes = DEFAULT_WORKSPACE_BYTES } = options;
  checkRank(op, "value", value, ["batch", "time", "heads", "valueDim"]);
  checkRank(op, "key", key, ["batch", "time", "heads", "keyDim"]);
  const [batch, time, heads, valueDim] = value.shape;
  const keyDim = key.shape[3];
  checkTensor(op, "value", value, value.shape);
  for (const [name, tensor] of Object.entries({ key, receptance, logDecay, a, b })) {
    checkTensor(op, name, tensor, [batch, time, heads, keyDim]);
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
    keyDim,
    valueDim,
    chunkSize,
    keyQuads,
    valueQuads,
    scale: options.scale ?? 1,
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
    Math.max(9 * chunkSize * keyQuads, 4 * keyQuads * valueQuads, chunkSize * valueQuads);
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
  readonly value: Tensor;
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
  inputs: Rwkv7Inputs,
  state: Tensor,
): SpanWorkspace {
  const { heads, keyDim, valueDim, chunkSize, keyQuads, valueQuads, lanes, scale } = problem;
  const { receptance, logDecay, key, a, b } = inputs;
  const count = tables.chunks.length / 4;
  const sequenceCount = problem.sequences.length;
  const emptyRows = (): Tensor => gpu.empty([count, heads, chunkSize, 4 * valueQuads]);
  const emptyStates = (): Tensor =>
    gpu.empty([count + sequenceCount, heads, 4 * keyQuads, 4 * valueQuads]);
  const tensors = {
    chunks: gpu.tensor([count, 4], tables.chunks, "u32"),
    sequences: gpu.tensor([sequenceCount, 2], tables.sequences, "u32"),
    panels: gpu.empty([count, heads, 9, chunkSize, 4 * keyQuads]),
    pairs: gpu.empty([count, heads, 5, chunkSize, chunkSize]),
    value: emptyRows(),
    update: emptyRows(),
    states: emptyStates(),
  };
  const { chunks, sequences, panels, pairs, value, update, states } = tensors;
  const uniform = [heads, keyDim, valueDim, chunkSize, keyQuads, valueQuads];
  const grid: SpanWorkspace["grid"] = (items, [x, y] = [count, heads]) => ({
    constants: { LANES: lanes },
    uniform,
    workgroups: [x, y, Math.ceil(items / lanes)],
  });

  gpu.dispatch(GATHER_KEYS, {
    ...grid(keyQuads),
    constants: { LANES: lanes, SCALE: scale },
    read: { chunks, receptance, logDecay, key, a, b },
    write: { panels },
  });
  gpu.dispatch(GATHER_ROWS, {
    ...grid(chunkSize * valueQuads),
    read: { chunks, rows: inputs.value },
    write: { value },
  });
  gpu.dispatch(PAIRS, {
    ...grid((chunkSize / 4) ** 2),
    read: { panels },
    write: { pairs },
  });
  gpu.dispatch(SOLVE, {
    constants: { WORKGROUP_SIZE },
    uniform: [count * heads, chunkSize],
    write: { pairs },
    workgroups: Math.ceil(count * heads * chunkSize / 4 / WORKGROUP_SIZE),
  });
  gpu.dispatch(STATES, {
    ...grid(valueQuads, [sequenceCount, heads]),
    read: { sequences, panels, pairs, value },
    write: { update, states, state },
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

/** `initialStateGradient` holds the state's gradient at the span's end before, at its start after. */
function backwardSpan(
  gpu: Gpu,
  problem: Problem,
  span: SpanWorkspace,
  outputGradient: Tensor,
  gradients: Rwkv7Gradients,
): void {
  const { heads, chunkSize, keyQuads, valueQuads, lanes } = problem;
  const { chunks, sequences, panels, pairs, value, update, states, grid } = span;
  const { receptanceGradient, logDecayGradient, keyGradient, aGradient, bGradient } = gradients;
  const count = chunks.shape[0];
  using outputRows = span.emptyRows();
  using solved = span.emptyRows();
  using valueRows = span.emptyRows();
  using stateGradients = span.emptyStates();
  using pairGradients = gpu.empty([count, heads, 4, chunkSize, chunkSize]);
  using panelGradients = gpu.empty([count, heads, 4, chunkSize, 4 * keyQuads]);
  gpu.dispatch(GATHER_ROWS, {
    ...grid(chunkSize * valueQuads),
    read: { chunks, outputGradient },
    write: { outputRows },
  });
  gpu.dispatch(STATE_GRADIENTS, {
    ...grid(valueQuads, [problem.sequences.length, heads]),
    read: { sequences, panels, pairs, outputRows },
    write: { solved, stateGradients, stateGradient: gradients.initialStateGradient },
  });
  gpu.dispatch(VALUE_GRADIENTS, {
    ...grid(valueQuads),
    read: { chunks, panels, pairs, outputRows, solved, stateGradients },
    write: { valueRows },
  });
  gpu.dispatch(SCATTER_ROWS, {
    ...grid(chunkSize * valueQuads),
    read: { chunks, valueRows },
    write: { valueGradient: gradients.valueGradient },
  });
  gpu.dispatch(PAIR_GRADIENTS, {
    ...grid((chunkSize / 4) ** 2),
    read: { outputRows, solved, value, update },
    write: { pairGradients },
  });
  const products: [rows: Tensor, states: Tensor, after: number][] = [
    [outputRows, states, 0],
    [solved, states, 0],
    [value, stateGradients, 1],
    [update, stateGradients, 1],
  ];
  products.forEach(([rows, against, AFTER], PLANE) => {
    gpu.dispatch(PANEL_GRADIENTS, {
      ...grid(keyQuads),
      constants: { LANES: lanes, PLANE, AFTER },
      read: { chunks, rows, states: against },
      write: { panelGradients },
    });
  });
  gpu.dispatch(KEY_GRADIENTS, {
    ...grid(keyQuads),
    read: { panels, pairGradients },
    write: { panelGradients },
  });
  gpu.dispatch(SCATTER_KEYS, {
    ...grid(chunkSize * keyQuads),
    constants: { LANES: lanes, SCALE: problem.scale },
    read: { chunks, panelGradients },
    write: { receptanceGradient, aGradient, keyGradient, bGradient },
  });
  gpu.dispatch(DECAY_GRADIENT, {
    ...grid(keyQuads),
    read: { chunks, panels, panelGradients, states, stateGradients },
    write: { logDecayGradient },
  });
}
