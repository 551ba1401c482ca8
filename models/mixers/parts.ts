/**
 * What linear RNNs have in common: streams of queries, keys and values, and a way out.
 *
 * @module
 */
import type { ActivationKind } from "../../kernels/activation/mod.ts";
import {
  activation,
  add,
  concatenate,
  gatedNorm,
  layerNorm,
  linearMap,
  multiply,
  reshape,
  rmsNorm,
  scale,
} from "../operations.ts";
import {
  constant,
  free,
  linear,
  normal,
  type Parameters,
  type ParameterSpecification,
} from "../parameters.ts";
import { DeferredRates, DeferredUnits } from "../deferred.ts";
import { multiplyAdd } from "../multiply_add.ts";
import { convolution, convolutions } from "../recurrences.ts";
import { uniform } from "../tables.ts";
import type { Tape, Variable } from "../tape.ts";
import { F32_BYTES, type MixerState } from "./mixer.ts";

const NORM_EPSILON = 1e-5;

/** A projection of the input: its name, heads and the size of a head. */
export interface Stream {
  /** Name of its parameters. */
  readonly name: string;
  /** Heads. */
  readonly heads: number;
  /** Size of a head. */
  readonly dim: number;
  /**
   * What acts behind its convolution, or behind the projection if there is none; `silu` with a
   * convolution and nothing without by default.
   */
  readonly activation?: ActivationKind | "none";
}

/** The parameters of streams, each with a short convolution where `taps` is not 0. */
export function streamParameters(
  width: number,
  streams: readonly Stream[],
  taps: number,
): ParameterSpecification[] {
  return streams.flatMap(({ name, heads, dim }) => [
    linear(`${name}.weight`, heads * dim, width),
    ...(taps === 0
      ? []
      : [free(`${name}_convolution.weight`, [heads * dim, taps], normal(1 / Math.sqrt(taps)))]),
  ]);
}

/** Bytes that the convolutions of streams carry. */
export function streamBytes(streams: readonly Stream[], taps: number): number {
  const channels = streams.reduce((sum, { heads, dim }) => sum + heads * dim, 0);
  return F32_BYTES * Math.max(0, taps - 1) * channels;
}

/** Projects the input to each stream, `[batch, time, heads, dim]`, and leaves the convolutions' tails. */
export function runStreams(
  tape: Tape,
  parameters: Parameters,
  x: Variable,
  streams: readonly Stream[],
  taps: number,
  state: MixerState | undefined,
): { outputs: Variable[]; tails: Record<string, Variable> } {
  const projected = streams.map(({ name }) => linearMap(tape, x, parameters(`${name}.weight`)));
  const kinds = streams.map(({ activation = taps > 0 ? "silu" : "none" }) => activation);
  const fused = kinds.map((kind) => taps > 0 && kind === "silu");
  const inputs = taps === 0 ? [] : streams.map(({ name }, index) => ({
    x: projected[index],
    weight: parameters(`${name}_convolution.weight`),
    tail: state?.tensors[`${name}Tail`],
  }));
  const acts = (index: number): "silu" | "none" => fused[index] ? "silu" : "none";
  const convolved = taps === 0
    ? []
    : fused.every((each) => each === fused[0])
    ? convolutions(tape, inputs, acts(0))
    : inputs.map((input, index) => convolution(tape, input, acts(index)));
  const outputs = streams.map(({ heads, dim }, index) => {
    const output = convolved[index]?.output ?? projected[index];
    const kind = fused[index] ? "none" : kinds[index];
    const active = kind === "none" ? output : activation(tape, output, kind);
    return reshape(tape, active, [...x.shape.slice(0, 2), heads, dim]);
  });
  const tails = Object.fromEntries(
    convolved.map(({ finalState }, index) => [`${streams[index].name}Tail`, finalState]),
  );
  return { outputs, tails };
}

/** Each head so many times in a row: `[batch, time, heads, dim] → [batch, time, heads · times, dim]`. */
export function repeatHeads(tape: Tape, x: Variable, times: number): Variable {
  if (times === 1) return x;
  const [batch, time, heads, dim] = x.shape;
  const repeated = concatenate(tape, new Array(times).fill(x));
  return reshape(tape, repeated, [batch, time, heads * times, dim]);
}

/** The parameters of {@linkcode readOut}. */
export function readOutParameters(
  width: number,
  heads: number,
  valueDim: number,
  options: { gated: boolean; outputGain: number },
): ParameterSpecification[] {
  return [
    ...(options.gated ? [linear("gate.weight", heads * valueDim, width)] : []),
    free("norm.weight", [valueDim], constant(1)),
    linear("output.weight", width, heads * valueDim, options.outputGain),
  ];
}

/** The output's gate before its activation, `[batch, time, heads · valueDim]`, where there is one. */
export function outputGate(
  tape: Tape,
  parameters: Parameters,
  x: Variable,
  { gated }: { gated: boolean },
): Variable | undefined {
  return gated ? linearMap(tape, x, parameters("gate.weight")) : undefined;
}

/** From what a state gave, `[batch, time, heads, valueDim]`, to the output: norm a head, gate, projection. */
export function readOut(
  tape: Tape,
  parameters: Parameters,
  read: Variable,
  { gate, normEpsilon = NORM_EPSILON }: { gate?: Variable; normEpsilon?: number } = {},
): Variable {
  const [batch, time, heads, valueDim] = read.shape;
  const output = gatedNorm(tape, {
    read: reshape(tape, read, [batch, time, heads * valueDim]),
    weight: parameters("norm.weight"),
    gate,
  }, { groups: heads, epsilon: normEpsilon, activation: "silu", gateFirst: false });
  return linearMap(tape, output, parameters("output.weight"));
}

/**
 * Rows of length 1: an RMS norm, whose rows have length √dim, over √dim.
 *
 * @param epsilon What is added to the squared length.
 */
export function unitLength(tape: Tape, x: Variable, epsilon: number = 1e-6): Variable {
  const dim = x.shape.at(-1)!;
  const units = (): Variable => uniformNorm(tape, x, 1 / Math.sqrt(dim), epsilon / dim);
  const isToken = !tape.recording && x.shape[1] === 1;
  return isToken ? new DeferredUnits(x, epsilon, () => units().tensor) : units();
}

/** Rates at which states forget, `−exp(x)`. */
export function forgettingRates(tape: Tape, x: Variable): Variable {
  const rates = (): Variable => scale(tape, activation(tape, x, "exp"), -1);
  return tape.recording ? rates() : new DeferredRates(x, () => rates().tensor);
}

/**
 * Rows with a mean square of 1: an RMS norm without weights.
 *
 * @param epsilon What is added to the mean square.
 */
export function unitSquare(tape: Tape, x: Variable, epsilon: number): Variable {
  return uniformNorm(tape, x, 1, epsilon);
}

function uniformNorm(tape: Tape, x: Variable, weight: number, epsilon: number): Variable {
  const dim = x.shape.at(-1)!;
  return rmsNorm(tape, x, uniform(tape.gpu, [dim], weight), epsilon);
}

/** A forget gate's complement 1 − f and logarithm. */
export interface ForgetGates {
  /** `1 − f`. */
  readonly complement: Variable;
  /** `log f`. */
  readonly logDecay: Variable;
}

/**
 * HGRN's forget gates `f = sigmoid(x)` or, with the lower bound β = sigmoid(bound), `f = β + (1 − β)
 * sigmoid(x)` (Qin et al. 2023, section 3.2).
 */
export function forgetGates(tape: Tape, x: Variable, bound: Variable | undefined): ForgetGates {
  const negated = scale(tape, x, -1);
  // 1 − sigmoid(x) = sigmoid(−x), without the cancellation.
  const complement = activation(tape, negated, "sigmoid");
  const logDecay = activation(tape, x, "log_sigmoid");
  if (bound === undefined) return { complement, logDecay };
  const logBound = activation(tape, bound, "log_sigmoid");
  const room = activation(tape, scale(tape, bound, -1), "sigmoid");
  return {
    complement: multiply(tape, complement, room),
    // log(β + (1 − β) sigmoid(x)) = log(1 + β exp(−x)) + log sigmoid(x).
    logDecay: add(tape, activation(tape, add(tape, negated, logBound), "softplus"), logDecay),
  };
}

/** The parameters of {@linkcode headNorm}. */
export function headNormParameters(heads: number, dim: number): ParameterSpecification[] {
  return [
    free("norm.weight", [heads, dim], constant(1)),
    free("norm.bias", [heads, dim], constant(0)),
  ];
}

/** Layer norm of each head with weights of its own (a group norm): `[batch, time, heads, dim]`. */
export function headNorm(
  tape: Tape,
  parameters: Parameters,
  x: Variable,
  epsilon: number,
): Variable {
  const dim = x.shape.at(-1)!;
  const [ones, zeros] = [1, 0].map((value) => uniform(tape.gpu, [dim], value));
  const normed = layerNorm(tape, x, ones, zeros, epsilon);
  return multiplyAdd(tape, {
    x: normed,
    factors: [parameters("norm.weight")],
    addend: parameters("norm.bias"),
  })[0];
}
