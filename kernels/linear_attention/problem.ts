import { resizeRows } from "../common/resize_rows.ts";
import { isSegmentation } from "../common/segments.ts";
import {
  aboveZero,
  anything,
  checkOptions,
  checkRank,
  checkTensor,
  elementCount,
  finite,
  flag,
  FLOATS,
  type FloatType,
  type Gpu,
  integers,
  LOOP_ITERATIONS,
  type Tensor,
} from "../gpu/mod.ts";
import { BLOCK, cutIntoSlabs, type Slab } from "./slabs.ts";
import { type ChunkValues, LINEAR_ATTENTION_PASSES, oneChunkTokens } from "./tiling.ts";

const WORKGROUP_SIZE = 64;
/** A register tile's width: rows of keys and values are filled up with zeros to a multiple of it. */
const TILE = 8;

/** Names of inputs that have a row per token or per head. */
export const ROWS = ["query", "key", "value", "logDecay", "bonus"];
/** Names of inputs; an op and its gradients may be handed the same. */
export const INPUTS = [...ROWS, "initialState", "outputGradient", "finalStateGradient"];

/** What {@linkcode linearAttention} takes: query, key and value all stored as f32 or all as f16, the rest as f32. */
export interface LinearAttentionInputs {
  /** `[batch, time, groups, keyDim]`; `heads / groups` heads share a group. */
  readonly query: Tensor;
  /** `[batch, time, groups, keyDim]`. */
  readonly key: Tensor;
  /** `[batch, time, heads, valueDim]`. */
  readonly value: Tensor;
  /** g ≤ 0, one per head or one per key: `[batch, time, heads]` or `[batch, time, heads, keyDim]`. */
  readonly logDecay?: Tensor;
  /** u of RWKV-6: `[heads, keyDim]`. */
  readonly bonus?: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with `segments` `[segments, heads, keyDim, valueDim]`; zeros by default. */
  readonly initialState?: Tensor;
}

/** Options of {@linkcode linearAttention}. */
export interface LinearAttentionOptions {
  /** Multiplies the query. @default 1/√keyDim */
  readonly scale?: number;
  /** Tokens of a chunk, a multiple of 8; the adapter decides by default. It changes speed alone. */
  readonly chunkSize?: number;
  /**
   * Bytes that an intermediate tensor may take: a longer sequence is worked on slab by slab. The
   * adapter decides by default; it changes speed and memory alone.
   */
  readonly workspaceBytes?: number;
  /**
   * Sequences packed contiguously in a batch of 1: where each begins, and the end of the
   * last, as in `[0, 1, 100, 257]`. Each has a state of its own; one may be empty.
   */
  readonly segments?: readonly number[];
  /** Whether the final state is wanted: it costs time where nothing continues. @default true */
  readonly finalState?: boolean;
}

const RULES = {
  scale: finite,
  chunkSize: anything, // checked with what it must be a multiple of
  workspaceBytes: aboveZero,
  segments: integers(),
  finalState: flag,
};

/** A checked call: extents, and the inputs filled up to whole tiles. */
export interface Problem extends Disposable {
  readonly gpu: Gpu;
  readonly rows: number;
  readonly heads: number;
  readonly groups: number;
  readonly sequences: number;
  /** In the caller's tensors. */
  readonly keyDim: number;
  /** In the caller's tensors. */
  readonly valueDim: number;
  /** In vectors of 4, of a filled-up row. */
  readonly keyVectors: number;
  /** In vectors of 4, of a filled-up row. */
  readonly valueVectors: number;
  readonly scale: number;
  /** First row of each sequence, and the end of the last. */
  readonly bounds: readonly number[];
  readonly slabs: readonly Slab[];
  /** Blocks of a chunk. */
  readonly blocks: number;
  /** Whether `logDecay` has a value per key. */
  readonly perKey: boolean;
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  readonly logDecay?: Tensor;
  readonly bonus?: Tensor;
  readonly initialState?: Tensor;
  /** `tensor` with its last axis, or the last two of a state, filled up; what it makes is freed with the problem. */
  fill(tensor: Tensor, kind: RowKind): Tensor;
  /** The caller's form of a filled-up tensor, stored as told, which is freed where it had to be copied. */
  cut(tensor: Tensor, kind: RowKind, shape: readonly number[], dtype?: FloatType): Tensor;
}

/** What the last axes of a tensor are. */
export type RowKind = "key" | "value" | "state";

/** How many workgroups run `count` invocations. */
export function workgroupsFor(count: number): number {
  return Math.ceil(count / WORKGROUP_SIZE);
}

/** Extents of a call's inputs. */
export interface Extents {
  readonly batch: number;
  readonly time: number;
  readonly groups: number;
  readonly heads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly decay: "none" | "head" | "key";
}

/** Checks a call's inputs against one another. @throws {RangeError} where a shape does not fit. */
export function checkInputs(
  op: string,
  inputs: Omit<LinearAttentionInputs, "initialState">,
): Extents {
  const { query, key, value, logDecay, bonus } = inputs;
  checkRank(op, "query", query, ["batch", "time", "groups", "keyDim"]);
  checkRank(op, "value", value, ["batch", "time", "heads", "valueDim"]);
  const [batch, time, groups, keyDim] = query.shape;
  const [, , heads, valueDim] = value.shape;
  checkTensor(op, "query", query, query.shape, FLOATS);
  checkTensor(op, "key", key, query.shape, query.dtype);
  checkTensor(op, "value", value, [batch, time, heads, valueDim], query.dtype);
  if (groups === 0 || heads % groups !== 0) {
    throw new RangeError(
      `Cannot run ${op}() as the heads of value must be a multiple of the groups of query: current numbers are ${heads} and ${groups}`,
    );
  }
  const decay = logDecay === undefined ? "none" : logDecay.shape.length === 3 ? "head" : "key";
  if (logDecay !== undefined) {
    const perHead = [batch, time, heads];
    checkTensor(op, "logDecay", logDecay, decay === "head" ? perHead : [...perHead, keyDim]);
  }
  if (bonus !== undefined) checkTensor(op, "bonus", bonus, [heads, keyDim]);
  return { batch, time, groups, heads, keyDim, valueDim, decay };
}

/** What multiplies the query. */
export function scaleOf({ scale }: LinearAttentionOptions, keyDim: number): number {
  return scale ?? 1 / Math.sqrt(Math.max(1, keyDim));
}

/** Checks a whole call. @throws {RangeError} where a shape or an option does not fit. */
export function checkCall(
  op: string,
  inputs: LinearAttentionInputs,
  options: LinearAttentionOptions,
): Extents & { readonly bounds: readonly number[] } {
  const extents = checkInputs(op, inputs);
  checkOptions(op, options, RULES);
  const { batch, time, heads, keyDim, valueDim } = extents;
  const bounds = sequenceBounds(op, batch, time, options.segments);
  if (inputs.initialState !== undefined) {
    const shape = [bounds.length - 1, heads, keyDim, valueDim];
    checkTensor(op, "initialState", inputs.initialState, shape);
  }
  return { ...extents, bounds };
}

/** What the family's table has for a call. */
export function tunedFor(
  pass: "forward" | "backward",
  gpu: Gpu,
  { batch, time, groups, heads, keyDim, valueDim, decay }: Extents,
  { query, bonus }: LinearAttentionInputs,
): ChunkValues {
  return LINEAR_ATTENTION_PASSES[pass].choose(gpu, {
    batch,
    time,
    groups,
    heads,
    keyDim,
    valueDim,
    decay,
    bonus: bonus !== undefined,
    dtype: query.dtype,
  });
}

/** Whether a call is worked on token by token, with whole states in registers. */
export function isInRegisters(
  { inRegisters }: ChunkValues,
  { chunkSize, workspaceBytes, segments }: LinearAttentionOptions,
): boolean {
  return inRegisters === true && (chunkSize ?? workspaceBytes ?? segments) === undefined;
}

/** Checks a call and fills its inputs up. @throws {RangeError} where a shape does not fit. */
export function prepare(
  gpu: Gpu,
  op: string,
  inputs: LinearAttentionInputs,
  options: LinearAttentionOptions,
  tuned: ChunkValues,
): Problem {
  const { query, key, value, logDecay, bonus, initialState } = inputs;
  const { batch, time, groups, heads, keyDim, valueDim, decay, bounds } = checkCall(
    op,
    inputs,
    options,
  );
  const sequences = bounds.length - 1;
  const bytes = Math.min(tuned.workspaceBytes, gpu.bindingLimit);
  const longest = bounds.reduce((most, end, s) => Math.max(most, end - (bounds[s - 1] ?? 0)), 1);
  const whole = Math.ceil(longest / BLOCK) * BLOCK;
  // Rows of nothing are filled up to a tile of zeros too: what is summed over them is 0.
  const filledKey = Math.max(1, Math.ceil(keyDim / TILE)) * TILE;
  const filledValue = Math.max(1, Math.ceil(valueDim / TILE)) * TILE;
  // The largest intermediates of a chunk: states; scores and their transpose; decayed queries and
  // keys; what input_gradient leaves for decay_carry.
  const bytesOfChunk = (size: number): number =>
    4 * heads * Math.max(
      filledKey * filledValue,
      2 * size ** 2,
      2 * size * filledKey,
      (size / BLOCK) ** 2 * filledKey,
    );
  const isOneChunk = whole <= oneChunkTokens(gpu) && bytesOfChunk(whole) <= gpu.bindingLimit &&
    decay !== "key" && (bonus ?? initialState) === undefined;
  const suited = isOneChunk ? whole : Math.min(whole, tuned.chunkSize);
  const { chunkSize = suited, workspaceBytes = bytes } = options;
  if (!Number.isInteger(chunkSize) || chunkSize <= 0 || chunkSize % BLOCK !== 0) {
    throw new RangeError(
      `Cannot run ${op}() as chunkSize must be a positive multiple of ${BLOCK}: current value is ${chunkSize}`,
    );
  }

  const owned: Tensor[] = [];
  const rows = batch * time;
  const blocks = chunkSize / BLOCK;
  // States pass from chunk to chunk in a loop: a slab has no more of them than it goes round.
  const fitting = Math.floor(workspaceBytes / bytesOfChunk(chunkSize));
  const slabChunks = Math.min(LOOP_ITERATIONS, Math.max(1, fitting));
  const own = (tensor: Tensor): Tensor => {
    owned.push(tensor);
    return tensor;
  };
  const fill = (tensor: Tensor, kind: RowKind): Tensor => {
    const dim = kind === "key" ? keyDim : valueDim;
    const filled = kind === "key" ? filledKey : filledValue;
    if (tensor.size === 0) {
      const perRow = kind === "state" ? filledKey : 1;
      const count = elementCount(tensor.shape.slice(0, kind === "state" ? -2 : -1));
      return own(gpu.tensor([count * perRow, filled], undefined, tensor.dtype));
    }
    let result = tensor;
    if (dim !== filled) {
      result = own(resizeRows(gpu, result, { from: dim, to: filled }));
    }
    if (kind === "state" && keyDim !== filledKey) {
      const [from, to] = [keyDim * filledValue, filledKey * filledValue];
      result = own(resizeRows(gpu, result, { from, to }));
    }
    return result;
  };
  const cut = (
    tensor: Tensor,
    kind: RowKind,
    shape: readonly number[],
    dtype = tensor.dtype,
  ): Tensor => {
    if (elementCount(shape) === 0) {
      tensor[Symbol.dispose]();
      return gpu.empty(shape, dtype);
    }
    const dim = kind === "key" ? keyDim : valueDim;
    const filled = kind === "key" ? filledKey : filledValue;
    let result = tensor;
    if (kind === "state" && keyDim !== filledKey) {
      const [from, to] = [filledKey * filledValue, keyDim * filledValue];
      result = own(resizeRows(gpu, result, { from, to }));
    }
    if (dim !== filled || dtype !== result.dtype) {
      result = own(resizeRows(gpu, result, { from: filled, to: dim, dtype }));
    }
    const out = result.reshape(shape);
    tensor[Symbol.dispose]();
    return out;
  };
  // With a bonus an output reads the state before its token's update, which the decayed path does.
  const filledDecay = logDecay === undefined
    ? bonus && own(gpu.tensor([batch, time, heads]))
    : decay === "key"
    ? fill(logDecay, "key")
    : logDecay;
  return {
    gpu,
    rows,
    heads,
    groups,
    sequences,
    keyDim,
    valueDim,
    keyVectors: filledKey / 4,
    valueVectors: filledValue / 4,
    scale: scaleOf(options, keyDim),
    bounds,
    slabs: cutIntoSlabs(gpu, bounds, chunkSize, slabChunks),
    blocks,
    perKey: decay === "key",
    query: fill(query, "key"),
    key: fill(key, "key"),
    value: fill(value, "value"),
    logDecay: filledDecay,
    bonus: bonus && fill(bonus, "key"),
    initialState: initialState && fill(initialState, "state"),
    fill,
    cut,
    [Symbol.dispose](): void {
      for (const tensor of owned) tensor[Symbol.dispose]();
    },
  };
}

function sequenceBounds(
  op: string,
  batch: number,
  time: number,
  segments: readonly number[] | undefined,
): readonly number[] {
  if (segments === undefined) return Array.from({ length: batch + 1 }, (_, b) => b * time);
  if (batch !== 1) {
    throw new RangeError(
      `Cannot run ${op}() as packed segments need a batch of 1: current batch is ${batch}`,
    );
  }
  if (!isSegmentation(segments, time)) {
    throw new RangeError(
      `Cannot run ${op}() as segments must rise from 0 to ${time}: current value is [${segments}]`,
    );
  }
  return segments;
}
