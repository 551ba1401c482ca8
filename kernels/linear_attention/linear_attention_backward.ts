import { sumAxis } from "../common/sum_axis.ts";
import { checkNames, checkTensor, type Gpu, results, type Tensor } from "../gpu/mod.ts";
import {
  chunkOutputs,
  chunkStates,
  decayToBlocks,
  emptyStates,
  gradientValueScores,
  inputGradient,
  queryKeyScores,
  rowExtents,
  takeBorder,
  tileExtents,
} from "./passes.ts";
import {
  checkCall,
  INPUTS,
  isInRegisters,
  type LinearAttentionInputs,
  type LinearAttentionOptions,
  prepare,
  type Problem,
  tunedFor,
  workgroupsFor,
} from "./problem.ts";
import { workInRegistersBackward } from "./in_registers.ts";
import { isOneChunk, oneChunkGradients } from "./one_chunk.ts";
import { LINEAR_ATTENTION } from "./shaders.ts";
import type { Slab } from "./slabs.ts";

const DECAY_CARRY = LINEAR_ATTENTION.kernel("decay_carry");
const BLOCK_GRADIENT = LINEAR_ATTENTION.kernel("block_gradient");
const BONUS_GRADIENT = LINEAR_ATTENTION.kernel("bonus_gradient");

/** What {@linkcode linearAttentionBackward} takes. */
export interface LinearAttentionBackwardInputs extends LinearAttentionInputs {
  /** `[batch, time, heads, valueDim]`. */
  readonly outputGradient: Tensor;
  /** Of the shape of the final state; zeros by default. */
  readonly finalStateGradient?: Tensor;
}

/** What {@linkcode linearAttentionBackward} returns: each of the shape and the data type of its input. */
export interface LinearAttentionGradients extends Disposable {
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
  checkNames("linearAttentionBackward", inputs, INPUTS);
  const op = "linearAttentionBackward";
  const extents = checkCall(op, inputs, options);
  const { bounds, heads, keyDim, valueDim } = extents;
  const stateShape = [bounds.length - 1, heads, keyDim, valueDim];
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
  const tuned = tunedFor("backward", gpu, extents, inputs);
  if (isInRegisters(tuned, options)) {
    return workInRegistersBackward(gpu, extents, inputs, options);
  }
  using problem = prepare(gpu, op, inputs, options, tuned);
  const { value } = problem;
  const outputGradient = problem.fill(inputs.outputGradient, "value");
  if (
    isOneChunk(problem) && (inputs.initialState ?? inputs.finalStateGradient) === undefined
  ) {
    const { query, key, value, logDecay } = oneChunkGradients(problem, outputGradient);
    const { shape, dtype } = inputs.query;
    return results({
      queryGradient: problem.cut(query, "key", shape, dtype),
      keyGradient: problem.cut(key, "key", shape, dtype),
      valueGradient: problem.cut(value, "value", inputs.value.shape),
      ...logDecay && { logDecayGradient: logDecay },
    });
  }
  const finalStateGradient = inputs.finalStateGradient &&
    problem.fill(inputs.finalStateGradient, "state");

  const perKey = [problem.rows, heads, problem.keyVectors * 4];
  const valueShape = [problem.rows, heads, problem.valueVectors * 4];
  const valueGradient = gpu.empty(valueShape, value.dtype);
  const gradients = {
    query: gpu.empty(perKey),
    key: gpu.empty(perKey),
    logDecay: problem.logDecay && gpu.empty(perKey),
    bonusPartial: problem.bonus &&
      gpu.empty([
        problem.slabs.at(-1)!.firstChunk + problem.slabs.at(-1)!.count,
        heads * perKey[2],
      ]),
  };
  const stateBorders = walkStates(problem);
  using final = emptyStates(problem);
  const stateGradient = emptyStates(problem);
  let border: Tensor | undefined;
  for (const slab of problem.slabs.toReversed()) {
    using decayed = decayToBlocks(problem, slab);
    const { query, key, decays } = decayed;
    using stateBorder = stateBorders.pop();
    const ends = { initial: problem.initialState, border: stateBorder, final };
    using states = chunkStates(problem, slab, key, value, { decays }, ends, { backward: false });
    const back = { initial: finalStateGradient, border, final: stateGradient };
    using stateGradients = chunkStates(problem, slab, query, outputGradient, { decays }, back, {
      backward: true,
    });
    border?.[Symbol.dispose]();
    border = takeBorder(problem, stateGradient, slab.comesFrom);
    using scores = queryKeyScores(problem, slab, decayed, { transposed: true });
    const reading = {
      value: outputGradient,
      scores,
      before: { a: key, decays, states: stateGradients },
    };
    chunkOutputs(problem, slab, reading, valueGradient, { reversed: true });
    using valueScores = gradientValueScores(problem, slab, outputGradient);
    using queryCarried = inputGradient(problem, slab, gradients.query, {
      own: query,
      other: key,
      decays,
      scores: valueScores,
      before: { values: outputGradient, states },
      reversed: false,
    });
    using keyCarried = inputGradient(problem, slab, gradients.key, {
      own: key,
      other: query,
      decays,
      scores: valueScores,
      before: { values: value, states: stateGradients },
      reversed: true,
    });
    const carried = { decays, queryCarried, keyCarried, states, stateGradients };
    finishBlocks(problem, slab, gradients, valueScores, carried);
  }

  let initialStateGradient: Tensor | undefined;
  if (inputs.initialState === undefined) stateGradient[Symbol.dispose]();
  else initialStateGradient = problem.cut(stateGradient, "state", stateShape);
  let logDecayGradient = gradients.logDecay;
  if (logDecayGradient !== undefined) {
    if (inputs.logDecay === undefined) {
      logDecayGradient[Symbol.dispose]();
      logDecayGradient = undefined;
    } else {
      logDecayGradient = decayGradient(problem, logDecayGradient, inputs.logDecay.shape);
    }
  }
  return results({
    queryGradient: sumGroups(problem, gradients.query, inputs.query.shape),
    keyGradient: sumGroups(problem, gradients.key, inputs.query.shape),
    valueGradient: problem.cut(valueGradient, "value", inputs.value.shape),
    logDecayGradient,
    bonusGradient: gradients.bonusPartial && sumBonus(problem, gradients.bonusPartial),
    initialStateGradient,
  });
}

/** The state at the border before each slab, where a sequence reaches over it. */
function walkStates(problem: Problem): (Tensor | undefined)[] {
  const { value, slabs } = problem;
  const borders: (Tensor | undefined)[] = [undefined];
  using final = slabs.length > 1 ? emptyStates(problem) : undefined;
  for (const slab of slabs.slice(0, -1)) {
    using decayed = decayToBlocks(problem, slab);
    const ends = { initial: problem.initialState, border: borders.at(-1), final: final! };
    chunkStates(problem, slab, decayed.key, value, decayed, ends, {
      backward: false,
    })[Symbol.dispose]();
    borders.push(takeBorder(problem, final!, slab.goesOn));
  }
  return borders;
}

/** With decay: completes the slab's gradients of queries and keys in place, and writes the decay's and the bonus's. */
function finishBlocks(
  problem: Problem,
  slab: Slab,
  gradients: { query: Tensor; key: Tensor; logDecay?: Tensor; bonusPartial?: Tensor },
  valueScores: Tensor,
  carried: {
    decays: Tensor | undefined;
    queryCarried: Tensor | undefined;
    keyCarried: Tensor | undefined;
    states: Tensor;
    stateGradients: Tensor;
  },
): void {
  const { gpu, heads, keyVectors, blocks, query, key } = problem;
  const { logDecay, bonus } = problem;
  const { chunks, count } = slab;
  if (logDecay === undefined) return;
  gpu.dispatch(DECAY_CARRY, {
    uniform: tileExtents(problem, slab, { heads, offset: 0 }),
    read: { chunks, ...carried },
    write: { logDecayGradient: gradients.logDecay },
    workgroups: workgroupsFor(count * heads * keyVectors),
  });
  const gradientRows = { queryGradient: gradients.query, keyGradient: gradients.key };
  gpu.dispatch(BLOCK_GRADIENT, {
    constants: { Element: query.dtype, PER_KEY: problem.perKey, BONUS: bonus !== undefined },
    uniform: rowExtents(problem, slab),
    read: { chunks, query, key, logDecay, scores: valueScores },
    write: { ...gradientRows, logDecayGradient: gradients.logDecay },
    workgroups: workgroupsFor(count * blocks * heads * keyVectors),
  });
  if (bonus === undefined) return;
  gpu.dispatch(BONUS_GRADIENT, {
    constants: { Element: query.dtype },
    uniform: rowExtents(problem, slab),
    read: { chunks, query, key, bonus, scores: valueScores },
    write: { ...gradientRows, partial: gradients.bonusPartial },
    workgroups: workgroupsFor(count * heads * keyVectors),
  });
}

/** Sums the chunks' shares of the bonus's gradient. */
function sumBonus(problem: Problem, partial: Tensor): Tensor {
  const [chunks, columns] = partial.shape;
  const sum = sumAxis(problem.gpu, partial, [1, chunks, columns]);
  partial[Symbol.dispose]();
  return problem.cut(sum, "key", [problem.heads, problem.keyDim]);
}

/** Sums the heads of each group, and stores the sums as the query is. */
function sumGroups(problem: Problem, perHead: Tensor, shape: readonly number[]): Tensor {
  const { gpu, rows, heads, groups, keyVectors } = problem;
  const { dtype } = problem.query;
  if (groups === heads) return problem.cut(perHead, "key", shape, dtype);
  const perGroup = sumAxis(gpu, perHead, [rows * groups, heads / groups, keyVectors * 4]);
  perHead[Symbol.dispose]();
  return problem.cut(perGroup, "key", shape, dtype);
}

/** The decay's gradient in the form of `logDecay`. */
function decayGradient(problem: Problem, perKey: Tensor, shape: readonly number[]): Tensor {
  const { gpu, rows, heads, keyVectors } = problem;
  if (shape.length === 4) return problem.cut(perKey, "key", shape);
  using perHead = sumAxis(gpu, perKey, [rows * heads, keyVectors * 4, 1]);
  perKey[Symbol.dispose]();
  return perHead.reshape(shape);
}
