/**
 * The kernels that carry a state along the sequence, as operations on a tape. Where one token is asked
 * for and nothing is recorded, they run their step kernels.
 *
 * @module
 */
import {
  causalConvolution,
  causalConvolutionBackward,
  causalConvolutionStep,
  causalConvolutionSteps,
} from "../kernels/convolution/mod.ts";
import {
  deltaRule as deltaRuleKernel,
  deltaRuleBackward,
  deltaRuleRecurrent,
  deltaRuleStep,
  rwkv7 as rwkv7Kernel,
  rwkv7Backward,
  rwkv7Step,
} from "../kernels/delta_rule/mod.ts";
import type { Tensor } from "../kernels/gpu/mod.ts";
import {
  linearAttention as linearAttentionKernel,
  linearAttentionBackward,
  linearAttentionStep,
} from "../kernels/linear_attention/mod.ts";
import {
  rgLru as rgLruKernel,
  rgLruBackward,
  rgLruStep,
  scan as scanKernel,
  scanBackward,
  scanStep,
  selectiveScan as selectiveScanKernel,
  selectiveScanBackward,
  selectiveScanStep,
} from "../kernels/scan/mod.ts";
import { DeferredRates, DeferredUnits } from "./deferred.ts";
import { multiplyAdd } from "./multiply_add.ts";
import { table } from "./tables.ts";
import type { Tape, Variable } from "./tape.ts";

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
      outputGradient: Tensor;
      finalStateGradient: Tensor | undefined;
    },
    output: Tensor,
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
        outputGradient: outputGradient ?? zeros!,
        finalStateGradient,
      }, result.output) as Readonly<Record<string, Tensor | undefined>>;
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
        { activation, inPlace: tape.inPlace },
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

/** Several convolutions; one token's in one dispatch, where they have one width. */
export function convolutions(
  tape: Tape,
  inputs: readonly Parameters<typeof convolution>[1][],
  activation: "silu" | "none",
): Recurrence[] {
  const [first] = inputs;
  const steps = inputs.map(({ x, weight, bias, tail }) =>
    tail && x.shape[1] === 1 && weight.shape[1] === first.weight.shape[1]
      ? { x: x.tensor, weight: weight.tensor, bias: bias?.tensor, tail: tail.tensor }
      : undefined
  ).filter((step) => step !== undefined);
  if (steps.length < inputs.length || tape.differentiates(inputs.flatMap(Object.values))) {
    return inputs.map((each) => convolution(tape, each, activation));
  }
  return causalConvolutionSteps(tape.gpu, steps, { activation, inPlace: tape.inPlace }).map(
    ({ output, finalTail }) => {
      const [result, finalState] = tape.record([], [output, finalTail], () => []);
      return { output: result, finalState };
    },
  );
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
    step: (tensors, state) =>
      linearAttentionStep(gpu, { ...tensors, state }, { ...options, inPlace: tape.inPlace }),
    forward: (tensors, initialState) =>
      linearAttentionKernel(gpu, { ...tensors, initialState }, {
        ...options,
        finalState: tape.keepsStates,
      }),
    backward: (tensors, context) =>
      linearAttentionBackward(gpu, { ...tensors, ...context }, options),
  });
}

/**
 * The delta rule, with a decay or without; see the kernel for shapes.
 *
 * @param options.steps How many time steps a token has: one token's are walked one after another.
 * @param options.unitLength For one token: what is added to squared lengths, which its step divides by.
 */
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
  { steps = 1, ...options }: { scale?: number; steps?: number; unitLength?: number },
): Recurrence {
  const { gpu } = tape;
  const { query, key, state } = inputs;
  const isStep = state !== undefined && query.shape[1] === steps && !tape.recording;
  const [q, k] = [query, key].map((x) =>
    x instanceof DeferredUnits && !x.isComputed ? x : undefined
  );
  if (isStep && q && k && q.epsilon === k.epsilon) {
    const raw = { ...inputs, query: q.x, key: k.x };
    return deltaRule(tape, raw, { ...options, steps, unitLength: q.epsilon });
  }
  const { unitLength, ...whole } = options;
  const { state: _, ...rest } = inputs;
  const stepOptions = { ...whole, unitLength, inPlace: tape.inPlace };
  return recurrence(tape, rest, state, query.shape[1] / steps, {
    step: (tensors, state) =>
      steps === 1
        ? deltaRuleStep(gpu, { ...tensors, state }, stepOptions)
        : deltaRuleRecurrent(gpu, { ...tensors, initialState: state }, stepOptions),
    forward: (tensors, initialState) => deltaRuleKernel(gpu, { ...tensors, initialState }, whole),
    backward: (tensors, context) => deltaRuleBackward(gpu, { ...tensors, ...context }, whole),
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
      const { inPlace } = tape;
      const { finalState } = rgLruStep(gpu, { ...tensors, state }, { ...options, inPlace });
      return { output: finalState.reshape(inputs.input.shape), finalState };
    },
    forward: (tensors, initialState) => rgLruKernel(gpu, { ...tensors, initialState }, options),
    backward: (tensors, context, output) =>
      rgLruBackward(gpu, { ...tensors, ...context, output }, options),
  });
}

/** The elementwise recurrence `h_t = decay_t · h_{t−1} + input_t`; see the kernel for shapes. */
export function scan(
  tape: Tape,
  inputs: { decay: Variable; input: Variable; state?: Variable },
): Recurrence {
  const { state, ...rest } = inputs;
  const { gpu } = tape;
  return recurrence(tape, rest, state, inputs.input.shape[1], {
    step(tensors, state): Result {
      const { finalState } = scanStep(gpu, { ...tensors, state }, { inPlace: tape.inPlace });
      return { output: finalState.reshape(inputs.input.shape), finalState };
    },
    forward: (tensors, initialState) => scanKernel(gpu, { ...tensors, initialState }),
    backward: ({ decay }, context, output) => scanBackward(gpu, { decay, ...context, output }),
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
    step: (tensors, state) => rwkv7Step(gpu, { ...tensors, state }, { inPlace: tape.inPlace }),
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
  const { gpu, inPlace } = tape;
  const options = { deltaSoftplus: true };
  const isStep = state !== undefined && inputs.input.shape[1] === 1 && !tape.recording;
  const logRates = isStep && rest.a instanceof DeferredRates && !rest.a.isComputed;
  const given = logRates ? { ...rest, a: (rest.a as DeferredRates).x } : rest;
  return recurrence(tape, given, state, inputs.input.shape[1], {
    step: (tensors, state) =>
      selectiveScanStep(gpu, { ...tensors, state }, { ...options, logRates, inPlace }),
    forward: (tensors, initialState) =>
      selectiveScanKernel(gpu, { ...tensors, initialState }, options),
    backward: (tensors, context) => selectiveScanBackward(gpu, { ...tensors, ...context }, options),
  });
}

/** The input moved toward that of the token before (RWKV's token shift). */
export interface TokenShift {
  /** `x + (previous − x) · amount` for each of several amounts, each per channel or per element. */
  toward(amounts: readonly Variable[]): Variable[];
  /** The last token's input, `[batch, 1, width]`. */
  readonly state: Variable;
}

/** The difference to the token before, as a convolution of two taps, 1 and −1; 0 before the first. */
export function tokenShift(tape: Tape, x: Variable, state: Variable | undefined): TokenShift {
  const width = x.shape[2];
  const weight = table(
    tape.gpu,
    `token shift ${width}`,
    [width, 2],
    (i) => i % 2 === 0 ? 1 : -1,
  );
  const { output: difference, finalState } = convolution(tape, { x, weight, tail: state }, "none");
  return {
    toward: (factors) => multiplyAdd(tape, { x: difference, factors, addend: x }),
    state: finalState,
  };
}
