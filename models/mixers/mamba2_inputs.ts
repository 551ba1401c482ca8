import { sliceTime } from "../../kernels/arithmetic/mod.ts";
import {
  hasMamba2Inputs,
  hasMamba2InputsBackward,
  mamba2Inputs,
  mamba2InputsBackward,
} from "../../kernels/convolution/mod.ts";
import type { Gpu, Tensor } from "../../kernels/gpu/mod.ts";
import { activation, add, clamp, multiply, reshape, scale, split } from "../operations.ts";
import { convolution } from "../recurrences.ts";
import type { Tape, Variable } from "../tape.ts";

/** What {@linkcode selectInputs} takes; `inner` is heads · headDim. */
export interface Projected {
  /** Gate, input, B, C and the step sizes, `[batch, time, inner + channels + heads]`. */
  readonly projected: Variable;
  /** The convolution's, `[channels, width]`, over input, B and C. */
  readonly weight: Variable;
  /** `[channels]`. */
  readonly bias: Variable | undefined;
  /** `[batch, width − 1, channels]`. */
  readonly tail: Variable | undefined;
  /** `[heads]`. */
  readonly stepBias: Variable;
  /** `[heads]`: the logarithm of the decay's rate. */
  readonly decay: Variable;
}

/** What {@linkcode selectInputs} returns. */
export interface Selected {
  /** What gates the output: `[batch, time, inner]`, or more columns of which these are the first. */
  readonly gate: Variable;
  /** The convolved input `x`, `[batch, time, heads, headDim]`. */
  readonly values: Variable;
  /** `Δ x`, `[batch, time, heads, headDim]`. */
  readonly input: Variable;
  /** `B`, `[batch, time, shared]`. */
  readonly key: Variable;
  /** `C`, `[batch, time, shared]`. */
  readonly query: Variable;
  /** `A Δ`, `[batch, time, heads]`. */
  readonly logDecay: Variable;
  /** `[batch, width − 1, channels]`. */
  readonly tail: Variable;
}

/**
 * From Mamba-2's projection to what its state takes (Dao & Gu 2024, section 7): a short convolution over
 * input, B and C, `Δ = softplus(δ + bias)` within its limits and `A = −exp(decay)`. In one kernel where
 * the adapter and the extents allow.
 */
export function selectInputs(
  tape: Tape,
  inputs: Projected,
  { headDim, limit }: { headDim: number; limit: { readonly low?: number; readonly high?: number } },
): Selected {
  const { projected, weight, bias, tail, stepBias, decay } = inputs;
  const { gpu } = tape;
  const [batch, time] = projected.shape;
  const heads = stepBias.size;
  const inner = heads * headDim;
  const channels = weight.shape[0];
  const shared = (channels - inner) / 2;
  const differentiates = tape.differentiates(Object.values(inputs));
  const given = {
    x: projected.tensor,
    weight: weight.tensor,
    bias: bias?.tensor,
    initialTail: tail?.tensor,
    stepBias: stepBias.tensor,
    decay: decay.tensor,
  };
  if (
    hasMamba2Inputs(gpu) &&
    (!differentiates || hasMamba2InputsBackward(gpu, given, { headDim }))
  ) {
    const options = { headDim, ...limit };
    const inPlace = tape.inPlace && time === 1 && tail !== undefined;
    const { values, input, key, query, logDecay, finalTail } = mamba2Inputs(gpu, given, {
      ...options,
      inPlace,
    });
    const passed = differentiates ? [gateOf(gpu, given.x, inner)] : [];
    const outputs = [values, input, key, query, logDecay, finalTail, ...passed];
    const taken = [projected, weight, bias, tail, stepBias, decay];
    const all = tape.record(taken, outputs, (gradients) => {
      const back = mamba2InputsBackward(gpu, {
        ...given,
        valuesGradient: gradients[0],
        inputGradient: gradients[1],
        keyGradient: gradients[2],
        queryGradient: gradients[3],
        logDecayGradient: gradients[4],
        finalTailGradient: gradients[5],
        gateGradient: gradients[6],
      }, options);
      return [
        back.xGradient,
        back.weightGradient,
        back.biasGradient,
        back.initialTailGradient,
        back.stepBiasGradient,
        back.decayGradient,
      ];
    });
    return {
      values: all[0],
      input: all[1],
      key: all[2],
      query: all[3],
      logDecay: all[4],
      tail: all[5],
      gate: all[6] ?? projected,
    };
  }
  const [gate, mixed, steps] = split(tape, projected, [inner, channels, heads]);
  const convolved = convolution(tape, { x: mixed, weight, bias, tail }, "silu");
  const [flat, key, query] = split(tape, convolved.output, [inner, shared, shared]);
  const step = clamp(tape, activation(tape, add(tape, steps, stepBias), "softplus"), limit);
  const rate = scale(tape, activation(tape, decay, "exp"), -1);
  const values = reshape(tape, flat, [batch, time, heads, headDim]);
  return {
    gate,
    values,
    input: multiply(tape, values, reshape(tape, step, [batch, time, heads, 1])),
    key,
    query,
    logDecay: multiply(tape, step, rate),
    tail: convolved.finalState,
  };
}

/** The first columns of a projection, `[batch, time, inner]`. */
function gateOf(gpu: Gpu, projected: Tensor, inner: number): Tensor {
  const [batch, time, columns] = projected.shape;
  using rows = projected.reshape([batch * time, columns]);
  using gate = sliceTime(gpu, { x: rows }, { start: 0, length: inner }).output;
  return gate.reshape([batch, time, inner]);
}
