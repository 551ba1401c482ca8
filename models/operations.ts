/**
 * The kernels as operations on a tape: each computes its outputs, and records how their gradients
 * become those of its inputs. Where one token is asked for and nothing is recorded, the sequence
 * operations run their step kernels.
 *
 * @module
 */
import {
  activation as activationKernel,
  activationBackward,
  type ActivationKind,
  gatedActivation as gatedActivationKernel,
  gatedActivationBackward,
} from "../kernels/activation/mod.ts";
import {
  add as addKernel,
  concatenate as concatenateKernel,
  concatenateTime as concatenateTimeKernel,
  gatherRows as gatherRowsKernel,
  gatherRowsBackward,
  multiply as multiplyKernel,
  multiplyBackward,
  scale as scaleKernel,
  sliceTime as sliceTimeKernel,
  split as splitKernel,
  sumTo,
} from "../kernels/arithmetic/mod.ts";
import {
  type AttentionOptions,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
} from "../kernels/attention/mod.ts";
import {
  causalConvolution,
  causalConvolutionBackward,
  causalConvolutionStep,
} from "../kernels/convolution/mod.ts";
import {
  deltaRule as deltaRuleKernel,
  deltaRuleBackward,
  deltaRuleStep,
  rwkv7 as rwkv7Kernel,
  rwkv7Backward,
  rwkv7Step,
} from "../kernels/delta_rule/mod.ts";
import { embedding as embeddingKernel, embeddingBackward } from "../kernels/embedding/mod.ts";
import type { Tensor } from "../kernels/gpu/mod.ts";
import {
  linearAttention as linearAttentionKernel,
  linearAttentionBackward,
  linearAttentionStep,
} from "../kernels/linear_attention/mod.ts";
import { matmul as matmulKernel } from "../kernels/matmul/mod.ts";
import {
  layerNorm as layerNormKernel,
  layerNormBackward,
  rmsNorm as rmsNormKernel,
  rmsNormBackward,
} from "../kernels/norm/mod.ts";
import { rotary as rotaryKernel, rotaryBackward } from "../kernels/position/mod.ts";
import {
  rgLru as rgLruKernel,
  rgLruBackward,
  rgLruStep,
  selectiveScan as selectiveScanKernel,
  selectiveScanBackward,
  selectiveScanStep,
} from "../kernels/scan/mod.ts";
import { type Tape, Variable } from "./tape.ts";

/** `x · weightᵀ` over the last axis; weight is `[outputs, inputs]`, as PyTorch stores it. */
export function linearMap(tape: Tape, x: Variable, weight: Variable): Variable {
  const { gpu } = tape;
  const [outputs, inputs] = weight.shape;
  const { output } = matmulKernel(gpu, { a: x.tensor, b: weight.tensor }, { transposeB: true });
  const rows = x.tensor.size / inputs;
  return tape.record([x, weight], [output], ([gradient]) => {
    const xGradient = x.requiresGradient
      ? matmulKernel(gpu, { a: gradient!, b: weight.tensor }).output
      : undefined;
    if (!weight.requiresGradient) return [xGradient];
    using gradientRows = gradient!.reshape([rows, outputs]);
    using xRows = x.tensor.reshape([rows, inputs]);
    const weightGradient = matmulKernel(gpu, { a: gradientRows, b: xRows }, { transposeA: true });
    return [xGradient, weightGradient.output];
  })[0];
}

/** `a + b`, where `b` may be broadcast. */
export function add(tape: Tape, a: Variable, b: Variable): Variable {
  const { output } = addKernel(tape.gpu, { a: a.tensor, b: b.tensor });
  return tape.record([a, b], [output], ([gradient]) => [
    gradient!.reshape(a.shape),
    b.requiresGradient ? sumTo(tape.gpu, { x: gradient! }, { shape: b.shape }).output : undefined,
  ])[0];
}

/** `a · b` elementwise, where `b` may be broadcast. */
export function multiply(tape: Tape, a: Variable, b: Variable): Variable {
  const { output } = multiplyKernel(tape.gpu, { a: a.tensor, b: b.tensor });
  return tape.record([a, b], [output], ([gradient]) => {
    const { aGradient, bGradient } = multiplyBackward(tape.gpu, {
      a: a.tensor,
      b: b.tensor,
      outputGradient: gradient!,
    });
    return [aGradient, bGradient];
  })[0];
}

/** `factor · x`. */
export function scale(tape: Tape, x: Variable, factor: number): Variable {
  const { output } = scaleKernel(tape.gpu, { x: x.tensor }, { factor });
  return tape.record([x], [output], ([gradient]) => [
    scaleKernel(tape.gpu, { x: gradient! }, { factor }).output,
  ])[0];
}

/** The same elements under another shape. */
export function reshape(tape: Tape, x: Variable, shape: readonly number[]): Variable {
  return tape.record(
    [x],
    [x.tensor.reshape(shape)],
    ([gradient]) => [gradient!.reshape(x.shape)],
  )[0];
}

/** Cuts the last axis into parts of the given sizes. */
export function split(tape: Tape, x: Variable, sizes: readonly number[]): Variable[] {
  const { outputs } = splitKernel(tape.gpu, { x: x.tensor }, { sizes });
  return tape.record([x], outputs, (gradients) => {
    using filled = new DisposableStack();
    const inputs = gradients.map((gradient, index) =>
      gradient ?? filled.use(tape.gpu.tensor(outputs[index].shape))
    );
    return [concatenateKernel(tape.gpu, { inputs }).output];
  });
}

/** Joins variables along the last axis. */
export function concatenate(tape: Tape, inputs: readonly Variable[]): Variable {
  const { output } = concatenateKernel(tape.gpu, { inputs: inputs.map((input) => input.tensor) });
  const sizes = inputs.map((input) => input.shape.at(-1)!);
  return tape.record(
    inputs,
    [output],
    ([gradient]) => splitKernel(tape.gpu, { x: gradient! }, { sizes }).outputs,
  )[0];
}

/** Joins `[batch, time, ...]` variables along time. */
export function concatenateTime(tape: Tape, inputs: readonly Variable[]): Variable {
  const { output } = concatenateTimeKernel(tape.gpu, {
    inputs: inputs.map((input) => input.tensor),
  });
  return tape.record(inputs, [output], ([gradient]) => {
    let start = 0;
    return inputs.map(({ shape }) => {
      const part = sliceTimeKernel(tape.gpu, { x: gradient! }, { start, length: shape[1] });
      start += shape[1];
      return part.output;
    });
  })[0];
}

/** The time steps `[start, start + length)` of `[batch, time, ...]`. */
export function sliceTime(tape: Tape, x: Variable, start: number, length: number): Variable {
  const { output } = sliceTimeKernel(tape.gpu, { x: x.tensor }, { start, length });
  return tape.record([x], [output], ([gradient]) => {
    const [batch, time, ...rest] = x.shape;
    using before = tape.gpu.tensor([batch, start, ...rest]);
    using after = tape.gpu.tensor([batch, time - start - length, ...rest]);
    return [concatenateTimeKernel(tape.gpu, { inputs: [before, gradient!, after] }).output];
  })[0];
}

/** The given rows of `[rows, columns]`; no row may be asked for twice. */
export function gatherRows(tape: Tape, x: Variable, indices: Tensor): Variable {
  const { output } = gatherRowsKernel(tape.gpu, { x: x.tensor, indices });
  return tape.record([x], [output], ([gradient]) => [
    gatherRowsBackward(tape.gpu, { outputGradient: gradient!, indices }, { rows: x.shape[0] })
      .xGradient,
  ])[0];
}

/** `x` kept between `low` and `high`, either of which may be left out. */
export function clamp(
  tape: Tape,
  x: Variable,
  { low, high }: { readonly low?: number; readonly high?: number },
): Variable {
  const value = (number: number): Variable =>
    new Variable(tape.own(tape.gpu.tensor([1], [number])));
  let output = x;
  if (low !== undefined) {
    const above = activation(tape, add(tape, output, value(-low)), "relu");
    output = add(tape, above, value(low));
  }
  if (high !== undefined) {
    const below = activation(tape, add(tape, scale(tape, output, -1), value(high)), "relu");
    output = add(tape, scale(tape, below, -1), value(high));
  }
  return output;
}

/** An activation function elementwise. */
export function activation(tape: Tape, x: Variable, kind: ActivationKind): Variable {
  const { output } = activationKernel(tape.gpu, { x: x.tensor }, { kind });
  return tape.record([x], [output], ([gradient]) => [
    activationBackward(tape.gpu, { x: x.tensor, outputGradient: gradient! }, { kind }).xGradient,
  ])[0];
}

/** `kind(gate) · x` elementwise. */
export function gatedActivation(
  tape: Tape,
  gate: Variable,
  x: Variable,
  kind: ActivationKind,
): Variable {
  const inputs = { gate: gate.tensor, x: x.tensor };
  const { output } = gatedActivationKernel(tape.gpu, inputs, { kind });
  return tape.record([gate, x], [output], ([gradient]) => {
    const gradients = gatedActivationBackward(
      tape.gpu,
      { ...inputs, outputGradient: gradient! },
      { kind },
    );
    return [gradients.gateGradient, gradients.xGradient];
  })[0];
}

/** RMS norm along the last axis. */
export function rmsNorm(tape: Tape, x: Variable, weight: Variable, epsilon: number): Variable {
  const inputs = { x: x.tensor, weight: weight.tensor };
  const { output, inverseRms } = rmsNormKernel(tape.gpu, inputs, { epsilon });
  tape.own(inverseRms);
  return tape.record([x, weight], [output], ([gradient]) => {
    const gradients = rmsNormBackward(tape.gpu, {
      ...inputs,
      inverseRms,
      outputGradient: gradient!,
    });
    return [gradients.xGradient, gradients.weightGradient];
  })[0];
}

/** Layer norm along the last axis. */
export function layerNorm(
  tape: Tape,
  x: Variable,
  weight: Variable,
  bias: Variable,
  epsilon: number,
): Variable {
  const inputs = { x: x.tensor, weight: weight.tensor, bias: bias.tensor };
  const { output, mean, inverseDeviation } = layerNormKernel(tape.gpu, inputs, { epsilon });
  tape.own(mean);
  tape.own(inverseDeviation);
  return tape.record([x, weight, bias], [output], ([gradient]) => {
    const gradients = layerNormBackward(tape.gpu, {
      ...inputs,
      mean,
      inverseDeviation,
      outputGradient: gradient!,
    });
    return [gradients.xGradient, gradients.weightGradient, gradients.biasGradient];
  })[0];
}

/** Rows of `weight` for tokens: `[...] → [..., width]`. */
export function embedding(tape: Tape, tokens: Tensor, weight: Variable): Variable {
  const { output } = embeddingKernel(tape.gpu, { tokens, weight: weight.tensor });
  return tape.record([weight], [output], ([gradient]) => [
    embeddingBackward(
      tape.gpu,
      { tokens, outputGradient: gradient! },
      { vocabulary: weight.shape[0] },
    ).weightGradient,
  ])[0];
}

/** Rotary positions on `[batch, time, heads, dim]`, the first time step at position `offset`. */
export function rotary(
  tape: Tape,
  x: Variable,
  frequencies: Tensor,
  offset: number,
): Variable {
  const { output } = rotaryKernel(tape.gpu, { x: x.tensor, frequencies }, { offset });
  return tape.record([x], [output], ([gradient]) => [
    rotaryBackward(tape.gpu, { outputGradient: gradient!, frequencies }, { offset }).xGradient,
  ])[0];
}

/** Softmax attention; keys may be longer than queries by `options.queryOffset`. */
export function attention(
  tape: Tape,
  inputs: { query: Variable; key: Variable; value: Variable },
  options: AttentionOptions,
): Variable {
  const { query, key, value } = inputs;
  const list = [query, key, value];
  const tensors = { query: query.tensor, key: key.tensor, value: value.tensor };
  if (query.shape[1] === 1 && !tape.differentiates(list)) {
    const keyLength = options.keyLength ?? key.shape[1];
    const { output } = flashAttentionStep(tape.gpu, tensors, { ...options, keyLength });
    return tape.record([], [output], () => [])[0];
  }
  const { output, logSumExp } = flashAttention(tape.gpu, tensors, options);
  tape.own(logSumExp);
  return tape.record(list, [output], ([gradient]) => {
    const gradients = flashAttentionBackward(tape.gpu, {
      ...tensors,
      output,
      logSumExp,
      outputGradient: gradient!,
    }, options);
    return [gradients.queryGradient, gradients.keyGradient, gradients.valueGradient];
  })[0];
}

/** A sequence operation's output, and the state it leaves. */
export interface Recurrence {
  /** The output at every time step. */
  readonly output: Variable;
  /** The state after the last time step. */
  readonly finalState: Variable;
}

type Variables = Readonly<Record<string, Variable | undefined>>;
type Tensors<Inputs extends Variables> = {
  readonly [Name in keyof Inputs]: Inputs[Name] extends Variable ? Tensor : Tensor | undefined;
};
type Gradients<Inputs extends Variables> =
  & { readonly [Name in keyof Inputs & string as `${Name}Gradient`]?: Tensor }
  & { readonly initialStateGradient?: Tensor };

/** What a recurrence's kernels return. */
interface Result {
  readonly output: Tensor;
  readonly finalState: Tensor;
}

/** The kernels of a recurrence, with its options filled in. */
interface RecurrenceKernels<Inputs extends Variables> {
  step(tensors: Tensors<Inputs>, state: Tensor): Result;
  forward(tensors: Tensors<Inputs>, initialState: Tensor | undefined): Result;
  backward(
    tensors: Tensors<Inputs>,
    context: {
      initialState: Tensor | undefined;
      output: Tensor;
      outputGradient: Tensor;
      finalStateGradient: Tensor | undefined;
    },
  ): Gradients<Inputs>;
}

/**
 * A recurrence over `[batch, time, ...]` inputs: the step kernel for one token where nothing is
 * differentiated, else the parallel one. The gradient of each input is called `<input>Gradient`.
 */
function recurrence<Inputs extends Variables>(
  tape: Tape,
  inputs: Inputs,
  state: Variable | undefined,
  time: number,
  kernels: RecurrenceKernels<Inputs>,
): Recurrence {
  const names = Object.keys(inputs);
  const list = [...Object.values(inputs), state];
  const tensors = Object.fromEntries(
    Object.entries(inputs).map(([name, variable]) => [name, variable?.tensor]),
  ) as Tensors<Inputs>;
  if (state && time === 1 && !tape.differentiates(list)) {
    const step = kernels.step(tensors, state.tensor);
    const [output, finalState] = tape.record([], [step.output, step.finalState], () => []);
    return { output, finalState };
  }
  const initialState = state?.tensor;
  const result = kernels.forward(tensors, initialState);
  const [output, finalState] = tape.record(
    list,
    [result.output, result.finalState],
    ([outputGradient, finalStateGradient]) => {
      using zeros = outputGradient ? undefined : tape.gpu.tensor(result.output.shape);
      const gradients = kernels.backward(tensors, {
        initialState,
        output: result.output,
        outputGradient: outputGradient ?? zeros!,
        finalStateGradient,
      }) as Readonly<Record<string, Tensor | undefined>>;
      return [...names, "initialState"].map((name) => gradients[`${name}Gradient`]);
    },
  );
  return { output, finalState };
}

/** Short causal depthwise convolution of `[batch, time, channels]`; its state is the last inputs. */
export function convolution(
  tape: Tape,
  inputs: { x: Variable; weight: Variable; bias?: Variable; tail?: Variable },
  activation: "silu" | "none",
): Recurrence {
  const { tail, ...rest } = inputs;
  const { gpu } = tape;
  return recurrence(tape, rest, tail, inputs.x.shape[1], {
    step(tensors, tail): Result {
      const { output, finalTail } = causalConvolutionStep(
        gpu,
        { ...tensors, tail },
        { activation },
      );
      return { output, finalState: finalTail };
    },
    forward(tensors, initialTail): Result {
      const { output, finalTail } = causalConvolution(
        gpu,
        { ...tensors, initialTail },
        { activation },
      );
      return { output, finalState: finalTail };
    },
    backward(
      tensors,
      { initialState, outputGradient, finalStateGradient },
    ): Gradients<typeof rest> {
      const { initialTailGradient, ...gradients } = causalConvolutionBackward(gpu, {
        ...tensors,
        initialTail: initialState,
        outputGradient,
        finalTailGradient: finalStateGradient,
      }, { activation });
      return { ...gradients, initialStateGradient: initialTailGradient };
    },
  });
}

/** Linear attention with a matrix state; see the kernel for shapes. */
export function linearAttention(
  tape: Tape,
  inputs: {
    query: Variable;
    key: Variable;
    value: Variable;
    logDecay?: Variable;
    bonus?: Variable;
    state?: Variable;
  },
  options: { scale?: number },
): Recurrence {
  const { state, ...rest } = inputs;
  const { gpu } = tape;
  return recurrence(tape, rest, state, inputs.query.shape[1], {
    step: (tensors, state) => linearAttentionStep(gpu, { ...tensors, state }, options),
    forward: (tensors, initialState) =>
      linearAttentionKernel(gpu, { ...tensors, initialState }, options),
    backward: (tensors, context) =>
      linearAttentionBackward(gpu, { ...tensors, ...context }, options),
  });
}

/** The delta rule, with a decay or without; see the kernel for shapes. */
export function deltaRule(
  tape: Tape,
  inputs: {
    query: Variable;
    key: Variable;
    value: Variable;
    beta: Variable;
    logDecay?: Variable;
    state?: Variable;
  },
  options: { scale?: number },
): Recurrence {
  const { state, ...rest } = inputs;
  const { gpu } = tape;
  return recurrence(tape, rest, state, inputs.query.shape[1], {
    step: (tensors, state) => deltaRuleStep(gpu, { ...tensors, state }, options),
    forward: (tensors, initialState) => deltaRuleKernel(gpu, { ...tensors, initialState }, options),
    backward: (tensors, context) => deltaRuleBackward(gpu, { ...tensors, ...context }, options),
  });
}

/** The real-gated linear recurrent unit of Griffin; gates are before their sigmoid. */
export function rgLru(
  tape: Tape,
  inputs: {
    input: Variable;
    recurrenceGate: Variable;
    inputGate: Variable;
    decayParameter: Variable;
    state?: Variable;
  },
  options: { resetFirst?: boolean } = {},
): Recurrence {
  const { state, ...rest } = inputs;
  const { gpu } = tape;
  return recurrence(tape, rest, state, inputs.input.shape[1], {
    step(tensors, state): Result {
      const { finalState } = rgLruStep(gpu, { ...tensors, state }, options);
      return { output: finalState.reshape(inputs.input.shape), finalState };
    },
    forward: (tensors, initialState) => rgLruKernel(gpu, { ...tensors, initialState }, options),
    backward: (tensors, context) => rgLruBackward(gpu, { ...tensors, ...context }, options),
  });
}

/** RWKV-7's diagonal plus low rank state; see the kernel for shapes. */
export function rwkv7(
  tape: Tape,
  inputs: {
    receptance: Variable;
    logDecay: Variable;
    key: Variable;
    value: Variable;
    a: Variable;
    b: Variable;
    state?: Variable;
  },
): Recurrence {
  const { state, ...rest } = inputs;
  const { gpu } = tape;
  return recurrence(tape, rest, state, inputs.key.shape[1], {
    step: (tensors, state) => rwkv7Step(gpu, { ...tensors, state }),
    forward: (tensors, initialState) => rwkv7Kernel(gpu, { ...tensors, initialState }),
    backward: (tensors, context) => rwkv7Backward(gpu, { ...tensors, ...context }),
  });
}

/** Mamba's selective scan, Δ before its softplus; see the kernel for shapes. */
export function selectiveScan(
  tape: Tape,
  inputs: {
    input: Variable;
    delta: Variable;
    a: Variable;
    b: Variable;
    c: Variable;
    skip: Variable;
    gate: Variable;
    deltaBias: Variable;
    state?: Variable;
  },
): Recurrence {
  const { state, ...rest } = inputs;
  const { gpu } = tape;
  const options = { deltaSoftplus: true };
  return recurrence(tape, rest, state, inputs.input.shape[1], {
    step: (tensors, state) => selectiveScanStep(gpu, { ...tensors, state }, options),
    forward: (tensors, initialState) =>
      selectiveScanKernel(gpu, { ...tensors, initialState }, options),
    backward: (tensors, context) => selectiveScanBackward(gpu, { ...tensors, ...context }, options),
  });
}

/** The input moved toward that of the token before (RWKV's token shift). */
export interface TokenShift {
  /** `x + (previous − x) · amount`, with an amount for each channel or each element. */
  toward(amount: Variable): Variable;
  /** The last token's input, `[batch, 1, width]`. */
  readonly state: Variable;
}

/** The difference to the token before, as a convolution of two taps, 1 and −1; 0 before the first. */
export function tokenShift(tape: Tape, x: Variable, state: Variable | undefined): TokenShift {
  const width = x.shape[2];
  const taps = Float32Array.from({ length: 2 * width }, (_, index) => index % 2 === 0 ? 1 : -1);
  const weight = new Variable(tape.own(tape.gpu.tensor([width, 2], taps)));
  const { output: difference, finalState } = convolution(tape, { x, weight, tail: state }, "none");
  return {
    toward: (amount) => add(tape, x, multiply(tape, difference, amount)),
    state: finalState,
  };
}
