import { elementKernel, floatBits, kernel, type Tensor } from "../gpu/mod.ts";
import chunkDecaySource from "./chunk_decay.wgsl" with { type: "text" };
import chunkOutputsSource from "./chunk_outputs.wgsl" with { type: "text" };
import chunkScoresSource from "./chunk_scores.wgsl" with { type: "text" };
import chunkStatesSource from "./chunk_states.wgsl" with { type: "text" };
import diagonalScoresSource from "./diagonal_scores.wgsl" with { type: "text" };
import passStatesSource from "./pass_states.wgsl" with { type: "text" };
import { type Problem, workgroupsFor } from "./problem.ts";
import { BLOCK, type Slab } from "./slabs.ts";

const CHUNK_DECAY = elementKernel("chunk_decay", chunkDecaySource);
const CHUNK_SCORES = elementKernel("chunk_scores", chunkScoresSource);
const DIAGONAL_SCORES = elementKernel("diagonal_scores", diagonalScoresSource);
const CHUNK_STATES = elementKernel("chunk_states", chunkStatesSource);
const PASS_STATES = kernel("pass_states", passStatesSource);
const CHUNK_OUTPUTS = elementKernel("chunk_outputs", chunkOutputsSource);

/** Rows of queries or keys as a kernel reads them. */
export interface Rows {
  readonly tensor: Tensor;
  /** Heads of a row. */
  readonly heads: number;
  /** Where row 0 of the whole would lie, in vectors of 4: before the tensor, where it holds one slab. */
  readonly offset: number;
}

/** Queries and keys as the chunked products take them, and the decays of the blocks. */
export interface Decayed extends Disposable {
  readonly query: Rows;
  readonly key: Rows;
  /** `[chunks, blocks, heads, 3, keyDim]`; any tensor where nothing decays. */
  readonly decays: Tensor;
}

/** Decays queries and keys to the borders of their blocks; without decay they are as they were. */
export function decayToBlocks(problem: Problem, slab: Slab): Decayed {
  const { gpu, heads, groups, keyVectors, blocks, query, key, logDecay } = problem;
  const { chunks, count, rows, firstRow } = slab;
  if (logDecay === undefined) {
    return {
      query: { tensor: query, heads: groups, offset: 0 },
      key: { tensor: key, heads: groups, offset: 0 },
      decays: chunks,
      [Symbol.dispose](): void {},
    };
  }
  const decayed = gpu.empty([2, rows, heads, keyVectors * 4]);
  const decays = gpu.empty([count, blocks, heads, 3, keyVectors * 4]);
  gpu.dispatch(CHUNK_DECAY({ Element: query.dtype }), {
    constants: { PER_KEY: problem.perKey, READS_BEFORE: problem.bonus !== undefined },
    uniform: [count, heads, groups, keyVectors, blocks, firstRow, rows],
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
  const { gpu, heads, groups, keyVectors, blocks, scale, logDecay } = problem;
  const { transposed } = options;
  const scores = emptyScores(problem, slab, transposed);
  if (logDecay === undefined || blocks > 1) {
    dispatchScores(problem, slab, scores, decayed.query, decayed.key, keyVectors, {
      decays: logDecay && decayed.decays,
      diagonal: logDecay === undefined,
      transposed,
    });
  }
  if (logDecay !== undefined) {
    gpu.dispatch(DIAGONAL_SCORES({ Element: problem.query.dtype }), {
      constants: { PER_KEY: problem.perKey, BONUS: problem.bonus !== undefined },
      uniform: [
        slab.count,
        heads,
        groups,
        keyVectors,
        blocks,
        Number(transposed),
        floatBits(scale),
      ],
      read: {
        chunks: slab.chunks,
        query: problem.query,
        key: problem.key,
        logDecay,
        bonus: problem.bonus ?? slab.chunks,
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
  const rows = (tensor: Tensor): Rows => ({ tensor, heads, offset: 0 });
  dispatchScores(problem, slab, scores, rows(outputGradient), rows(value), valueVectors, {
    decays: undefined,
    diagonal: true,
    transposed: true,
  });
  return scores;
}

function emptyScores({ gpu, heads, blocks }: Problem, slab: Slab, transposed: boolean): Tensor {
  const size = blocks * BLOCK;
  return gpu.empty([transposed ? 2 : 1, slab.count, heads, size, size]);
}

function dispatchScores(
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
  gpu.dispatch(CHUNK_SCORES({ Element: a.tensor.dtype }), {
    constants: { HAS_DECAY: decays !== undefined, INCLUDE_DIAGONAL: diagonal },
    uniform: [
      slab.count,
      heads,
      a.heads,
      vectors,
      blocks,
      pairs,
      a.offset,
      b.offset,
      Number(transposed),
      floatBits(scale),
    ],
    read: { chunks: slab.chunks, a: a.tensor, b: b.tensor, decays: decays ?? slab.chunks },
    write: { scores },
    workgroups: workgroupsFor(slab.count * pairs * heads),
  });
}

/** Where the states of a slab begin, and where they go. */
export interface StateEnds {
  /** Of sequences that begin in the slab (`backward`: end); zeros where there is none: `[sequences, heads, keyDim, valueDim]`. */
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
  decays: Tensor,
  ends: StateEnds,
  options: { backward: boolean },
): Tensor {
  const { gpu, heads, keyVectors, valueVectors, blocks, scale } = problem;
  const { backward } = options;
  const hasDecay = problem.logDecay !== undefined;
  const states = gpu.empty([slab.count, heads, keyVectors * 4, valueVectors * 4]);
  gpu.dispatch(CHUNK_STATES({ Element: b.dtype, DecayedElement: a.tensor.dtype }), {
    constants: { HAS_DECAY: hasDecay },
    uniform: [
      slab.count,
      heads,
      a.heads,
      keyVectors,
      valueVectors,
      blocks,
      a.offset,
      Number(backward),
      floatBits(backward ? scale : 1),
    ],
    read: { chunks: slab.chunks, a: a.tensor, b, decays },
    write: { states },
    workgroups: workgroupsFor(slab.count * heads * keyVectors * valueVectors / 4),
  });
  const { initial, border, final } = ends;
  gpu.dispatch(PASS_STATES, {
    constants: { HAS_DECAY: hasDecay },
    uniform: [
      slab.sequenceCount,
      heads,
      keyVectors,
      valueVectors,
      blocks,
      Number(initial !== undefined),
      Number(backward),
    ],
    read: {
      sequences: slab.sequences,
      decays,
      initial: initial ?? slab.sequences,
      border: border ?? slab.sequences,
    },
    write: { states, final },
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

/** Writes the slab's rows of the outputs, or `reversed` of the values' gradients: `[rows, heads, valueDim]`. */
export function chunkOutputs(
  problem: Problem,
  slab: Slab,
  inputs: { a: Rows; value: Tensor; decays: Tensor; scores: Tensor; states: Tensor },
  output: Tensor,
  options: { reversed: boolean },
): void {
  const { gpu, heads, keyVectors, valueVectors, blocks, scale } = problem;
  const { a, value, decays, scores, states } = inputs;
  const { reversed } = options;
  gpu.dispatch(CHUNK_OUTPUTS({ Element: value.dtype, DecayedElement: a.tensor.dtype }), {
    constants: { HAS_DECAY: problem.logDecay !== undefined },
    uniform: [
      slab.count,
      heads,
      a.heads,
      keyVectors,
      valueVectors,
      blocks,
      a.offset,
      Number(reversed),
      floatBits(reversed ? 1 : scale),
    ],
    read: { chunks: slab.chunks, a: a.tensor, value, decays, scores, states },
    write: { output },
    workgroups: workgroupsFor(slab.count * blocks * heads * valueVectors / 2),
  });
}
