/** Every op with its gradients, and its float64 reference, by the same names: for tests of all of them. */
import * as kernels from "../../kernels/mod.ts";
import type { ActivationKind, Gpu, Tensor } from "../../kernels/mod.ts";
import {
  ACTIVATION_REFERENCE,
  ACTIVATION_SLOPE_REFERENCE,
} from "../../kernels/activation/reference.ts";
import { sumToReference } from "../../kernels/arithmetic/reference.ts";
import {
  attentionBackwardReference,
  attentionReference,
} from "../../kernels/attention/reference.ts";
import {
  causalConvolutionBackwardReference,
  causalConvolutionReference,
} from "../../kernels/convolution/reference.ts";
import * as delta from "../../kernels/delta_rule/reference.ts";
import {
  linearAttentionBackwardReference,
  linearAttentionReference,
} from "../../kernels/linear_attention/reference.ts";
import {
  crossEntropyBackwardReference,
  crossEntropyReference,
} from "../../kernels/loss/reference.ts";
import { matmulReference } from "../../kernels/matmul/reference.ts";
import * as norm from "../../kernels/norm/reference.ts";
import { gradientNormReference } from "../../kernels/optimizer/reference.ts";
import { rotaryReference } from "../../kernels/position/reference.ts";
import * as scans from "../../kernels/scan/reference.ts";

/** Results by name. */
export type Results<Value> = Record<string, Value>;

/** An op and its reference. Both take inputs and gradients of outputs by name. */
export interface Adapter {
  /** The op and its gradients. */
  // deno-lint-ignore no-explicit-any
  readonly run: (gpu: Gpu, tensors: any, options: any) => Results<Tensor | undefined>;
  /** The same in float64. */
  readonly reference: (
    // deno-lint-ignore no-explicit-any
    arrays: any,
    shapes: Readonly<Record<string, readonly number[]>>,
    // deno-lint-ignore no-explicit-any
    options: any,
  ) => Results<ArrayLike<number>>;
}

/** Labels of rows: every seventh token. */
function labelsOf(rows: number): Uint32Array {
  return Uint32Array.from({ length: rows }, (_, row) => row * 7);
}

const angles = (dim: number): Float64Array => kernels.rotaryAngles({ dim });

/** Every op. */
export const ADAPTERS: Readonly<Record<string, Adapter>> = {
  flashAttention: {
    run(gpu, { outputGradient, ...inputs }, options): Results<Tensor> {
      const forward = kernels.flashAttention(gpu, inputs, options);
      const all = { ...inputs, ...forward, outputGradient };
      const gradients = kernels.flashAttentionBackward(gpu, all, options);
      return { output: forward.output, ...gradients };
    },
    reference(arrays, { query, key, value }, options): Results<ArrayLike<number>> {
      const [batch, queryTime, heads, dim] = query;
      const shape = { batch, queryTime, heads, dim, keyTime: key[1], keyHeads: key[2] };
      const all = { ...shape, valueDim: value[3], ...options };
      const { output } = attentionReference(arrays, all);
      return { output, ...attentionBackwardReference(arrays, all) };
    },
  },
  scan: {
    run(gpu, tensors): Results<Tensor> {
      const forward = kernels.scan(gpu, tensors);
      return { ...forward, ...kernels.scanBackward(gpu, { ...tensors, output: forward.output }) };
    },
    reference(
      { decay, input, initialState, outputGradient, finalStateGradient },
      { decay: [batch, time, channels] },
    ): Results<ArrayLike<number>> {
      const shape = { batch, time, channels };
      const forward = scans.scanReference({ decay, input, initialState }, shape);
      return {
        ...forward,
        ...scans.scanBackwardReference({
          decay,
          output: forward.output,
          initialState,
          outputGradient,
          finalStateGradient,
        }, shape),
      };
    },
  },
  rgLru: {
    run(gpu, tensors): Results<Tensor> {
      const forward = kernels.rgLru(gpu, tensors);
      return { ...forward, ...kernels.rgLruBackward(gpu, { ...tensors, output: forward.output }) };
    },
    reference(arrays, { input: [batch, time, channels] }): Results<ArrayLike<number>> {
      const shape = { batch, time, channels };
      return {
        ...scans.rgLruReference(arrays, shape),
        ...scans.rgLruBackwardReference(arrays, shape),
      };
    },
  },
  selectiveScan: {
    run(gpu, tensors): Results<Tensor | undefined> {
      const options = { deltaSoftplus: true };
      return {
        ...kernels.selectiveScan(gpu, tensors, options),
        ...kernels.selectiveScanBackward(gpu, tensors, options),
      };
    },
    reference(
      arrays,
      { input: [batch, time, channels], a: [, state] },
    ): Results<ArrayLike<number>> {
      const shape = { batch, time, channels, state };
      return {
        ...scans.selectiveScanReference(arrays, shape),
        ...scans.selectiveScanBackwardReference(
          arrays,
          shape,
        ),
      };
    },
  },
  linearAttention: {
    run: (gpu, tensors) => ({
      ...kernels.linearAttention(gpu, tensors),
      ...kernels.linearAttentionBackward(gpu, tensors),
    }),
    reference(arrays, { query, value }): Results<ArrayLike<number>> {
      const [batch, time, groups, keyDim] = query;
      const shape = { batch, time, groups, keyDim, heads: value[2], valueDim: value[3] };
      return {
        ...linearAttentionReference(arrays, shape),
        ...linearAttentionBackwardReference(arrays, shape),
      };
    },
  },
  deltaRule: {
    run: (gpu, tensors) => ({
      ...kernels.deltaRule(gpu, tensors),
      ...kernels.deltaRuleBackward(gpu, tensors),
    }),
    reference(arrays, { key, value }): Results<ArrayLike<number>> {
      const scale = 1 / Math.sqrt(key[3]);
      return {
        ...delta.deltaRuleReference(arrays, { key, value }, scale),
        ...delta.deltaRuleBackwardReference(arrays, { key, value }, scale),
      };
    },
  },
  rwkv7: {
    run: (gpu, tensors) => ({
      ...kernels.rwkv7(gpu, tensors),
      ...kernels.rwkv7Backward(gpu, tensors),
    }),
    reference: (arrays, { key, value }) => ({
      ...delta.rwkv7Reference(arrays, { key, value }),
      ...delta.rwkv7BackwardReference(arrays, { key, value }),
    }),
  },
  causalConvolution: {
    run(gpu, tensors): Results<Tensor | undefined> {
      const options = { activation: "silu" } as const;
      return {
        output: kernels.causalConvolution(gpu, tensors, options).output,
        ...kernels.causalConvolutionBackward(gpu, tensors, options),
      };
    },
    reference(
      arrays,
      { x: [batch, time, channels], weight: [, width] },
    ): Results<ArrayLike<number>> {
      const shape = { batch, time, channels, width, activation: "silu" } as const;
      const tail = new Float64Array(batch * (width - 1) * channels);
      return {
        output: causalConvolutionReference(arrays, shape).output,
        ...causalConvolutionBackwardReference({
          ...arrays,
          finalTailGradient: tail,
        }, shape),
      };
    },
  },
  matmul: {
    run: (gpu, { a, b, outputGradient }) => ({
      output: kernels.matmul(gpu, { a, b }).output,
      aGradient: kernels.matmul(gpu, { a: outputGradient, b }, { transposeB: true }).output,
      bGradient: kernels.matmul(gpu, { a, b: outputGradient }, { transposeA: true }).output,
    }),
    reference(
      { a, b, outputGradient: g },
      { a: [rows, reduction], b: [, columns] },
    ): Results<ArrayLike<number>> {
      const one = { batches: 1 };
      return {
        output: matmulReference(a, b, { ...one, rows, columns, reduction }),
        aGradient: matmulReference(g, b, {
          ...one,
          rows,
          columns: reduction,
          reduction: columns,
          transposeB: true,
        }),
        bGradient: matmulReference(a, g, {
          ...one,
          rows: reduction,
          columns,
          reduction: rows,
          transposeA: true,
        }),
      };
    },
  },
  rmsNorm: {
    run(gpu, { x, weight, outputGradient }): Results<Tensor> {
      const { output, inverseRms } = kernels.rmsNorm(gpu, { x, weight });
      const gradients = kernels.rmsNormBackward(gpu, { x, weight, inverseRms, outputGradient });
      return { output, ...gradients };
    },
    reference: ({ x, weight, outputGradient }) => ({
      output: norm.rmsNormReference(x, weight),
      ...norm.rmsNormBackwardReference(x, weight, outputGradient),
    }),
  },
  layerNorm: {
    run(gpu, { x, weight, bias, outputGradient }): Results<Tensor | undefined> {
      const { output, ...statistics } = kernels.layerNorm(gpu, { x, weight, bias });
      const inputs = { x, weight, bias, ...statistics, outputGradient };
      return { output, ...kernels.layerNormBackward(gpu, inputs) };
    },
    reference: ({ x, weight, bias, outputGradient }) => ({
      output: norm.layerNormReference(x, weight, bias),
      ...norm.layerNormBackwardReference(x, weight, outputGradient),
    }),
  },
  activation: {
    run: (gpu, { x, outputGradient }, { kind }: { kind: ActivationKind }) => ({
      ...kernels.activation(gpu, { x }, { kind }),
      ...kernels.activationBackward(gpu, { x, outputGradient }, { kind }),
    }),
    reference: ({ x, outputGradient }, _, { kind }) => ({
      output: Float64Array.from(x, ACTIVATION_REFERENCE[kind]),
      xGradient: Float64Array.from(
        x,
        (value: number, i: number) => ACTIVATION_SLOPE_REFERENCE[kind](value) * outputGradient[i],
      ),
    }),
  },
  crossEntropy: {
    run(gpu, { logits, outputGradient: rowWeights }): Results<Tensor> {
      const labels = gpu.tensor([logits.shape[0]], labelsOf(logits.shape[0]), "u32");
      const { loss, logSumExp } = kernels.crossEntropy(gpu, { logits, labels });
      const inputs = { logits, labels, logSumExp, rowWeights };
      return { loss, ...kernels.crossEntropyBackward(gpu, inputs, { scale: 1 }) };
    },
    reference({ logits, outputGradient }, { logits: [rows] }): Results<ArrayLike<number>> {
      const labels = labelsOf(rows);
      return {
        loss: crossEntropyReference(logits, labels).loss,
        logitsGradient: crossEntropyBackwardReference(logits, labels, outputGradient),
      };
    },
  },
  rotary: {
    run(gpu, { x, outputGradient }): Results<Tensor | undefined> {
      const frequencies = kernels.rotaryFrequencies(gpu, { dim: x.shape[3] });
      return {
        ...kernels.rotary(gpu, { x, frequencies }),
        ...kernels.rotaryBackward(gpu, { outputGradient, frequencies }),
      };
    },
    reference(
      { x, outputGradient },
      { x: [batch, time, heads, dim] },
    ): Results<ArrayLike<number>> {
      const positions = Array.from({ length: batch * time }, (_, row) => row % time);
      const rotate = (x: ArrayLike<number>, inverse: boolean): Float64Array =>
        rotaryReference({ x, frequencies: angles(dim), positions }, { heads, dim, inverse });
      return { output: rotate(x, false), xGradient: rotate(outputGradient, true) };
    },
  },
  gradientNorm: {
    run: (gpu, { x }) => ({
      norm: kernels.gradientNorm(gpu, { gradients: [x] }, { maximum: 1 }).norm,
    }),
    reference: ({ x }) => ({ norm: [gradientNormReference([x])] }),
  },
  sumTo: {
    run: (gpu, { x }) => kernels.sumTo(gpu, { x }, { shape: [x.shape[1]] }) as never,
    reference: ({ x }, { x: shape }) => ({ output: sumToReference(x, shape, [shape[1]]) }),
  },
};
