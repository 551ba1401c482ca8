import { elementKernel, floatBits, kernel, type Tensor } from "../gpu/mod.ts";
import chunkDecaySource from "./chunk_decay.wgsl" with { type: "text" };
import chunkOutputsSource from "./chunk_outputs.wgsl" with { type: "text" };
import chunkScoresSource from "./chunk_scores.wgsl" with { type: "text" };
import chunkStatesSource from "./chunk_states.wgsl" with { type: "text" };
import { BLOCK } from "./chunks.ts";
import diagonalScoresSource from "./diagonal_scores.wgsl" with { type: "text" };
import passStatesSource from "./pass_states.wgsl" with { type: "text" };
import { type Problem, workgroupsFor } from "./problem.ts";

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
  /** Where they begin, in vectors of 4. */
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
export function decayToBlocks(problem: Problem): Decayed {
  const { gpu, rows, heads, groups, keyVectors, chunks, blocks, query, key, logDecay } = problem;
  if (logDecay === undefined) {
    return {
      query: { tensor: query, heads: groups, offset: 0 },
      key: { tensor: key, heads: groups, offset: 0 },
      decays: chunks.rows,
      [Symbol.dispose](): void {},
    };
  }
  const decayed = gpu.empty([2, rows, heads, keyVectors * 4]);
  const decays = gpu.empty([chunks.count, blocks, heads, 3, keyVectors * 4]);
  gpu.dispatch(CHUNK_DECAY({ Element: query.dtype }), {
    constants: { PER_KEY: problem.perKey, READS_BEFORE: problem.bonus !== undefined },
    uniform: [chunks.count, heads, groups, keyVectors, blocks, rows],
    read: { chunks: chunks.rows, query, key, logDecay },
    write: { decayed, decays },
    workgroups: workgroupsFor(chunks.count * heads * keyVectors),
  });
  return {
    query: { tensor: decayed, heads, offset: 0 },
    key: { tensor: decayed, heads, offset: rows * heads * keyVectors },
    decays,
    [Symbol.dispose](): void {
      decayed[Symbol.dispose]();
      decays[Symbol.dispose]();
    },
  };
}

/** `SCALE * decay_ij * query_i · key_j` in each chunk: `[1 or 2, chunks, heads, chunkSize, chunkSize]`. */
export function queryKeyScores(
  problem: Problem,
  decayed: Decayed,
  options: { transposed: boolean },
): Tensor {
  const { gpu, heads, groups, keyVectors, chunks, blocks, scale, logDecay } = problem;
  const { transposed } = options;
  const scores = emptyScores(problem, transposed);
  if (logDecay === undefined || blocks > 1) {
    dispatchScores(problem, scores, decayed.query, decayed.key, keyVectors, {
      decays: logDecay && decayed.decays,
      diagonal: logDecay === undefined,
      transposed,
    });
  }
  if (logDecay !== undefined) {
    gpu.dispatch(DIAGONAL_SCORES({ Element: problem.query.dtype }), {
      constants: { PER_KEY: problem.perKey, BONUS: problem.bonus !== undefined },
      uniform: [
        chunks.count,
        heads,
        groups,
        keyVectors,
        blocks,
        Number(transposed),
        floatBits(scale),
      ],
      read: {
        chunks: chunks.rows,
        query: problem.query,
        key: problem.key,
        logDecay,
        bonus: problem.bonus ?? chunks.rows,
      },
      write: { scores },
      workgroups: workgroupsFor(chunks.count * heads * blocks),
    });
  }
  return scores;
}

/** `SCALE * output gradient_i · value_j` in each chunk, and transposed: `[2, chunks, heads, chunkSize, chunkSize]`. */
export function gradientValueScores(problem: Problem, outputGradient: Tensor): Tensor {
  const scores = emptyScores(problem, true);
  const { heads, value, valueVectors } = problem;
  const rows = (tensor: Tensor): Rows => ({ tensor, heads, offset: 0 });
  dispatchScores(problem, scores, rows(outputGradient), rows(value), valueVectors, {
    decays: undefined,
    diagonal: true,
    transposed: true,
  });
  return scores;
}

function emptyScores({ gpu, heads, chunks, blocks }: Problem, transposed: boolean): Tensor {
  const size = blocks * BLOCK;
  return gpu.empty([transposed ? 2 : 1, chunks.count, heads, size, size]);
}

function dispatchScores(
  problem: Problem,
  scores: Tensor,
  a: Rows,
  b: Rows,
  vectors: number,
  options: { decays: Tensor | undefined; diagonal: boolean; transposed: boolean },
): void {
  const { gpu, heads, chunks, blocks, scale } = problem;
  const { decays, diagonal, transposed } = options;
  const pairs = diagonal ? blocks * (blocks + 1) / 2 : blocks * (blocks - 1) / 2;
  gpu.dispatch(CHUNK_SCORES({ Element: a.tensor.dtype }), {
    constants: { HAS_DECAY: decays !== undefined, INCLUDE_DIAGONAL: diagonal },
    uniform: [
      chunks.count,
      heads,
      a.heads,
      vectors,
      blocks,
      pairs,
      b.offset,
      Number(transposed),
      floatBits(scale),
    ],
    read: { chunks: chunks.rows, a: a.tensor, b: b.tensor, decays: decays ?? chunks.rows },
    write: { scores },
    workgroups: workgroupsFor(chunks.count * pairs * heads),
  });
}

/**
 * The state before each chunk, or with `backward` its gradient after each chunk:
 * `[chunks, heads, keyDim, valueDim]`; and what comes out at the other end of each sequence.
 */
export function chunkStates(
  problem: Problem,
  a: Rows,
  b: Tensor,
  decays: Tensor,
  options: { initial: Tensor | undefined; backward: boolean },
): { states: Tensor; final: Tensor } {
  const { gpu, heads, sequences, keyVectors, valueVectors, chunks, blocks, scale } = problem;
  const { initial, backward } = options;
  const hasDecay = problem.logDecay !== undefined;
  const states = gpu.empty([chunks.count, heads, keyVectors * 4, valueVectors * 4]);
  gpu.dispatch(CHUNK_STATES({ Element: b.dtype, DecayedElement: a.tensor.dtype }), {
    constants: { HAS_DECAY: hasDecay },
    uniform: [
      chunks.count,
      heads,
      a.heads,
      keyVectors,
      valueVectors,
      blocks,
      a.offset,
      Number(backward),
      floatBits(backward ? scale : 1),
    ],
    read: { chunks: chunks.rows, a: a.tensor, b, decays },
    write: { states },
    workgroups: workgroupsFor(chunks.count * heads * keyVectors * valueVectors / 4),
  });
  const final = gpu.empty([sequences, heads, keyVectors * 4, valueVectors * 4]);
  gpu.dispatch(PASS_STATES, {
    constants: { HAS_DECAY: hasDecay },
    uniform: [
      sequences,
      heads,
      keyVectors,
      valueVectors,
      blocks,
      Number(initial !== undefined),
      Number(backward),
    ],
    read: { sequences: chunks.sequences, decays, initial: initial ?? chunks.sequences },
    write: { states, final },
    workgroups: workgroupsFor(sequences * heads * keyVectors * valueVectors),
  });
  return { states, final };
}

/** Outputs from scores and states, or with `reversed` the values' gradients: `[rows, heads, valueDim]`. */
export function chunkOutputs(
  problem: Problem,
  a: Rows,
  value: Tensor,
  decays: Tensor,
  scores: Tensor,
  states: Tensor,
  options: { reversed: boolean },
): Tensor {
  const { gpu, rows, heads, keyVectors, valueVectors, chunks, blocks, scale } = problem;
  const { reversed } = options;
  const output = gpu.empty([rows, heads, valueVectors * 4], value.dtype);
  gpu.dispatch(CHUNK_OUTPUTS({ Element: value.dtype, DecayedElement: a.tensor.dtype }), {
    constants: { HAS_DECAY: problem.logDecay !== undefined },
    uniform: [
      chunks.count,
      heads,
      a.heads,
      keyVectors,
      valueVectors,
      blocks,
      a.offset,
      Number(reversed),
      floatBits(reversed ? 1 : scale),
    ],
    read: { chunks: chunks.rows, a: a.tensor, value, decays, scores, states },
    write: { output },
    workgroups: workgroupsFor(chunks.count * blocks * heads * valueVectors / 2),
  });
  return output;
}
