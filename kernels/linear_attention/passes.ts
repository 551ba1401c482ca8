import type { Tensor } from "../gpu/mod.ts";
import { type Problem, workgroupsFor } from "./problem.ts";
import { LINEAR_ATTENTION } from "./shaders.ts";
import { BLOCK, type Slab } from "./slabs.ts";

const CHUNK_DECAY = LINEAR_ATTENTION.kernel("chunk_decay");
const CHUNK_SCORES = LINEAR_ATTENTION.kernel("chunk_scores");
const DIAGONAL_SCORES = LINEAR_ATTENTION.kernel("diagonal_scores");
const CHUNK_STATES = LINEAR_ATTENTION.kernel("chunk_states");
const PASS_STATES = LINEAR_ATTENTION.kernel("pass_states");
const INPUT_GRADIENT = LINEAR_ATTENTION.kernel("input_gradient");
const CHUNK_OUTPUTS = LINEAR_ATTENTION.kernel("chunk_outputs");

/** Rows of queries or keys as a kernel reads them. */
export interface Rows {
  readonly tensor: Tensor;
  /** Heads of a row. */
  readonly heads: number;
  /** Where row 0 of the whole would lie, in vectors of 4: before the tensor, where it holds one slab. */
  readonly offset: number;
}

/** How the tokens of chunks decay; empty where nothing does. */
export interface ChunkDecays {
  /** By keys and blocks: `[chunks, blocks, heads, 3, keyDim]`. */
  readonly decays?: Tensor;
  /** Of heads whose keys decay alike, from a chunk's start to each token: `[chunks, heads, chunkSize]`. */
  readonly fromStart?: Tensor;
  /** The same, from each token to the chunk's end. */
  readonly toEnd?: Tensor;
}

/** Queries and keys as the chunked products take them. */
export interface Decayed extends ChunkDecays, Disposable {
  readonly query: Rows;
  readonly key: Rows;
}

/** Rows of the caller's, with so many heads. */
export function rowsOf(tensor: Tensor, heads: number): Rows {
  return { tensor, heads, offset: 0 };
}

/** The uniform of kernels that read queries and keys as the caller gives them: `rows.wgsl`. */
export function rowExtents(problem: Problem, slab: Slab): Record<string, number | boolean> {
  const { heads, groups, keyVectors, blocks, scale } = problem;
  const { count: chunks, firstChunk, firstRow, rows } = slab;
  return {
    chunks,
    heads,
    groups,
    keyVectors,
    blocks,
    firstChunk,
    firstRow,
    rows,
    transposed: false,
    scale,
  };
}

/** The uniform of products over whole chunks, `chunk_tiles.wgsl`, of rows `a`. */
export function tileExtents(
  { heads, keyVectors, valueVectors, blocks }: Problem,
  { count: chunks }: Slab,
  a: Pick<Rows, "heads" | "offset">,
): Record<string, number | boolean> {
  return {
    chunks,
    heads,
    aHeads: a.heads,
    keyVectors,
    valueVectors,
    blocks,
    aOffset: a.offset,
    ownOffset: 0,
    backward: false,
    scale: 1,
  };
}

/** Decays queries and keys to the borders of their blocks; without decay they are as they were. */
export function decayToBlocks(problem: Problem, slab: Slab): Decayed {
  const { gpu, heads, groups, keyVectors, blocks, query, key, logDecay } = problem;
  const { chunks, count, rows, firstRow } = slab;
  if (logDecay === undefined) {
    return {
      query: rowsOf(query, groups),
      key: rowsOf(key, groups),
      [Symbol.dispose](): void {},
    };
  }
  const decayed = gpu.empty([2, rows, heads, keyVectors * 4]);
  const decays = gpu.empty([count, blocks, heads, 3, keyVectors * 4]);
  gpu.dispatch(CHUNK_DECAY, {
    constants: {
      Element: query.dtype,
      PER_KEY: problem.perKey,
      READS_BEFORE: problem.bonus !== undefined,
    },
    uniform: rowExtents(problem, slab),
    read: { chunks, query, key, logDecay },
    write: { decayed, decays },
    workgroups: workgroupsFor(count * heads * keyVectors),
  });
  return {
    query: { tensor: decayed, heads, offset: -firstRow * heads * keyVectors },
    key: { tensor: decayed, heads, offset: (rows - firstRow) * heads * keyVectors },
    decays,
    [Symbol.dispose](): void {
      decayed[Symbol.dispose]();
      decays[Symbol.dispose]();
    },
  };
}

/** `scale * decay_ij * query_i · key_j` in each chunk: `[1 or 2, chunks, heads, chunkSize, chunkSize]`. */
export function queryKeyScores(
  problem: Problem,
  slab: Slab,
  decayed: Decayed,
  options: { transposed: boolean },
): Tensor {
  const { gpu, heads, blocks, keyVectors, logDecay } = problem;
  const { transposed } = options;
  const scores = emptyScores(problem, slab, transposed);
  if (logDecay === undefined || blocks > 1) {
    dispatchScores(problem, slab, scores, decayed.query, decayed.key, keyVectors, {
      decays: decayed.decays,
      diagonal: logDecay === undefined,
      transposed,
    });
  }
  if (logDecay !== undefined) {
    gpu.dispatch(DIAGONAL_SCORES, {
      constants: { Element: problem.query.dtype, PER_KEY: problem.perKey },
      uniform: { ...rowExtents(problem, slab), transposed },
      read: {
        chunks: slab.chunks,
        query: problem.query,
        key: problem.key,
        logDecay,
        bonus: problem.bonus,
      },
      write: { scores },
      workgroups: workgroupsFor(slab.count * heads * blocks),
    });
  }
  return scores;
}

/** `scale * output gradient_i · value_j` in each chunk, and transposed: `[2, chunks, heads, chunkSize, chunkSize]`. */
export function gradientValueScores(
  problem: Problem,
  slab: Slab,
  outputGradient: Tensor,
): Tensor {
  const scores = emptyScores(problem, slab, true);
  const { heads, value, valueVectors } = problem;
  const [gradients, values] = [rowsOf(outputGradient, heads), rowsOf(value, heads)];
  dispatchScores(problem, slab, scores, gradients, values, valueVectors, {
    decays: undefined,
    diagonal: true,
    transposed: true,
  });
  return scores;
}

/** For scores of each chunk and head, and transposed. */
export function emptyScores(
  { gpu, heads, blocks }: Problem,
  slab: Slab,
  transposed: boolean,
): Tensor {
  const size = blocks * BLOCK;
  return gpu.empty([transposed ? 2 : 1, slab.count, heads, size, size]);
}

/** Writes `scale * a_i · b_j` of the tokens of each chunk, decayed or not. */
export function dispatchScores(
  problem: Problem,
  slab: Slab,
  scores: Tensor,
  a: Rows,
  b: Rows,
  vectors: number,
  options: { decays: Tensor | undefined; diagonal: boolean; transposed: boolean },
): void {
  const { gpu, heads, blocks, scale } = problem;
  const { decays, diagonal, transposed } = options;
  const pairs = diagonal ? blocks * (blocks + 1) / 2 : blocks * (blocks - 1) / 2;
  gpu.dispatch(CHUNK_SCORES, {
    constants: { Element: a.tensor.dtype, INCLUDE_DIAGONAL: diagonal },
    uniform: {
      chunks: slab.count,
      heads,
      aHeads: a.heads,
      vectors,
      blocks,
      pairs,
      aOffset: a.offset,
      bOffset: b.offset,
      transposed,
      scale,
    },
    read: { chunks: slab.chunks, a: a.tensor, b: b.tensor, decays },
    write: { scores },
    workgroups: workgroupsFor(slab.count * pairs * heads),
  });
}

/** Where the states of a slab begin, and where they go. */
export interface StateEnds {
  /** Of sequences that begin in the slab (`backward`: end); zeros if there is none: `[sequences, heads, keyDim, valueDim]`. */
  readonly initial: Tensor | undefined;
  /** Of the one sequence that comes from the slab before (`backward`: after): `[heads, keyDim, valueDim]`. */
  readonly border: Tensor | undefined;
  /** Written for each sequence in the slab: `[sequences, heads, keyDim, valueDim]`. */
  readonly final: Tensor;
}

/** The state before each chunk, or `backward` its gradient after each chunk: `[chunks, heads, keyDim, valueDim]`. */
export function chunkStates(
  problem: Problem,
  slab: Slab,
  a: Rows,
  b: Tensor,
  { decays, fromStart, toEnd }: ChunkDecays,
  ends: StateEnds,
  options: { backward: boolean },
): Tensor {
  const { gpu, heads, keyVectors, valueVectors, blocks, scale } = problem;
  const { backward } = options;
  const states = gpu.empty([slab.count, heads, keyVectors * 4, valueVectors * 4]);
  gpu.dispatch(CHUNK_STATES, {
    constants: { Element: b.dtype, DecayedElement: a.tensor.dtype },
    uniform: { ...tileExtents(problem, slab, a), backward, scale: backward ? scale : 1 },
    read: { chunks: slab.chunks, a: a.tensor, b, decays, toEnd },
    write: { states },
    workgroups: workgroupsFor(slab.count * heads * keyVectors * valueVectors / 4),
  });
  const { initial, border, final } = ends;
  gpu.dispatch(PASS_STATES, {
    uniform: {
      sequences: slab.sequenceCount,
      heads,
      keyVectors,
      valueVectors,
      blocks,
      backward,
    },
    read: { sequences: slab.sequences, decays, initial, border, fromStart },
    write: { states, finalState: final },
    workgroups: workgroupsFor(slab.sequenceCount * heads * keyVectors * valueVectors),
  });
  return states;
}

/** For the state of each sequence: `[sequences, heads, keyDim, valueDim]`. */
export function emptyStates({ gpu, sequences, heads, keyVectors, valueVectors }: Problem): Tensor {
  return gpu.empty([sequences, heads, keyVectors * 4, valueVectors * 4]);
}

/** A copy of one sequence's state, for the slab beside. */
export function takeBorder(
  problem: Problem,
  final: Tensor,
  sequence: number | undefined,
): Tensor | undefined {
  if (sequence === undefined) return undefined;
  const { gpu, heads, keyVectors, valueVectors } = problem;
  const border = gpu.empty([heads, keyVectors * 4, valueVectors * 4]);
  gpu.copy(final, border, { sourceOffset: sequence * border.size, elements: border.size });
  return border;
}

/** What the tokens of chunks read beside one another: the states before them (`reversed`: gradients after). */
export interface Before extends Pick<ChunkDecays, "decays" | "fromStart"> {
  readonly a: Rows;
  readonly states: Tensor;
}

/**
 * Writes the slab's rows of the outputs, or `reversed` of the values' gradients: `[rows, heads, valueDim]`;
 * without `before` chunks are whole sequences.
 */
export function chunkOutputs(
  problem: Problem,
  slab: Slab,
  { value, scores, before }: { value: Tensor; scores: Tensor; before?: Before },
  output: Tensor,
  options: { reversed: boolean },
): void {
  const { gpu, heads, groups, valueVectors, blocks, scale } = problem;
  const { reversed } = options;
  const { a, ...rest } = before ?? {};
  gpu.dispatch(CHUNK_OUTPUTS, {
    constants: { Element: value.dtype, ...a && { DecayedElement: a.tensor.dtype } },
    uniform: {
      ...tileExtents(problem, slab, a ?? { heads: groups, offset: 0 }),
      backward: reversed,
      scale: reversed ? 1 : scale,
    },
    read: { chunks: slab.chunks, value, scores, ...a && { a: a.tensor, ...rest } },
    write: { output },
    workgroups: workgroupsFor(slab.count * blocks * heads * valueVectors / 2),
  });
}

/**
 * Writes the slab's rows of the gradients of queries or keys, from outside their own block:
 * `[rows, heads, keyDim]`. Returns what decay_carry takes from it.
 */
export function inputGradient(
  problem: Problem,
  slab: Slab,
  gradient: Tensor,
  pass: {
    own: Rows;
    other: Rows;
    decays: Tensor | undefined;
    scores: Tensor;
    /** What the states before the chunks (reversed: gradients after) act on; else chunks are whole sequences. */
    before?: { readonly values: Tensor; readonly states: Tensor };
    reversed: boolean;
  },
): Tensor | undefined {
  const { gpu, heads, keyVectors, blocks, scale } = problem;
  const { own, other, decays, scores, before, reversed } = pass;
  const crossed = reversed ? [] : [blocks];
  const carried = decays && gpu.empty([slab.count, blocks, heads, ...crossed, keyVectors * 4]);
  gpu.dispatch(INPUT_GRADIENT, {
    constants: {
      ...before && { Element: before.values.dtype },
      DecayedElement: other.tensor.dtype,
    },
    uniform: {
      ...tileExtents(problem, slab, other),
      ownOffset: own.offset,
      backward: reversed,
      scale: reversed ? 1 : scale,
    },
    read: {
      chunks: slab.chunks,
      a: other.tensor,
      decays,
      scores,
      ...before && { states: before.states, value: before.values },
    },
    write: { gradient, carried },
    workgroups: workgroupsFor(slab.count * blocks * heads * keyVectors / 2),
  });
  return carried;
}
