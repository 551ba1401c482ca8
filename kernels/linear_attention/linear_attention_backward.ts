import {
  checkTensor,
  elementKernel,
  floatBits,
  type Gpu,
  kernel,
  type Tensor,
} from "../gpu/mod.ts";
import blockGradientSource from "./block_gradient.wgsl" with { type: "text" };
import bonusGradientSource from "./bonus_gradient.wgsl" with { type: "text" };
import decayCarrySource from "./decay_carry.wgsl" with { type: "text" };
import inputGradientSource from "./input_gradient.wgsl" with { type: "text" };
import {
  chunkOutputs,
  chunkStates,
  type Decayed,
  decayToBlocks,
  gradientValueScores,
  queryKeyScores,
  type Rows,
} from "./passes.ts";
import {
  type LinearAttentionInputs,
  type LinearAttentionOptions,
  prepare,
  type Problem,
  workgroupsFor,
} from "./problem.ts";
import { sumAxis } from "./sum_axis.ts";

const INPUT_GRADIENT = elementKernel("input_gradient", inputGradientSource);
const DECAY_CARRY = kernel("decay_carry", decayCarrySource);
const BLOCK_GRADIENT = elementKernel("block_gradient", blockGradientSource);
const BONUS_GRADIENT = elementKernel("bonus_gradient", bonusGradientSource);

/** What {@linkcode linearAttentionBackward} takes. */
export interface LinearAttentionBackwardInputs extends LinearAttentionInputs {
  /** `[batch, time, heads, valueDim]`. */
  readonly outputGradient: Tensor;
  /** Of the shape of the final state; zeros unless given. */
  readonly finalStateGradient?: Tensor;
}

/** What {@linkcode linearAttentionBackward} returns: each of the shape and the data type of its input. */
export interface LinearAttentionGradients {
  /** `[batch, time, groups, keyDim]`. */
  readonly queryGradient: Tensor;
  /** `[batch, time, groups, keyDim]`. */
  readonly keyGradient: Tensor;
  /** `[batch, time, heads, valueDim]`. */
  readonly valueGradient: Tensor;
  /** `[batch, time, heads]` or `[batch, time, heads, keyDim]`, where there is a `logDecay`. */
  readonly logDecayGradient?: Tensor;
  /** `[heads, keyDim]`, where there is a `bonus`. */
  readonly bonusGradient?: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, where there is an `initialState`. */
  readonly initialStateGradient?: Tensor;
}

/**
 * The gradients of {@linkcode linearAttention}. The states between the chunks are computed anew, so
 * nothing need be kept from the forward pass. README.md derives them.
 *
 * @throws {RangeError} where a shape does not fit, saying which was expected.
 */
export function linearAttentionBackward(
  gpu: Gpu,
  inputs: LinearAttentionBackwardInputs,
  options: LinearAttentionOptions = {},
): LinearAttentionGradients {
  const op = "linearAttentionBackward";
  using problem = prepare(gpu, op, inputs, options);
  const { heads, keyDim, valueDim, sequences, value } = problem;
  const stateShape = [sequences, heads, keyDim, valueDim];
  checkTensor(
    op,
    "outputGradient",
    inputs.outputGradient,
    inputs.value.shape,
    inputs.value.dtype,
  );
  if (inputs.finalStateGradient !== undefined) {
    checkTensor(op, "finalStateGradient", inputs.finalStateGradient, stateShape);
  }
  const outputGradient = problem.fill(inputs.outputGradient, "value");
  const finalStateGradient = inputs.finalStateGradient &&
    problem.fill(inputs.finalStateGradient, "state");

  using decayed = decayToBlocks(problem);
  const { query, key, decays } = decayed;
  const forward = chunkStates(problem, key, value, decays, {
    initial: problem.initialState,
    backward: false,
  });
  forward.final[Symbol.dispose]();
  using states = forward.states;
  const backward = chunkStates(problem, query, outputGradient, decays, {
    initial: finalStateGradient,
    backward: true,
  });
  using stateGradients = backward.states;

  using scores = queryKeyScores(problem, decayed, { transposed: true });
  const valueGradient = chunkOutputs(
    problem,
    key,
    outputGradient,
    decays,
    scores,
    stateGradients,
    { reversed: true },
  );
  using valueScores = gradientValueScores(problem, outputGradient);
  const ofQuery = inputGradient(problem, {
    values: outputGradient,
    own: query,
    other: key,
    decays,
    scores: valueScores,
    states,
    reversed: false,
  });
  using queryCarried = ofQuery.carried;
  const ofKey = inputGradient(problem, {
    values: value,
    own: key,
    other: query,
    decays,
    scores: valueScores,
    states: stateGradients,
    reversed: true,
  });
  using keyCarried = ofKey.carried;
  const perKey = finishBlocks(problem, {
    decayed,
    valueScores,
    queryGradient: ofQuery.gradient,
    keyGradient: ofKey.gradient,
    queryCarried,
    keyCarried,
    states,
    stateGradients,
  });

  let initialStateGradient: Tensor | undefined;
  if (inputs.initialState === undefined) backward.final[Symbol.dispose]();
  else initialStateGradient = problem.cut(backward.final, "state", stateShape);
  return {
    queryGradient: sumGroups(problem, ofQuery.gradient, inputs.query.shape),
    keyGradient: sumGroups(problem, ofKey.gradient, inputs.query.shape),
    valueGradient: problem.cut(valueGradient, "value", inputs.value.shape),
    logDecayGradient: inputs.logDecay && perKey.logDecayGradient &&
      decayGradient(problem, perKey.logDecayGradient, inputs.logDecay.shape),
    bonusGradient: perKey.bonusGradient &&
      problem.cut(perKey.bonusGradient, "key", [heads, keyDim]),
    initialStateGradient,
  };
}

/** The gradients of queries or keys from outside their own block: `[rows, heads, keyDim]`. */
function inputGradient(
  problem: Problem,
  pass: {
    values: Tensor;
    own: Rows;
    other: Rows;
    decays: Tensor;
    scores: Tensor;
    states: Tensor;
    reversed: boolean;
  },
): { gradient: Tensor; carried: Tensor } {
  const { gpu, rows, heads, keyVectors, valueVectors, chunks, blocks, scale } = problem;
  const { values, own, other, decays, scores, states, reversed } = pass;
  const hasDecay = problem.logDecay !== undefined;
  const gradient = gpu.empty([rows, heads, keyVectors * 4]);
  const carried = !hasDecay
    ? gpu.empty([1])
    : reversed
    ? gpu.empty([chunks.count, blocks, heads, keyVectors * 4])
    : gpu.empty([chunks.count, blocks, heads, blocks, keyVectors * 4]);
  gpu.dispatch(INPUT_GRADIENT({ Element: values.dtype, DecayedElement: other.tensor.dtype }), {
    constants: { HAS_DECAY: hasDecay },
    uniform: [
      chunks.count,
      heads,
      other.heads,
      keyVectors,
      valueVectors,
      blocks,
      other.offset,
      own.offset,
      Number(reversed),
      floatBits(reversed ? 1 : scale),
    ],
    read: { chunks: chunks.rows, values, decayed: other.tensor, decays, scores, states },
    write: { gradient, carried },
    workgroups: workgroupsFor(chunks.count * blocks * heads * keyVectors / 2),
  });
  return { gradient, carried };
}

/** With decay: completes the gradients of queries and keys in place, and makes the decay's and the bonus's. */
function finishBlocks(
  problem: Problem,
  pass: {
    decayed: Decayed;
    valueScores: Tensor;
    queryGradient: Tensor;
    keyGradient: Tensor;
    queryCarried: Tensor;
    keyCarried: Tensor;
    states: Tensor;
    stateGradients: Tensor;
  },
): { logDecayGradient?: Tensor; bonusGradient?: Tensor } {
  const { gpu, rows, heads, groups, keyVectors, valueVectors, chunks, blocks } = problem;
  const { query, key, logDecay, bonus } = problem;
  if (logDecay === undefined) return {};
  const { valueScores, queryGradient, keyGradient, queryCarried, keyCarried } = pass;
  const logDecayGradient = gpu.empty([rows, heads, keyVectors * 4]);
  gpu.dispatch(DECAY_CARRY, {
    uniform: [chunks.count, heads, keyVectors, valueVectors, blocks],
    read: {
      chunks: chunks.rows,
      decays: pass.decayed.decays,
      queryCarried,
      keyCarried,
      states: pass.states,
      stateGradients: pass.stateGradients,
    },
    write: { logDecayGradient },
    workgroups: workgroupsFor(chunks.count * heads * keyVectors),
  });
  gpu.dispatch(BLOCK_GRADIENT({ Element: query.dtype }), {
    constants: { PER_KEY: problem.perKey, BONUS: bonus !== undefined },
    uniform: [chunks.count, heads, groups, keyVectors, blocks],
    read: { chunks: chunks.rows, query, key, logDecay, scores: valueScores },
    write: { queryGradient, keyGradient, logDecayGradient },
    workgroups: workgroupsFor(chunks.count * blocks * heads * keyVectors),
  });
  if (bonus === undefined) return { logDecayGradient };
  using partial = gpu.empty([chunks.count, heads * keyVectors * 4]);
  gpu.dispatch(BONUS_GRADIENT({ Element: query.dtype }), {
    uniform: [chunks.count, heads, groups, keyVectors, blocks],
    read: { chunks: chunks.rows, query, key, bonus, scores: valueScores },
    write: { queryGradient, keyGradient, partial },
    workgroups: workgroupsFor(chunks.count * heads * keyVectors),
  });
  const bonusGradient = sumAxis(gpu, partial, 1, chunks.count, heads * keyVectors * 4);
  return { logDecayGradient, bonusGradient };
}

/** Sums the heads of each group, and stores the sums as the query is. */
function sumGroups(problem: Problem, perHead: Tensor, shape: readonly number[]): Tensor {
  const { gpu, rows, heads, groups, keyVectors } = problem;
  const { dtype } = problem.query;
  if (groups === heads) return problem.cut(perHead, "key", shape, dtype);
  const perGroup = sumAxis(gpu, perHead, rows * groups, heads / groups, keyVectors * 4);
  perHead[Symbol.dispose]();
  return problem.cut(perGroup, "key", shape, dtype);
}

/** The decay's gradient in the form of `logDecay`. */
function decayGradient(problem: Problem, perKey: Tensor, shape: readonly number[]): Tensor {
  const { gpu, rows, heads, keyVectors } = problem;
  if (shape.length === 4) return problem.cut(perKey, "key", shape);
  using perHead = sumAxis(gpu, perKey, rows * heads, keyVectors * 4, 1);
  perKey[Symbol.dispose]();
  return perHead.reshape(shape);
}
