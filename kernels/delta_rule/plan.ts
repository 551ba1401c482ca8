import { checkTensor, type Gpu, LOOP_ITERATIONS, type Tensor } from "../gpu/mod.ts";
import type { DeltaRuleOptions } from "./delta_rule.ts";

const DEFAULT_WORKSPACE_BYTES = 128 * 2 ** 20;

/** Planes that a chunk and head has in the workspace. */
export interface Planes {
  /** Of rows as wide as a key. */
  readonly panels: number;
  /** Of pairs of rows. */
  readonly pairs: number;
  readonly panelGradients: number;
  readonly pairGradients: number;
}

/** How one call is laid out. */
export interface Plan {
  readonly heads: number;
  readonly keyHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly chunkSize: number;
  /** Quads of channels a row of keys takes; every product works on 16 key channels at a time. */
  readonly keyQuads: number;
  readonly valueQuads: number;
  readonly planes: Planes;
  /** Invocations a workgroup. A software adapter's vectors are 8 wide, a GPU's 32 or more. */
  readonly lanes: number;
  readonly sequences: readonly Sequence[];
  readonly stateShape: readonly number[];
  readonly spans: readonly Span[];
}

/**
 * Plans `value` `[batch, time, heads, valueDim]` with `key` `[batch, time, keyHeads, keyDim]`.
 *
 * @throws {RangeError} where chunkSize or segments are not as said, or the initial state does not fit.
 */
export function planChunks(
  op: string,
  gpu: Gpu,
  { key, value, initialState }: { key: Tensor; value: Tensor; initialState?: Tensor },
  options: DeltaRuleOptions,
  planes: Planes,
): Plan {
  const { chunkSize = 16, segments, workspaceBytes = DEFAULT_WORKSPACE_BYTES } = options;
  const [batch, time, heads, valueDim] = value.shape;
  const [, , keyHeads, keyDim] = key.shape;
  if (!Number.isInteger(chunkSize) || chunkSize < 16 || chunkSize % 16 !== 0) {
    throw new RangeError(
      `Cannot run ${op}() as chunkSize must be a multiple of 16: current value is ${chunkSize}`,
    );
  }
  const sequences = sequencesOf(op, batch, time, segments);
  const stateShape = [sequences.length, heads, keyDim, valueDim];
  if (initialState) checkTensor(op, "initialState", initialState, stateShape);
  const extents = {
    heads,
    keyHeads,
    keyDim,
    valueDim,
    chunkSize,
    keyQuads: 4 * Math.ceil(keyDim / 16),
    valueQuads: Math.ceil(valueDim / 4),
    planes,
    lanes: gpu.adapter.software ? 8 : 32,
    sequences,
    stateShape,
  };
  const perSpan = chunksPerSpan(gpu, extents, workspaceBytes);
  return { ...extents, spans: planSpans(sequences, chunkSize, perSpan) };
}

/** How many chunks of each sequence fit the memory, the workgroup counts and the loops of a dispatch. */
function chunksPerSpan(gpu: Gpu, extents: Omit<Plan, "spans">, workspaceBytes: number): number {
  const { heads, chunkSize, keyQuads, valueQuads, planes, sequences } = extents;
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = gpu.device.limits;
  const bytes = 16 * heads * Math.max(
    planes.panels * chunkSize * keyQuads,
    4 * keyQuads * valueQuads,
    chunkSize * valueQuads,
  );
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
      Math.floor(chunks / sequences.length) - 1, // a state more than chunks in each sequence
      Math.floor((LOOP_ITERATIONS - 8 * keyQuads) / loops),
    ),
  );
}

/** Rows of one sequence: `[first, first + length)` of all rows, batch after batch. */
export interface Sequence {
  readonly first: number;
  readonly length: number;
}

/**
 * Chunks whose workspace fits in memory at once: the next few of every sequence. Their states lie in
 * slots; chunk n of all, in sequence s, begins with the state in slot n + s and ends with slot n + s + 1.
 */
export interface Span {
  /** A row a chunk: first row, rows, slot, 0. */
  readonly chunks: readonly number[];
  /** A row a sequence: first chunk, chunks. */
  readonly sequences: readonly number[];
}

/** Cuts sequences into chunks of `chunkSize` rows, and these into spans of `perSequence` chunks of each. */
function planSpans(
  sequences: readonly Sequence[],
  chunkSize: number,
  perSequence: number,
): Span[] {
  const longest = Math.max(0, ...sequences.map(({ length }) => Math.ceil(length / chunkSize)));
  return Array.from({ length: Math.ceil(longest / perSequence) }, (_, span) => {
    const chunks: number[] = [];
    const table: number[] = [];
    sequences.forEach(({ first, length }, sequence) => {
      const begin = span * perSequence;
      const end = Math.min(begin + perSequence, Math.ceil(length / chunkSize));
      table.push(chunks.length / 4, Math.max(0, end - begin));
      for (let chunk = begin; chunk < end; chunk++) {
        const row = chunk * chunkSize;
        const slot = chunks.length / 4 + sequence;
        chunks.push(first + row, Math.min(chunkSize, length - row), slot, 0);
      }
    });
    return { chunks, sequences: table };
  });
}

/** The sequences of a batch: its rows, or with `segments` the parts of its only row. */
function sequencesOf(
  op: string,
  batch: number,
  time: number,
  segments: readonly number[] | undefined,
): Sequence[] {
  if (segments === undefined) {
    return Array.from({ length: batch }, (_, i) => ({ first: i * time, length: time }));
  }
  const rises = segments.every((bound, i) =>
    Number.isInteger(bound) && bound >= (i === 0 ? 0 : segments[i - 1])
  );
  if (
    batch !== 1 || segments.length < 2 || segments[0] !== 0 || segments.at(-1) !== time || !rises
  ) {
    throw new RangeError(
      `Cannot run ${op}() as segments must rise from 0 to the time ${time} of a batch of 1: current segments are [${segments}] in a batch of ${batch}`,
    );
  }
  return segments.slice(1).map((end, i) => ({ first: segments[i], length: end - segments[i] }));
}

/** A copy of a tensor, or zeros of that shape. */
export function cloneOrZeros(
  gpu: Gpu,
  source: Tensor | undefined,
  shape: readonly number[],
): Tensor {
  if (source === undefined) return gpu.tensor(shape);
  const copy = gpu.empty(shape);
  gpu.copy(source, copy);
  return copy;
}
