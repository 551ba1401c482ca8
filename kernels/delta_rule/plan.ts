import { isSegmentation } from "../common/segments.ts";
import {
  anything,
  checkOptions,
  checkTensor,
  type Gpu,
  LOOP_ITERATIONS,
  type Tensor,
} from "../gpu/mod.ts";
import { DELTA_RULE_PASSES, TILE } from "./tiling.ts";

/** Rows of a block, the unit of all products and of what decays. */
export const BLOCK = 4;
/** The most rows of a chunk: pairs of all of them are in memory at once, and loops walk through them. */
const MOST_ROWS = 1024;
const DEFAULT_WORKSPACE_BYTES = 128 * 2 ** 20;
/** Chunks of a sequence that are worked on at once where they fit: fewer, and there are more spans. */
const CHUNKS_AT_ONCE = 8;
const BYTES_PER_BLOCK = 4 * BLOCK * BLOCK;

/** Options of {@linkcode deltaRule}. */
export interface DeltaRuleOptions {
  /**
   * Multiplies the query.
   *
   * @default {1 / Math.sqrt(keyDim)}
   */
  readonly scale?: number;
  /**
   * Rows per chunk, a multiple of 16 up to 1024. It changes the time taken, not the result.
   *
   * @default what is the fastest on the adapter: 16, or what was measured
   */
  readonly chunkSize?: number;
  /** Bounds of the sequences packed in a batch of 1, as `[0, 1, 100, 257]`; an empty one is allowed. */
  readonly segments?: readonly number[];
  /**
   * The most bytes that one workspace buffer may take: longer input is worked on span by span.
   *
   * @default {134_217_728}
   */
  readonly workspaceBytes?: number;
}

/** Which of the rules it is, as the shaders' conditions say it. */
export interface Conditions {
  /** Diagonal plus low rank, as in RWKV-7; the delta rule otherwise. */
  readonly LOW_RANK: boolean;
  readonly DECAYED: boolean;
  /** Whether each key channel has a decay of its own; the heads have one each otherwise. */
  readonly PER_CHANNEL: boolean;
}

/** Rows of one sequence: `[first, first + length)` of all rows, batch after batch. */
export interface Sequence {
  readonly first: number;
  readonly length: number;
}

/** How one call is laid out. */
export interface Plan {
  readonly conditions: Conditions;
  readonly scale: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** Blocks per chunk. */
  readonly blocks: number;
  /** Quads of channels that a row of keys takes; some products work on four of them at a time. */
  readonly keyQuads: number;
  readonly valueQuads: number;
  /** Kinds of rows, of rows and decayed rows, and of pairs: see workspace.wgsl. */
  readonly planes: { readonly rows: number; readonly panels: number; readonly pairs: number };
  /** Invocations of a workgroup. */
  readonly workgroupSize: number;
  /** Whether it is worked on token by token, with whole states in registers. */
  readonly inRegisters: boolean;
  readonly stateShape: readonly number[];
  readonly groups: readonly Group[];
}

/** Sequences that are worked on together. */
export interface Group {
  /** The first of them. */
  readonly firstSequence: number;
  /** How many there are. */
  readonly count: number;
  /** From the start of the sequences to their end. */
  readonly spans: readonly Span[];
}

/**
 * Chunks whose workspace fits in memory at once: the next few of every sequence of a group. Their
 * states lie in slots; one more than it has chunks for each sequence.
 */
export interface Span {
  /** A row per chunk: first row, rows, slot of the state before it, 0. */
  readonly chunks: readonly number[];
  /** A row per sequence that continues: first chunk, chunks, first slot, which of the group. */
  readonly sequences: readonly number[];
}

/**
 * Plans `value` `[batch, time, heads, valueDim]` with `key` `[batch, time, keyHeads, keyDim]`.
 *
 * @throws {RangeError} where an option is out of range, or the initial state does not fit.
 */
export function planChunks(
  op: string,
  gpu: Gpu,
  { key, value, initialState }: { key: Tensor; value: Tensor; initialState?: Tensor },
  options: DeltaRuleOptions,
  conditions: Conditions,
  defaultScale: number,
): Plan {
  // Their values are checked below, with what each depends on.
  checkOptions(op, options, {
    scale: anything,
    chunkSize: anything,
    workspaceBytes: anything,
    segments: anything,
  });
  const [batch, time, heads, valueDim] = value.shape;
  const [, , keyHeads, keyDim] = key.shape;
  const tuned = DELTA_RULE_PASSES[op.endsWith("Backward") ? "backward" : "forward"].choose(gpu, {
    batch,
    time,
    heads,
    keyHeads,
    keyDim,
    valueDim,
    rule: conditions.LOW_RANK ? "rwkv7" : "delta",
    decay: conditions.DECAYED ? conditions.PER_CHANNEL ? "key" : "head" : "none",
  });
  const { scale = defaultScale, chunkSize = tuned.chunkSize, segments } = options;
  const { workspaceBytes = DEFAULT_WORKSPACE_BYTES } = options;
  if (options.scale !== undefined && !Number.isFinite(Math.fround(scale))) {
    throw new RangeError(
      `Cannot run ${op}() as scale must be a finite number: current value is ${scale}`,
    );
  }
  if (!Number.isInteger(chunkSize) || chunkSize < TILE || chunkSize % TILE !== 0) {
    throw new RangeError(
      `Cannot run ${op}() as chunkSize must be a multiple of ${TILE}: current value is ${chunkSize}`,
    );
  }
  if (chunkSize > MOST_ROWS) {
    throw new RangeError(
      `Cannot run ${op}() as chunkSize must be at most ${MOST_ROWS}: current value is ${chunkSize}`,
    );
  }
  if (!(workspaceBytes > 0)) {
    throw new RangeError(
      `Cannot run ${op}() as workspaceBytes must be greater than 0: current value is ${workspaceBytes}`,
    );
  }
  const mostHeads = gpu.device.limits.maxComputeWorkgroupsPerDimension;
  if (heads > mostHeads) {
    throw new RangeError(
      `Cannot run ${op}() as value must have at most ${mostHeads} heads (the adapter's maxComputeWorkgroupsPerDimension): current number is ${heads}; run some heads at a time`,
    );
  }
  const sequences = sequencesOf(op, batch, time, segments);
  const stateShape = [sequences.length, heads, keyDim, valueDim];
  if (initialState) checkTensor(op, "initialState", initialState, stateShape);
  const { LOW_RANK, DECAYED } = conditions;
  const rows = LOW_RANK ? 4 : 3;
  const extents = {
    conditions,
    scale,
    heads,
    keyHeads,
    keyDim,
    valueDim,
    blocks: chunkSize / BLOCK,
    keyQuads: 4 * Math.ceil(keyDim / 16),
    valueQuads: Math.ceil(valueDim / 4),
    planes: { rows, panels: DECAYED ? 2 * rows : rows, pairs: LOW_RANK ? 4 : 2 },
    workgroupSize: tuned.workgroupSize,
    inRegisters: tuned.inRegisters === true &&
      (options.chunkSize ?? options.workspaceBytes ?? segments) === undefined,
    stateShape,
  };
  // Without keys or values there is nothing to compute: outputs and gradients are empty or zeros.
  const isEmpty = heads * keyDim * valueDim === 0;
  return {
    ...extents,
    groups: isEmpty ? [] : planGroups(sequences, chunkSize, limitsOf(gpu, extents, workspaceBytes)),
  };
}

interface Limits {
  /** Sequences that a dispatch may have. */
  readonly sequences: number;
  /** Chunks and sequences together that a span's workspace may hold. */
  readonly slots: number;
  /** Chunks of a sequence that loops may walk through. */
  readonly chunks: number;
}

function limitsOf(
  gpu: Gpu,
  extents: Omit<Plan, "groups">,
  workspaceBytes: number,
): Limits {
  const { heads, keyDim, blocks, keyQuads, valueQuads, planes } = extents;
  const { maxComputeWorkgroupsPerDimension } = gpu.device.limits;
  const bytes = BYTES_PER_BLOCK * heads * Math.max(
    planes.panels * blocks * keyQuads,
    planes.pairs * blocks ** 2,
    (blocks + 1) ** 2 * keyQuads / BLOCK,
    keyQuads * valueQuads,
    blocks * valueQuads,
  );
  // Iterations per chunk, and two more for each loop, of the kernels that pass states and gradients on.
  const loops = blocks / 4 * (keyQuads + 3) + blocks * (blocks / 2 + 3) +
    keyQuads / 4 * (blocks + 3) + 7;
  return {
    sequences: maxComputeWorkgroupsPerDimension,
    slots: Math.min(
      Math.floor(Math.min(workspaceBytes, gpu.bindingLimit) / bytes),
      maxComputeWorkgroupsPerDimension,
    ),
    chunks: Math.floor((LOOP_ITERATIONS - keyQuads - keyDim - 8) / loops),
  };
}

/** Cuts sequences into groups, and the chunks of each group into spans that keep the limits. */
function planGroups(
  sequences: readonly Sequence[],
  chunkSize: number,
  limits: Limits,
): Group[] {
  const chunksOf = ({ length }: Sequence): number => Math.ceil(length / chunkSize);
  const longest = sequences.reduce((most, sequence) => Math.max(most, chunksOf(sequence)), 0);
  const atOnce = Math.max(1, Math.min(longest, CHUNKS_AT_ONCE, limits.chunks));
  const size = Math.max(1, Math.min(limits.sequences, Math.floor(limits.slots / (atOnce + 1))));
  const groups: Group[] = [];
  for (let first = 0; first < sequences.length; first += size) {
    const members = sequences.slice(first, first + size);
    const perSequence = Math.max(
      1,
      Math.min(Math.floor(limits.slots / members.length) - 1, limits.chunks),
    );
    groups.push({
      firstSequence: first,
      count: members.length,
      spans: planSpans(members, chunkSize, perSequence),
    });
  }
  return groups;
}

function planSpans(
  members: readonly Sequence[],
  chunkSize: number,
  perSequence: number,
): Span[] {
  const spans: { chunks: number[]; sequences: number[] }[] = [];
  members.forEach(({ first, length }, member) => {
    const count = Math.ceil(length / chunkSize);
    for (let begin = 0, n = 0; begin < count; begin += perSequence, n++) {
      const { chunks, sequences } = spans[n] ??= { chunks: [], sequences: [] };
      const here = Math.min(perSequence, count - begin);
      const firstChunk = chunks.length / 4;
      const firstSlot = firstChunk + sequences.length / 4;
      sequences.push(firstChunk, here, firstSlot, member);
      for (let chunk = 0; chunk < here; chunk++) {
        const row = (begin + chunk) * chunkSize;
        chunks.push(first + row, Math.min(chunkSize, length - row), firstSlot + chunk, 0);
      }
    }
  });
  return spans;
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
  if (batch !== 1 || segments.length < 2 || !isSegmentation(segments, time)) {
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

/** Makes outputs like a tensor, to be written whole: by the kernels, or with zeros where none run. */
export function emptyFor(gpu: Gpu, { groups }: Plan): (like: Tensor) => Tensor {
  return ({ shape }) => groups.length === 0 ? gpu.tensor(shape) : gpu.empty(shape);
}

/** The output, and the final state as a copy of the initial one. */
export function openOutputs(
  gpu: Gpu,
  plan: Plan,
  { value, initialState }: { readonly value: Tensor; readonly initialState?: Tensor },
): { output: Tensor; finalState: Tensor } {
  return {
    output: emptyFor(gpu, plan)(value),
    finalState: cloneOrZeros(gpu, initialState, plan.stateShape),
  };
}
