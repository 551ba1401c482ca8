/** Options of every op, by name and range: refused before the GPU is touched, and undefined is the default. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  activation,
  activationBackward,
  adamW,
  adamWAll,
  causalConvolution,
  causalConvolutionBackward,
  causalConvolutionStep,
  causalConvolutionSteps,
  convert,
  crossEntropyBackward,
  deltaRule,
  deltaRuleBackward,
  deltaRuleRecurrent,
  deltaRuleStep,
  embeddingBackward,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
  gatedActivation,
  gatedActivationBackward,
  gatedRmsNorm,
  gatedRmsNormBackward,
  gatherRowsBackward,
  type Gpu,
  gradientNorm,
  hasGatedRmsNormBackward,
  hasMamba2InputsBackward,
  layerNorm,
  linearAttention,
  linearAttentionBackward,
  linearAttentionRecurrent,
  linearAttentionStep,
  mamba2Inputs,
  mamba2InputsBackward,
  matmul,
  project,
  quantize,
  QuantizedMatrix,
  rgLru,
  rgLruBackward,
  rgLruStep,
  rmsNorm,
  rmsNormBackward,
  rotary,
  rotaryAppend,
  rotaryBackward,
  rotaryFrequencies,
  rwkv7,
  rwkv7Backward,
  rwkv7Recurrent,
  rwkv7Step,
  scale,
  scan,
  scanBackward,
  scanStep,
  selectiveScan,
  selectiveScanBackward,
  selectiveScanStep,
  sliceTime,
  split,
  sumTo,
} from "../../kernels/mod.ts";
import * as kernels from "../../kernels/mod.ts";
import { testGpu } from "../testing.ts";

/** What is not a number of a kind, whatever the option means. */
const NO_NUMBERS = [NaN, Infinity, -Infinity, "2", null, {}];
const NO_INTEGERS = [...NO_NUMBERS, 1.5];
const NO_COUNTS = [...NO_INTEGERS, -1];
const NO_SIZES = NO_COUNTS;
const NO_FLAGS = [0, 1, "true", null];
const NO_POSITIVES = [...NO_NUMBERS, 0, -1];
const NO_BETAS = [...NO_NUMBERS, 1, 1.5, -0.1];

interface Row {
  readonly call: (gpu: Gpu, options: object) => unknown;
  /** Options with which it runs. */
  readonly good: Readonly<Record<string, unknown>>;
  readonly bad: Readonly<Record<string, readonly unknown[]>>;
  /** Options that cannot be left out. */
  readonly needed?: readonly string[];
}

// deno-lint-ignore no-explicit-any
type Any = any;

const [B, T, H, D] = [1, 5, 2, 8];
const rows = (gpu: Gpu, ...shape: number[]): Any => gpu.tensor(shape);
const qkv = (gpu: Gpu, time = T): Any =>
  Object.fromEntries(["query", "key", "value"].map((name) => [name, rows(gpu, B, time, H, D)]));
const wide = (gpu: Gpu, ...names: string[]): Any =>
  Object.fromEntries(names.map((name) => [name, rows(gpu, B, T, 6)]));

const ATTENTION = {
  causal: NO_FLAGS,
  window: NO_SIZES,
  sinks: NO_COUNTS,
  scale: NO_NUMBERS,
  softCap: NO_POSITIVES,
  queryOffset: NO_INTEGERS,
  keyLength: [...NO_COUNTS, T + 1],
};
const WHOLE_ATTENTION = {
  ...ATTENTION,
  segments: [[0, 2.5, T], [0, -1, T], [0, NaN], [0, 3, 2, T], [1, T], "05", 5],
  algorithm: ["fast", 1, null],
};
const STATES = {
  scale: NO_NUMBERS,
  chunkSize: [...NO_SIZES, 7],
  workspaceBytes: [NaN, -1, 0, "2", null],
  segments: [[0, 2.5, T], [0, -1, T], [0, NaN], [0, 3, 2, T], [1, T], 5],
};
/** The delta rule's. */
const DELTA = {
  scale: [NaN, Infinity, -Infinity],
  chunkSize: [...NO_SIZES, 7],
  workspaceBytes: [NaN, -1, 0],
  segments: [[0, 2.5, T], [0, -1, T], [0, NaN], [0, 3, 2, T], [1, T]],
};
const state = (gpu: Gpu): Any => rows(gpu, B, H, D, D);
const SCAN = { chunkSize: NO_SIZES };
const selective = (gpu: Gpu, time = T): Any => ({
  ...{ input: rows(gpu, B, time, 6), delta: rows(gpu, B, time, 6), a: rows(gpu, 6, 4) },
  ...{ b: rows(gpu, B, time, 4), c: rows(gpu, B, time, 4) },
});
const gates = (gpu: Gpu): Any => ({
  ...wide(gpu, "input", "recurrenceGate", "inputGate"),
  decayParameter: rows(gpu, 6),
});
const CONVOLUTION = { activation: ["relu", "", null, 1] };
const convolved = (gpu: Gpu, time = T): Any => ({
  x: rows(gpu, B, time, 6),
  weight: rows(gpu, 6, 3),
});
const GATED_NORM = {
  groups: NO_SIZES,
  epsilon: [...NO_NUMBERS, -1],
  activation: ["swish", 1],
  gateFirst: NO_FLAGS,
  inParts: NO_FLAGS,
};
const gatedRows = (gpu: Gpu): Any =>
  Object.fromEntries(["x", "gate", "outputGradient"].map((name) => [name, rows(gpu, 2, 8)]));
const ROTARY = { offset: [...NO_COUNTS, 2 ** 32], interleaved: NO_FLAGS, inverse: NO_FLAGS };
const receptance = (gpu: Gpu, time = T): Any =>
  Object.fromEntries(
    ["receptance", "logDecay", "key", "value", "a", "b"].map((
      name,
    ) => [name, rows(gpu, B, time, H, D)]),
  );
const beta = (gpu: Gpu, time = T): Any => ({ ...qkv(gpu, time), beta: rows(gpu, B, time, H) });

const OPS: Record<string, Row> = {
  flashAttention: {
    call: (gpu, options) => flashAttention(gpu, qkv(gpu), options),
    good: { causal: true, window: 3, sinks: 1, scale: 0.5, softCap: 2, keyLength: T },
    bad: WHOLE_ATTENTION,
  },
  flashAttentionBackward: {
    call: (gpu, options) => {
      const inputs = { ...qkv(gpu), outputGradient: rows(gpu, B, T, H, D) };
      const forward = { output: rows(gpu, B, T, H, D), logSumExp: rows(gpu, B, H, T) };
      return flashAttentionBackward(gpu, { ...inputs, ...forward }, options);
    },
    good: { window: 3 },
    bad: WHOLE_ATTENTION,
  },
  flashAttentionStep: {
    call: (gpu, options) =>
      flashAttentionStep(gpu, { ...qkv(gpu), query: rows(gpu, B, 1, H, D) }, options),
    good: { keyLength: 3 },
    bad: { ...ATTENTION, algorithm: ["rows"], segments: [[0, 1]] },
  },
  linearAttention: {
    call: (gpu, options) => linearAttention(gpu, qkv(gpu), options),
    good: { scale: 2, chunkSize: 16, workspaceBytes: 2 ** 20, segments: [0, 2, T] },
    bad: STATES,
  },
  linearAttentionBackward: {
    call: (gpu, options) =>
      linearAttentionBackward(
        gpu,
        { ...qkv(gpu), outputGradient: rows(gpu, B, T, H, D) },
        options,
      ),
    good: { chunkSize: 16 },
    bad: STATES,
  },
  linearAttentionRecurrent: {
    call: (gpu, options) => linearAttentionRecurrent(gpu, qkv(gpu), options),
    good: { scale: 2 },
    bad: { scale: NO_NUMBERS, segments: STATES.segments },
  },
  linearAttentionStep: {
    call: (gpu, options) =>
      linearAttentionStep(gpu, { ...qkv(gpu, 1), state: state(gpu) }, options),
    good: { scale: 2, inPlace: true },
    bad: { scale: NO_NUMBERS, inPlace: NO_FLAGS },
  },
  deltaRule: {
    call: (gpu, options) => deltaRule(gpu, beta(gpu), options),
    good: { scale: 2, chunkSize: 16 },
    bad: DELTA,
  },
  deltaRuleBackward: {
    call: (gpu, options) =>
      deltaRuleBackward(gpu, { ...beta(gpu), outputGradient: rows(gpu, B, T, H, D) }, options),
    good: { scale: 2 },
    bad: DELTA,
  },
  deltaRuleRecurrent: {
    call: (gpu, options) => deltaRuleRecurrent(gpu, beta(gpu), options),
    good: { scale: 2 },
    bad: { scale: DELTA.scale },
  },
  deltaRuleStep: {
    call: (gpu, options) => deltaRuleStep(gpu, { ...beta(gpu, 1), state: state(gpu) }, options),
    good: { scale: 2, unitLength: 0, inPlace: true },
    bad: { scale: DELTA.scale, unitLength: [...NO_NUMBERS, -1], inPlace: NO_FLAGS },
  },
  rwkv7: {
    call: (gpu, options) => rwkv7(gpu, receptance(gpu), options),
    good: { scale: 2 },
    bad: DELTA,
  },
  rwkv7Backward: {
    call: (gpu, options) =>
      rwkv7Backward(gpu, { ...receptance(gpu), outputGradient: rows(gpu, B, T, H, D) }, options),
    good: { scale: 2 },
    bad: DELTA,
  },
  rwkv7Recurrent: {
    call: (gpu, options) => rwkv7Recurrent(gpu, receptance(gpu), options),
    good: { scale: 2 },
    bad: { scale: DELTA.scale },
  },
  rwkv7Step: {
    call: (gpu, options) => rwkv7Step(gpu, { ...receptance(gpu, 1), state: state(gpu) }, options),
    good: { scale: 2, inPlace: true },
    bad: { scale: DELTA.scale, inPlace: NO_FLAGS },
  },
  scan: {
    call: (gpu, options) => scan(gpu, wide(gpu, "decay", "input"), options),
    good: { chunkSize: 2 },
    bad: SCAN,
  },
  scanBackward: {
    call: (gpu, options) =>
      scanBackward(gpu, wide(gpu, "decay", "output", "outputGradient"), options),
    good: { chunkSize: 2 },
    bad: SCAN,
  },
  rgLru: {
    call: (gpu, options) => rgLru(gpu, gates(gpu), options),
    good: { chunkSize: 2, resetFirst: true },
    bad: { ...SCAN, resetFirst: NO_FLAGS },
  },
  rgLruBackward: {
    call: (gpu, options) =>
      rgLruBackward(gpu, { ...gates(gpu), ...wide(gpu, "output", "outputGradient") }, options),
    good: { chunkSize: 2, resetFirst: true },
    bad: { ...SCAN, resetFirst: NO_FLAGS },
  },
  rgLruStep: {
    call: (gpu, options) => {
      const one = (name: string): Any => [name, rows(gpu, B, 1, 6)];
      const inputs = Object.fromEntries(["input", "recurrenceGate", "inputGate"].map(one));
      const given = { ...inputs, decayParameter: rows(gpu, 6), state: rows(gpu, B, 6) } as Any;
      return rgLruStep(gpu, given, options);
    },
    good: { resetFirst: true, inPlace: true },
    bad: { resetFirst: NO_FLAGS, inPlace: NO_FLAGS, chunkSize: [2] },
  },
  scanStep: {
    call: (gpu, options) => {
      const [decay, input, state] = [rows(gpu, B, 1, 6), rows(gpu, B, 1, 6), rows(gpu, B, 6)];
      return scanStep(gpu, { decay, input, state } as Any, options);
    },
    good: { inPlace: true },
    bad: { inPlace: NO_FLAGS },
  },
  selectiveScan: {
    call: (gpu, options) => selectiveScan(gpu, selective(gpu), options),
    good: { chunkSize: 2, deltaSoftplus: true },
    bad: { ...SCAN, deltaSoftplus: NO_FLAGS },
  },
  selectiveScanBackward: {
    call: (gpu, options) =>
      selectiveScanBackward(gpu, { ...selective(gpu), ...wide(gpu, "outputGradient") }, options),
    good: { deltaSoftplus: true },
    bad: { deltaSoftplus: NO_FLAGS },
  },
  selectiveScanStep: {
    call: (gpu, options) =>
      selectiveScanStep(gpu, { ...selective(gpu, 1), state: rows(gpu, B, 6, 4) }, options),
    good: { deltaSoftplus: true, logRates: true, inPlace: true },
    bad: { deltaSoftplus: NO_FLAGS, logRates: NO_FLAGS, inPlace: NO_FLAGS },
  },
  causalConvolution: {
    call: (gpu, options) => causalConvolution(gpu, convolved(gpu), options),
    good: { activation: "silu" },
    bad: CONVOLUTION,
  },
  causalConvolutionBackward: {
    call: (gpu, options) =>
      causalConvolutionBackward(
        gpu,
        { ...convolved(gpu), ...wide(gpu, "outputGradient") },
        options,
      ),
    good: { activation: "silu" },
    bad: CONVOLUTION,
  },
  causalConvolutionStep: {
    call: (gpu, options) =>
      causalConvolutionStep(gpu, { ...convolved(gpu, 1), tail: rows(gpu, B, 2, 6) }, options),
    good: { activation: "silu", inPlace: true },
    bad: { ...CONVOLUTION, inPlace: NO_FLAGS },
  },
  gatedRmsNorm: {
    call: (gpu, options) =>
      gatedRmsNorm(gpu, { x: rows(gpu, 2, 6), gate: rows(gpu, 2, 8) }, options),
    good: { groups: 3, epsilon: 0, activation: "relu", gateFirst: true, gateStart: 2 },
    bad: {
      groups: NO_SIZES,
      epsilon: [...NO_NUMBERS, -1],
      activation: ["swish", 1],
      gateFirst: NO_FLAGS,
      gateStart: NO_COUNTS,
    },
  },
  gatedRmsNormBackward: {
    call: (gpu, options) => gatedRmsNormBackward(gpu, gatedRows(gpu), options),
    good: { groups: 1, epsilon: 0, activation: "relu", gateFirst: true, inParts: true },
    bad: GATED_NORM,
  },
  hasGatedRmsNormBackward: {
    call: (gpu, options) => hasGatedRmsNormBackward(gpu, gatedRows(gpu), options),
    good: { groups: 1, epsilon: 0, activation: "relu", gateFirst: true, inParts: true },
    bad: GATED_NORM,
  },
  hasMamba2InputsBackward: {
    call: (gpu, options) => {
      const [x, weight, stepBias] = [rows(gpu, 1, 3, 32), rows(gpu, 24, 4), rows(gpu, 4)];
      return hasMamba2InputsBackward(gpu, { x, weight, stepBias, decay: stepBias }, options as Any);
    },
    good: { headDim: 4 },
    bad: { headDim: NO_SIZES },
    needed: ["headDim"],
  },
  mamba2InputsBackward: {
    call: (gpu, options) => {
      const [x, weight, stepBias] = [rows(gpu, 1, 3, 32), rows(gpu, 24, 4), rows(gpu, 4)];
      const inputs = { x, weight, stepBias, decay: stepBias };
      const { headDim = 4, ...rest } = options as { headDim?: number };
      return mamba2InputsBackward(gpu, inputs, { headDim, ...rest });
    },
    good: { headDim: 4, low: 0, high: 0.1 },
    bad: {
      headDim: NO_SIZES,
      low: [...NO_NUMBERS, -1],
      high: [...NO_NUMBERS, -1],
    },
  },
  mamba2Inputs: {
    call: (gpu, options) => {
      const [x, weight, stepBias] = [rows(gpu, 1, 3, 8), rows(gpu, 6, 4), rows(gpu, 2)];
      const inputs = { x, weight, stepBias, decay: stepBias };
      const { headDim = 1, ...rest } = options as { headDim?: number };
      return mamba2Inputs(gpu, inputs, { headDim, ...rest });
    },
    good: { headDim: 1, low: 0, high: 0.1 },
    bad: {
      headDim: NO_SIZES,
      low: [...NO_NUMBERS, -1],
      high: [...NO_NUMBERS, -1],
      inPlace: NO_FLAGS,
    },
  },
  project: {
    call: (gpu, options) => {
      const [x, weight] = [rows(gpu, 2, 8), rows(gpu, 3, 8)];
      return project(gpu, { x, projections: [{ weight }, { weight }] }, options);
    },
    good: { epsilon: 0, factor: -2, gated: true },
    bad: { epsilon: [...NO_NUMBERS, -1], factor: NO_NUMBERS, gated: NO_FLAGS },
  },
  causalConvolutionSteps: {
    call: (gpu, options) =>
      causalConvolutionSteps(gpu, [{ ...convolved(gpu, 1), tail: rows(gpu, B, 2, 6) }], options),
    good: { activation: "silu", inPlace: true },
    bad: { ...CONVOLUTION, inPlace: NO_FLAGS },
  },
  rotary: {
    call: (gpu, options) => {
      const frequencies = rotaryFrequencies(gpu, { dim: D });
      return rotary(gpu, { x: rows(gpu, B, T, H, D), frequencies }, options);
    },
    good: { offset: 4, interleaved: true, inverse: true },
    bad: ROTARY,
  },
  rotaryAppend: {
    call: (gpu, options) => {
      const key = rows(gpu, B, 1, H, D);
      const [keyCache, valueCache] = [rows(gpu, B, T, H, D), rows(gpu, B, T, H, D)];
      const position = gpu.tensor([1], [0], "u32");
      return rotaryAppend(gpu, { key, value: key, keyCache, valueCache, position }, options);
    },
    good: { sinks: 1 },
    bad: { sinks: [...NO_COUNTS, T] },
  },
  rotaryBackward: {
    call: (gpu, options) => {
      const frequencies = rotaryFrequencies(gpu, { dim: D });
      const outputGradient = rows(gpu, B, T, H, D);
      return rotaryBackward(gpu, { outputGradient, frequencies }, options);
    },
    good: { offset: 4 },
    bad: ROTARY,
  },
  rotaryFrequencies: {
    call: (gpu, options) => rotaryFrequencies(gpu, options as Any),
    good: { dim: 8, base: 100, scaling: { kind: "linear", factor: 2 } },
    bad: {
      dim: [...NO_SIZES, 7],
      base: NO_POSITIVES,
      scaling: [
        { kind: "linear", factor: 0 },
        { kind: "ntk", factor: NaN },
        { kind: "yarn", factor: Infinity, trainedLength: 64 },
        { kind: "yarn", factor: 2, trainedLength: -1 },
        { kind: "llama3", factor: 2, trainedLength: 64, lowFactor: 1, highFactor: NaN },
        { kind: "linear", faktor: 2 },
        { kind: "other" },
      ],
    },
    needed: ["dim"],
  },
  rmsNorm: {
    call: (gpu, options) => rmsNorm(gpu, { x: rows(gpu, 3, 8), weight: rows(gpu, 8) }, options),
    good: { epsilon: 1e-6 },
    bad: { epsilon: [...NO_NUMBERS, -1e-5] },
  },
  rmsNormBackward: {
    call: (gpu, options) => {
      const [x, weight, inverseRms] = [rows(gpu, 3, 8), rows(gpu, 8), rows(gpu, 3)];
      const outputGradient = rows(gpu, 3, 8);
      return rmsNormBackward(gpu, { x, weight, inverseRms, outputGradient }, options);
    },
    good: { inParts: true },
    bad: { inParts: NO_FLAGS, accumulateInto: [null, 1, "x", {}, [3, 8]] },
  },
  layerNorm: {
    call: (gpu, options) => layerNorm(gpu, { x: rows(gpu, 3, 8), weight: rows(gpu, 8) }, options),
    good: { epsilon: 1e-6 },
    bad: { epsilon: [...NO_NUMBERS, -1e-5] },
  },
  activation: {
    call: (gpu, options) => activation(gpu, { x: rows(gpu, 3) }, options as Any),
    good: { kind: "silu" },
    bad: { kind: ["swish", "", null, 0] },
    needed: ["kind"],
  },
  activationBackward: {
    call: (gpu, options) =>
      activationBackward(gpu, { x: rows(gpu, 3), outputGradient: rows(gpu, 3) }, options as Any),
    good: { kind: "silu" },
    bad: { kind: ["swish", "", null, 0] },
    needed: ["kind"],
  },
  gatedActivation: {
    call: (gpu, options) =>
      gatedActivation(gpu, { x: rows(gpu, 3), gate: rows(gpu, 3) }, options as Any),
    good: { kind: "silu" },
    bad: { kind: ["swish", "", null, 0] },
    needed: ["kind"],
  },
  gatedActivationBackward: {
    call: (gpu, options) => {
      const inputs = { x: rows(gpu, 3), gate: rows(gpu, 3), outputGradient: rows(gpu, 3) };
      return gatedActivationBackward(gpu, inputs, options as Any);
    },
    good: { kind: "silu" },
    bad: { kind: ["swish", "", null, 0] },
    needed: ["kind"],
  },
  crossEntropyBackward: {
    call: (gpu, options) => {
      const labels = gpu.tensor([3], [0, 1, 2], "u32");
      const inputs = { logits: rows(gpu, 3, 8), labels, logSumExp: rows(gpu, 3) };
      return crossEntropyBackward(gpu, inputs, options);
    },
    good: { scale: 2 },
    bad: { scale: NO_NUMBERS },
  },
  adamW: {
    call: (gpu, options) => {
      const names = ["parameter", "gradient", "firstMoment", "secondMoment"];
      const inputs = Object.fromEntries(names.map((name) => [name, rows(gpu, 4)])) as Any;
      return adamW(gpu, inputs, options as Any);
    },
    good: { learningRate: 0.1, beta1: 0, beta2: 0.5, epsilon: 0, weightDecay: 0.1, step: 1 },
    bad: {
      learningRate: [...NO_NUMBERS, -1],
      beta1: NO_BETAS,
      beta2: NO_BETAS,
      epsilon: [...NO_NUMBERS, -1],
      weightDecay: [...NO_NUMBERS, -1],
      step: NO_SIZES,
    },
    needed: ["learningRate", "step"],
  },
  adamWAll: {
    call: (gpu, options) => {
      const names = ["parameter", "gradient", "firstMoment", "secondMoment"];
      const inputs = Object.fromEntries(names.map((name) => [name, rows(gpu, 4)])) as Any;
      return adamWAll(gpu, { parameters: [inputs] }, options as Any);
    },
    good: { learningRate: 0.1, beta1: 0, beta2: 0.5, epsilon: 0, weightDecay: 0.1, step: 1 },
    bad: {
      learningRate: [...NO_NUMBERS, -1],
      beta1: NO_BETAS,
      beta2: NO_BETAS,
      epsilon: [...NO_NUMBERS, -1],
      weightDecay: [...NO_NUMBERS, -1],
      step: NO_SIZES,
    },
    needed: ["learningRate", "step"],
  },
  gradientNorm: {
    call: (gpu, options) => gradientNorm(gpu, { gradients: [rows(gpu, 4)] }, options as Any),
    good: { maximum: Infinity },
    bad: { maximum: [NaN, 0, -1, "1", null] },
    needed: ["maximum"],
  },
  embeddingBackward: {
    call: (gpu, options) => {
      const tokens = gpu.tensor([3], [0, 1, 2], "u32");
      const inputs = { tokens, outputGradient: rows(gpu, 3, 4) };
      return embeddingBackward(gpu, inputs, options as Any);
    },
    good: { vocabulary: 5, firstToken: 3 },
    bad: { vocabulary: NO_COUNTS, firstToken: NO_COUNTS },
    needed: ["vocabulary"],
  },
  convert: {
    call: (gpu, options) => {
      const stored = gpu.tensor([8], undefined, "u32");
      const flags = gpu.tensor([2], undefined, "u32");
      convert(gpu, { stored, output: rows(gpu, 8), flags }, options as Any);
    },
    good: { from: "f16", elements: 4, first: 0, flag: 1 },
    bad: {
      from: ["u32", "F16", null],
      elements: NO_COUNTS,
      first: NO_COUNTS,
      flag: NO_COUNTS,
    },
    needed: ["from", "elements"],
  },
  quantize: {
    call: (gpu, options) => {
      const stored = gpu.tensor([8], undefined, "u32");
      const flags = gpu.tensor([2], undefined, "u32");
      const output = new QuantizedMatrix(gpu, [4, 2], "int8");
      quantize(gpu, { stored, output, flags }, options as Any);
    },
    good: { from: "bf16", rows: 2, firstRow: 1, flag: 1 },
    bad: {
      from: ["u32", "F16", null],
      rows: NO_COUNTS,
      firstRow: NO_COUNTS,
      flag: NO_COUNTS,
    },
    needed: ["from", "rows"],
  },
  matmul: {
    call: (gpu, options) => matmul(gpu, { a: rows(gpu, 4, 4), b: rows(gpu, 4, 4) }, options),
    good: { transposeA: true, transposeB: true, outputType: "f32", algorithm: "vector" },
    bad: {
      transposeA: NO_FLAGS,
      transposeB: NO_FLAGS,
      outputType: ["f64", "u32", null],
      algorithm: ["fast", null],
      accumulateInto: [null, 1, "x", {}, [4, 4]],
    },
  },
  sumTo: {
    call: (gpu, options) => sumTo(gpu, { x: rows(gpu, 3, 4) }, options as Any),
    good: { shape: [4] },
    bad: { shape: [[1.5], [-4], [NaN], 4, null, "4"] },
    needed: ["shape"],
  },
  scale: {
    call: (gpu, options) => scale(gpu, { x: rows(gpu, 3) }, options as Any),
    good: { factor: -2 },
    bad: { factor: NO_NUMBERS },
    needed: ["factor"],
  },
  split: {
    call: (gpu, options) => split(gpu, { x: rows(gpu, 3, 4) }, options as Any),
    good: { sizes: [1, 3] },
    bad: { sizes: [[1.5, 2.5], [5, -1], [NaN, 4], 4, null] },
    needed: ["sizes"],
  },
  sliceTime: {
    call: (gpu, options) => sliceTime(gpu, { x: rows(gpu, 1, 5, 4) }, options as Any),
    good: { start: 1, length: 2 },
    bad: { start: NO_COUNTS, length: NO_COUNTS },
    needed: ["start", "length"],
  },
  gatherRowsBackward: {
    call: (gpu, options) => {
      const indices = gpu.tensor([2], [0, 1], "u32");
      const inputs = { outputGradient: rows(gpu, 2, 4), indices };
      return gatherRowsBackward(gpu, inputs, options as Any);
    },
    good: { rows: 3 },
    bad: { rows: NO_COUNTS },
    needed: ["rows"],
  },
};

for (const [op, { call, good, bad, needed = [] }] of Object.entries(OPS)) {
  Deno.test(`${op}() checks its options by name and range`, async () => {
    const gpu = await testGpu();
    call(gpu, good);
    for (const [name, values] of Object.entries(bad)) {
      for (const value of values) {
        const error = assertThrows(
          () => call(gpu, { ...good, [name]: value }),
          RangeError,
          "Cannot ",
        ) as Error;
        assert(
          error.message.length < 400 && error.message.includes(name),
          `${name} = ${value}: ${error.message}`,
        );
      }
      if (!needed.includes(name)) call(gpu, { ...good, [name]: undefined });
      else assertThrows(() => call(gpu, { ...good, [name]: undefined }), RangeError, name);
    }
    for (const unknown of [`${Object.keys(bad)[0]}s`, "lanes", "OFFSET_"]) {
      assertThrows(
        () => call(gpu, { ...good, [unknown]: 1 }),
        RangeError,
        `as it has no option ${unknown}: `,
      );
    }
    await gpu.sync();
  });
}

Deno.test("every op checks the names of its inputs, those without a value too", async () => {
  const gpu = await testGpu();
  const ops = Object.entries(kernels).flatMap(([name, op]) => {
    const [, second] = /^function \w+\(gpu, (\w+|\{)/.exec(`${op}`) ?? [];
    assert(second !== "{", `${name}() takes its inputs apart before their names are checked`);
    return second === "inputs" ? [[name, op as Any] as const] : [];
  });
  assert(ops.length > 50, `only ${ops.length} ops found`);
  for (const [name, op] of ops) {
    for (const wrong of [{ ouput: gpu.tensor([1]) }, { Query: undefined }]) {
      const message = `Cannot run ${name}() as it has no input ${Object.keys(wrong)}: `;
      const inputs = name === "causalConvolutionSteps" ? [wrong] : wrong; // of several
      assertThrows(() => op(gpu, inputs, {}), RangeError, message);
    }
  }
});

Deno.test("a misspelt option or input is told what it may have meant", async () => {
  const gpu = await testGpu();
  assertThrows(
    () => scan(gpu, wide(gpu, "decay", "inptu")),
    RangeError,
    "Cannot run scan() as it has no input inptu: did you mean input?",
  );
  assertThrows(
    () => matmul(gpu, wide(gpu, "a", "b", "weight")),
    RangeError,
    "Cannot run matmul() as it has no input weight: its inputs are a, b, bias",
  );
  const wrong = { chunksize: 4 } as object;
  assertThrows(
    () => scan(gpu, wide(gpu, "decay", "input"), wrong),
    RangeError,
    "Cannot run scan() as it has no option chunksize: did you mean chunkSize?",
  );
  assertThrows(
    () => rmsNorm(gpu, { x: rows(gpu, 3, 8), weight: rows(gpu, 8) }, { eps: 1 } as object),
    RangeError,
    "Cannot run rmsNorm() as it has no option eps: its options are epsilon",
  );
});

Deno.test("a tensor that is missing is named", async () => {
  const gpu = await testGpu();
  assertThrows(
    () => scan(gpu, wide(gpu, "decay")),
    RangeError,
    "Cannot run scan() as input must be a tensor: current value is undefined",
  );
});

Deno.test("a tensor that is read and written in one dispatch is refused, and later work is right", async () => {
  const gpu = await testGpu();
  const a = gpu.tensor([4, 4], new Float32Array(16).fill(1));
  const x = gpu.tensor([4], [1, 2, 3, 4]);
  assertThrows(() => matmul(gpu, { a, b: a }, { accumulateInto: a }), Error, "one tensor");
  const [firstMoment, secondMoment] = [gpu.tensor([4]), gpu.tensor([4])];
  assertThrows(
    () =>
      adamW(gpu, { parameter: x, gradient: x, firstMoment, secondMoment }, {
        learningRate: 1,
        step: 1,
      }),
    Error,
    "one tensor",
  );
  assertEquals([...await scale(gpu, { x }, { factor: 2 }).output.read()], [2, 4, 6, 8]);
  assertEquals([...await a.read()], Array(16).fill(1));
});
