/**
 * The kernels as operations on a tape: each computes its outputs, and records how their gradients
 * become those of its inputs. What carries a state along the sequence is in recurrences.ts.
 *
 * @module
 */
import {
  activation as activationKernel,
  activationBackward,
  type ActivationKind,
  gatedActivation as gatedActivationKernel,
  gatedActivationBackward,
  softplusDecay as softplusDecayKernel,
  softplusDecayBackward,
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
  type AttentionStepOptions,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
} from "../kernels/attention/mod.ts";
import { embedding as embeddingKernel, embeddingBackward } from "../kernels/embedding/mod.ts";
import type { Tensor } from "../kernels/gpu/mod.ts";
import {
  gatedRmsNorm,
  gatedRmsNormBackward,
  hasGatedRmsNormBackward,
  layerNorm as layerNormKernel,
  layerNormBackward,
  rmsNorm as rmsNormKernel,
  rmsNormBackward,
} from "../kernels/norm/mod.ts";
import { rotary as rotaryKernel, rotaryAppend, rotaryBackward } from "../kernels/position/mod.ts";
import { asProduct, Deferred, DeferredNorm, DeferredProduct, defers } from "./deferred.ts";
import { LinearMap, ownGradient } from "./linear_map.ts";
import { uniform } from "./tables.ts";
import { Parts, type Tape, Variable } from "./tape.ts";

/** `x · weightᵀ` over the last axis; weight is `[outputs, inputs]`, as PyTorch stores it. */
export function linearMap(tape: Tape, x: Variable, weight: Variable): Variable {
  if (defers(tape, x)) return new DeferredProduct(tape, x, { weight });
  return new LinearMap(tape, x, weight);
}

/** `a + b`, where `b` may be broadcast. */
export function add(tape: Tape, a: Variable, b: Variable): Variable {
  const sum = biased(a, b) ?? joined(a, b);
  if (sum !== undefined) return sum;
  const { output } = addKernel(tape.gpu, { a: a.tensor, b: b.tensor });
  return tape.record([a, b], [output], ([gradient]) => {
    const ofB = (): Tensor =>
      a.shape.join() === b.shape.join()
        ? gradient!.reshape(b.shape)
        : sumTo(tape.gpu, { x: gradient! }, { shape: b.shape }).output;
    return [gradient!.reshape(a.shape), b.requiresGradient ? ofB() : undefined];
  })[0];
}

/** A product that is yet to come, with its bias. */
function biased(a: Variable, bias: Variable): Variable | undefined {
  if (a instanceof LinearMap) return a.withBias(bias);
  const product = asProduct(a);
  const { weight, rows, bias: before, activation, factor } = product?.product ?? {};
  if (weight === undefined || (rows ?? before ?? activation ?? factor) !== undefined) {
    return undefined;
  }
  if (bias.shape.length !== 1 || bias.shape[0] !== weight.shape[0]) return undefined;
  return bias.tensor.dtype === "f32" ? product!.with({ bias }) : undefined;
}

/** The sum of a residual stream and a product that is yet to come. */
function joined(residual: Variable, b: Variable): Variable | undefined {
  if (b instanceof LinearMap) return b.plus(residual);
  const product = asProduct(b);
  if (product === undefined || residual.shape.join() !== b.shape.join()) return undefined;
  return new Variable(product.plus(residual));
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
  const product = asProduct(x);
  if (product && product.product.factor === undefined) return product.with({ factor });
  const { output } = scaleKernel(tape.gpu, { x: x.tensor }, { factor });
  return tape.record([x], [output], ([gradient]) => [
    scaleKernel(tape.gpu, { x: gradient! }, { factor }).output,
  ])[0];
}

/** The same elements under another shape. */
export function reshape(tape: Tape, x: Variable, shape: readonly number[]): Variable {
  if (x instanceof Deferred && !x.isComputed && !x.requiresGradient) {
    if (shape.join() === x.shape.join()) return x;
    return new Deferred(shape, () => tape.own(x.tensor.reshape(shape)));
  }
  return tape.record(
    [x],
    [x.tensor.reshape(shape)],
    ([gradient]) => [gradient!.reshape(x.shape)],
  )[0];
}

/** Cuts the last axis into parts of the given sizes. */
export function split(tape: Tape, x: Variable, sizes: readonly number[]): Variable[] {
  const products = asProduct(x)?.cut(sizes);
  if (products !== undefined) return products;
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
export function gatherRows(tape: Tape, x: Variable, indices: Tensor<"u32">): Variable {
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
  const value = (number: number): Variable => uniform(tape.gpu, [1], number);
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
  const product = asProduct(x);
  if (product && product.product.activation === undefined && product.product.factor === undefined) {
    return product.with({ activation: kind });
  }
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
  const gates = asProduct(gate)?.gating(asProduct(x), kind);
  if (gates !== undefined) return gates;
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

/**
 * A log decay, `−exp(rate) · softplus(x + bias)` over the last axis; each rate is of as many channels in a
 * row as there are.
 */
export function softplusDecay(
  tape: Tape,
  x: Variable,
  { bias, rate }: { bias: Variable; rate: Variable },
): Variable {
  const { gpu } = tape;
  const inputs = { x: x.tensor, bias: bias.tensor, rate: rate.tensor };
  const { output } = softplusDecayKernel(gpu, inputs);
  return tape.record([x, bias, rate], [output], ([gradient]) => {
    const backward = softplusDecayBackward(gpu, { ...inputs, outputGradient: gradient! });
    using terms = backward.rateTerms;
    using runs = terms.reshape([x.size / bias.size, rate.size, bias.size / rate.size]);
    using sums = sumTo(gpu, { x: runs }, { shape: [rate.size, 1] }).output;
    const { output: biasGradient } = sumTo(gpu, { x: backward.xGradient }, { shape: bias.shape });
    return [backward.xGradient, biasGradient, sums.reshape(rate.shape)];
  })[0];
}

/** RMS norm along the last axis. */
export function rmsNorm(tape: Tape, x: Variable, weight: Variable, epsilon: number): Variable {
  if (weight.shape.length === 1 && defers(tape, x)) {
    return new DeferredNorm(tape, x, weight, epsilon);
  }
  const inputs = { x: x.tensor, weight: weight.tensor };
  const { output, inverseRms } = rmsNormKernel(tape.gpu, inputs, { epsilon });
  tape.own(inverseRms);
  return tape.record([x, weight], [output], ([gradient]) => {
    const before = ownGradient(x);
    const { xGradient, weightGradient } = rmsNormBackward(
      tape.gpu,
      { ...inputs, inverseRms, outputGradient: gradient! },
      { accumulateInto: before, inParts: true },
    );
    return [xGradient === before ? undefined : xGradient, new Parts(weightGradient)];
  })[0];
}

/** What {@linkcode gatedNorm} takes. */
export interface GatedNormInputs {
  /** What a state gave, `[batch, time, channels]`. */
  readonly read: Variable;
  /** `[channels / groups]` or `[channels]`; left out, nothing is normed. */
  readonly weight?: Variable;
  /** Before its activation; `[batch, time, channels]`, or more columns of which these are the first. */
  readonly gate?: Variable;
  /** What passes the state by, `[batch, time, channels]`, and what it is multiplied by, `[heads]`. */
  readonly skipped?: { readonly values: Variable; readonly skip: Variable };
}

/**
 * From what a state gave to what is projected out: `read + skip · values`, an RMS norm of each group of
 * channels, and a gate before the norm or behind it.
 */
export function gatedNorm(
  tape: Tape,
  { read, weight, gate, skipped }: GatedNormInputs,
  options: { groups: number; epsilon: number; activation: ActivationKind; gateFirst: boolean },
): Variable {
  const { groups, epsilon, activation, gateFirst } = options;
  const { values, skip } = skipped ?? {};
  const { gpu } = tape;
  const variables = [read, weight, gate, values, skip];
  const inputs = {
    x: read.tensor,
    weight: weight?.tensor,
    gate: gate?.tensor,
    values: values?.tensor,
    skip: skip?.tensor,
  };
  if (!tape.differentiates(variables) || hasGatedRmsNormBackward(gpu, inputs, options)) {
    const { output } = gatedRmsNorm(gpu, inputs, options);
    return tape.record(variables, [output], ([outputGradient]) => {
      const given = { ...inputs, outputGradient: outputGradient! };
      const back = gatedRmsNormBackward(gpu, given, { ...options, inParts: true });
      return [
        back.xGradient,
        back.weightGradient && new Parts(back.weightGradient),
        back.gateGradient,
        back.valuesGradient,
        back.skipGradient && new Parts(back.skipGradient),
      ];
    })[0];
  }
  const [batch, time, channels] = read.shape;
  const gated = (x: Variable): Variable =>
    gate === undefined ? x : gatedActivation(tape, gate, x, activation);
  const normed = (x: Variable): Variable => {
    if (weight === undefined) return x;
    const parts = reshape(tape, x, [batch, time, groups, channels / groups]);
    return reshape(tape, rmsNorm(tape, parts, weight, epsilon), x.shape);
  };
  let joined = read;
  if (values !== undefined && skip !== undefined) {
    const heads = skip.shape[0];
    const byHead = reshape(tape, values, [batch, time, heads, channels / heads]);
    const passed = multiply(tape, byHead, reshape(tape, skip, [heads, 1]));
    joined = add(tape, read, reshape(tape, passed, read.shape));
  }
  return gateFirst ? normed(gated(joined)) : gated(normed(joined));
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
export function embedding(tape: Tape, tokens: Tensor<"u32">, weight: Variable): Variable {
  const { output } = embeddingKernel(tape.gpu, { tokens, weight: weight.matrices });
  return tape.record(weight.blocks, [output], ([gradient]) => {
    let firstToken = 0;
    return weight.blocks.map(({ shape: [vocabulary] }) => {
      const { weightGradient } = embeddingBackward(
        tape.gpu,
        { tokens, outputGradient: gradient! },
        { vocabulary, firstToken },
      );
      firstToken += vocabulary;
      return weightGradient;
    });
  })[0];
}

/**
 * Rotary positions on queries and keys, `[batch, time, heads, dim]`, which may differ in heads.
 *
 * @param place The position of the first time step; or those of all tokens, `[batch · time]`, on the GPU.
 */
export function rotary(
  tape: Tape,
  { query, key }: { readonly query: Variable; readonly key: Variable },
  frequencies: Tensor<"u32">,
  place: number | Tensor<"u32">,
): { query: Variable; key: Variable } {
  const { gpu } = tape;
  const inputs = { x: query.tensor, other: key.tensor, frequencies };
  if (typeof place !== "number") {
    using positions = place.reshape(query.shape.slice(0, 2));
    const { output, other } = rotaryKernel(gpu, { ...inputs, positions });
    const [turnedQuery, turnedKey] = tape.record([], [output, other!], () => []);
    return { query: turnedQuery, key: turnedKey };
  }
  const offset = place;
  const { output, other } = rotaryKernel(gpu, inputs, { offset });
  const back = (gradient: Tensor, otherGradient?: Tensor): [Tensor, Tensor | undefined] => {
    const gradients = { outputGradient: gradient, otherGradient, frequencies };
    const turned = rotaryBackward(gpu, gradients, { offset });
    return [turned.xGradient, turned.otherGradient];
  };
  const [turnedQuery, turnedKey] = tape.record(
    [query, key],
    [output, other!],
    ([ofQuery, ofKey]) => {
      if (ofQuery) return back(ofQuery, ofKey);
      return [undefined, ofKey && back(ofKey)[0]];
    },
  );
  return { query: turnedQuery, key: turnedKey };
}

/**
 * Softmax attention of one token, whose position is on the GPU, to a cache that it is written to first:
 * `frequencies` turn the query and the key, where they are given.
 *
 * @param cache Keys and values `[batch, rows, keyHeads, headDim]`, written in place.
 */
export function attentionAt(
  tape: Tape,
  position: Tensor<"u32">,
  { query, key, value }: { query: Variable; key: Variable; value: Variable },
  cache: { key: Variable; value: Variable },
  { frequencies, ...options }: AttentionStepOptions & { frequencies?: Tensor<"u32"> },
): Variable {
  const { gpu } = tape;
  using turned = rotaryAppend(gpu, {
    query: frequencies && query.tensor,
    key: key.tensor,
    value: value.tensor,
    keyCache: cache.key.tensor,
    valueCache: cache.value.tensor,
    frequencies,
    position,
  }, { sinks: options.sinks });
  const { output } = flashAttentionStep(gpu, {
    query: turned.query ?? query.tensor,
    key: cache.key.tensor,
    value: cache.value.tensor,
    position,
  }, options);
  return tape.record([], [output], () => [])[0];
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
