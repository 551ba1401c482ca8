import { type Gpu, type Kernel, kernel, LOOP_ITERATIONS, type Tensor } from "../gpu/mod.ts";
import blocks from "./blocks.wgsl" with { type: "text" };
import gatherRowsSource from "./delta_rule_gather_rows.wgsl" with { type: "text" };
import outputsSource from "./delta_rule_outputs.wgsl" with { type: "text" };
import pairGradientsSource from "./delta_rule_pair_gradients.wgsl" with { type: "text" };
import panelGradientsSource from "./delta_rule_panel_gradients.wgsl" with { type: "text" };
import scatterRowsSource from "./delta_rule_scatter_rows.wgsl" with { type: "text" };
import solveSource from "./delta_rule_solve.wgsl" with { type: "text" };
import stateGradientsSource from "./delta_rule_state_gradients.wgsl" with { type: "text" };
import pairBlocks from "./pair_blocks.wgsl" with { type: "text" };
import panelBlocks from "./panel_blocks.wgsl" with { type: "text" };
import { cloneOrZeros, type Plan, type Span } from "./plan.ts";
import stateColumns from "./state_columns.wgsl" with { type: "text" };

const GATHER_ROWS = chunkKernel("delta_rule_gather_rows", gatherRowsSource);
const SCATTER_ROWS = chunkKernel("delta_rule_scatter_rows", scatterRowsSource);
const SOLVE = kernel("delta_rule_solve", solveSource);
const OUTPUTS = chunkKernel("delta_rule_outputs", outputsSource, panelBlocks, pairBlocks);
const STATE_GRADIENTS = chunkKernel(
  "delta_rule_state_gradients",
  stateGradientsSource,
  panelBlocks,
  pairBlocks,
  stateColumns,
);
const PAIR_GRADIENTS = chunkKernel("delta_rule_pair_gradients", pairGradientsSource);
const PANEL_GRADIENTS = chunkKernel("delta_rule_panel_gradients", panelGradientsSource);

const WORKGROUP_SIZE = 64;

/** A kernel that works on chunks: its source, and what all of these share. */
export function chunkKernel(label: string, ...sources: string[]): Kernel {
  return kernel(label, [...sources, blocks].join(""));
}

/** The workspace of one span; disposing of it frees all of it. */
export interface SpanWorkspace extends Disposable {
  readonly plan: Plan;
  readonly chunks: Tensor;
  readonly sequences: Tensor;
  readonly panels: Tensor;
  readonly pairs: Tensor;
  /** The value's rows. */
  readonly value: Tensor;
  readonly update: Tensor;
  readonly states: Tensor;
  /** Tensors of the shapes of `update`, `states`. */
  emptyRows(): Tensor;
  emptyStates(): Tensor;
  /** A dispatch of `items` invocations a chunk and head, or whatever x and y are. */
  grid(
    items: number,
    constants?: Record<string, number | boolean>,
    workgroupRows?: [number, number],
  ): Grid;
}

interface Grid {
  readonly constants: Record<string, number | boolean>;
  readonly uniform: readonly number[];
  readonly workgroups: [number, number, number];
}

/** Makes the workspace of a span, with the value's rows in it. */
export function openSpan(gpu: Gpu, plan: Plan, tables: Span, value: Tensor): SpanWorkspace {
  const { heads, keyHeads, keyDim, valueDim, chunkSize, keyQuads, valueQuads, lanes } = plan;
  const count = tables.chunks.length / 4;
  const sequences = plan.sequences.length;
  const emptyRows = (): Tensor => gpu.empty([count, heads, chunkSize, 4 * valueQuads]);
  const emptyStates = (): Tensor =>
    gpu.empty([count + sequences, heads, 4 * keyQuads, 4 * valueQuads]);
  const tensors = {
    chunks: gpu.tensor([count, 4], tables.chunks, "u32"),
    sequences: gpu.tensor([sequences, 2], tables.sequences, "u32"),
    panels: gpu.empty([count, heads, plan.planes.panels, chunkSize, 4 * keyQuads]),
    pairs: gpu.empty([count, heads, plan.planes.pairs, chunkSize, chunkSize]),
    value: emptyRows(),
    update: emptyRows(),
    states: emptyStates(),
  };
  const span: SpanWorkspace = {
    plan,
    ...tensors,
    emptyRows,
    emptyStates,
    grid: (items, constants, [x, y] = [count, heads]) => ({
      constants: { LANES: lanes, ...constants },
      uniform: [heads, keyHeads, keyDim, valueDim, chunkSize, keyQuads, valueQuads],
      workgroups: [x, y, Math.ceil(items / lanes)],
    }),
    [Symbol.dispose]: () => {
      for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
    },
  };
  gatherRows(gpu, span, value, tensors.value);
  return span;
}

/** Copies value-like rows in sequence order into panels, padded with zeros. */
export function gatherRows(gpu: Gpu, span: SpanWorkspace, rows: Tensor, panels: Tensor): void {
  const { chunkSize, valueQuads } = span.plan;
  gpu.dispatch(GATHER_ROWS, {
    ...span.grid(chunkSize * valueQuads),
    read: { chunks: span.chunks, rows },
    write: { panels },
  });
}

/** Copies value-like rows from panels back into sequence order, each times its entry of `factors`. */
export function scatterRows(
  gpu: Gpu,
  span: SpanWorkspace,
  panels: Tensor,
  rows: Tensor,
  factors?: Tensor,
): void {
  const { chunkSize, valueQuads } = span.plan;
  gpu.dispatch(SCATTER_ROWS, {
    ...span.grid(chunkSize * valueQuads, { HAS_FACTORS: factors !== undefined }),
    read: { chunks: span.chunks, factors: factors ?? panels, panels },
    write: { rows },
  });
}

/** Solves the triangular systems of all chunks, with `beta` of each row or without. */
export function solve(gpu: Gpu, { plan, chunks, pairs }: SpanWorkspace, beta?: Tensor): void {
  const { heads, chunkSize, planes } = plan;
  const units = chunks.shape[0] * heads;
  gpu.dispatch(SOLVE, {
    constants: { WORKGROUP_SIZE, PAIRS: planes.pairs, HAS_BETA: beta !== undefined },
    uniform: [units, chunkSize],
    read: { beta: beta ?? chunks },
    write: { pairs },
    workgroups: Math.ceil(units * chunkSize / 4 / WORKGROUP_SIZE),
  });
}

/** The outputs' rows, from the updates and with `value` from the values as well. */
export function workOutputs(
  gpu: Gpu,
  span: SpanWorkspace,
  outputs: Tensor,
  value?: Tensor,
): void {
  const { chunks, panels, pairs, update, states } = span;
  const { valueQuads, planes } = span.plan;
  gpu.dispatch(OUTPUTS, {
    ...span.grid(valueQuads, {
      PANELS: planes.panels,
      PAIRS: planes.pairs,
      HAS_VALUE: value !== undefined,
    }),
    read: { chunks, panels, pairs, value: value ?? update, update, states },
    write: { outputs },
  });
}

/** Gradients of a span; disposing of it frees all of it. */
export interface SpanGradients extends Disposable {
  readonly outputRows: Tensor;
  /** Into the right side of the triangular systems: dY. */
  readonly solved: Tensor;
  readonly stateGradients: Tensor;
  readonly pairGradients: Tensor;
  readonly panelGradients: Tensor;
}

/**
 * Goes back from the output to states, pairs and panels, for the delta rule with `beta`, for RWKV-7
 * with `value`. `stateGradient` holds that at the span's end before, at its start after.
 */
export function openGradients(
  gpu: Gpu,
  span: SpanWorkspace,
  outputGradient: Tensor,
  stateGradient: Tensor,
  { beta, value }: { readonly beta?: Tensor; readonly value?: Tensor },
): SpanGradients {
  const { plan, chunks, sequences, panels, pairs, update, states, grid } = span;
  const { heads, chunkSize, keyQuads, valueQuads, planes } = plan;
  const count = chunks.shape[0];
  const tensors = {
    outputRows: span.emptyRows(),
    solved: span.emptyRows(),
    stateGradients: span.emptyStates(),
    pairGradients: gpu.empty([count, heads, planes.pairGradients, chunkSize, chunkSize]),
    panelGradients: gpu.empty([count, heads, planes.panelGradients, chunkSize, 4 * keyQuads]),
  };
  const { outputRows, solved, stateGradients, pairGradients, panelGradients } = tensors;
  gatherRows(gpu, span, outputGradient, outputRows);
  const constants = {
    PANELS: planes.panels,
    PAIRS: planes.pairs,
    HAS_BETA: beta !== undefined,
  };
  gpu.dispatch(STATE_GRADIENTS, {
    ...grid(valueQuads, constants, [plan.sequences.length, heads]),
    read: { sequences, panels, pairs, beta: beta ?? chunks, outputRows },
    write: { solved, stateGradients, stateGradient },
  });
  gpu.dispatch(PAIR_GRADIENTS, {
    ...grid((chunkSize / 4) ** 2, {
      PLANES: planes.pairGradients,
      HAS_VALUE: value !== undefined,
    }),
    read: { outputRows, solved, value: value ?? update, update },
    write: { pairGradients },
  });
  const products: [rows: Tensor, states: Tensor, after: number][] = [
    [outputRows, states, 0],
    [solved, states, 0],
    [update, stateGradients, 1],
  ];
  if (value) products.push([value, stateGradients, 1]);
  products.forEach(([rows, against, AFTER], PLANE) => {
    gpu.dispatch(PANEL_GRADIENTS, {
      ...grid(keyQuads, { PLANES: planes.panelGradients, PLANE, AFTER }),
      read: { chunks, rows, states: against },
      write: { panelGradients },
    });
  });
  return {
    ...tensors,
    [Symbol.dispose]: () => {
      for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
    },
  };
}

/** Works the spans from the last: each `forward` again, from the state at its start, then `backward`. */
export function workBackward<S extends SpanWorkspace>(
  gpu: Gpu,
  { spans, stateShape }: Plan,
  initialState: Tensor | undefined,
  forward: (tables: Span, state: Tensor) => S,
  backward: (span: S) => void,
): void {
  const starts = [cloneOrZeros(gpu, initialState, stateShape)];
  for (const tables of spans.slice(0, -1)) {
    const state = cloneOrZeros(gpu, starts.at(-1), stateShape);
    forward(tables, state)[Symbol.dispose]();
    starts.push(state);
  }
  for (const tables of spans.toReversed()) {
    using state = starts.pop()!;
    using span = forward(tables, state);
    backward(span);
  }
  for (const state of starts) state[Symbol.dispose]();
}

/** Dispatches a token-by-token kernel: one invocation a column of the state, and as long as loops may be. */
export function workTokenByToken(
  gpu: Gpu,
  kernel: Kernel,
  plan: Plan,
  value: Tensor,
  initialState: Tensor | undefined,
  { constants, read }: {
    readonly constants: Record<string, number | boolean>;
    readonly read: Readonly<Record<string, Tensor>>;
  },
): { output: Tensor; finalState: Tensor } {
  const { heads, keyHeads, keyDim, valueDim, lanes, stateShape } = plan;
  const output = gpu.empty(value.shape);
  const finalState = cloneOrZeros(gpu, initialState, stateShape);
  const [batch, time] = value.shape;
  const slice = Math.max(1, Math.floor(LOOP_ITERATIONS / (2 * keyDim + 5)));
  for (let begin = 0; begin < time; begin += slice) {
    gpu.dispatch(kernel, {
      constants: { LANES: lanes, ...constants },
      uniform: [time, begin, Math.min(begin + slice, time), heads, keyHeads, keyDim, valueDim],
      read,
      write: { output, finalState },
      workgroups: [batch, heads, Math.ceil(valueDim / lanes)],
    });
  }
  return { output, finalState };
}
