import { type Gpu, type Kernel, kernel, LOOP_ITERATIONS, type Tensor } from "../gpu/mod.ts";
import blocksSource from "./blocks.wgsl" with { type: "text" };
import gatherRowsSource from "./delta_rule_gather_rows.wgsl" with { type: "text" };
import scatterRowsSource from "./delta_rule_scatter_rows.wgsl" with { type: "text" };
import { cloneOrZeros, type Plan, type Span } from "./plan.ts";

const GATHER_ROWS = chunkKernel("delta_rule_gather_rows", gatherRowsSource);
const SCATTER_ROWS = chunkKernel("delta_rule_scatter_rows", scatterRowsSource);

/** A kernel that works on chunks: its source, and what all of these share. */
export function chunkKernel(label: string, ...sources: string[]): Kernel {
  return kernel(label, [...sources, blocksSource].join(""));
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
  const slice = Math.max(1, Math.floor(LOOP_ITERATIONS / (2 * keyDim + 3)));
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
