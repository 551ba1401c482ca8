/** The variants with subgroups: which adapters get them, and that they are right where they run. */
import { assert, assertEquals } from "@std/assert";
import { flashAttentionStep } from "../../kernels/attention/mod.ts";
import { attentionReference } from "../../kernels/attention/reference.ts";
import { Gpu } from "../../kernels/gpu/mod.ts";
import { crossEntropy } from "../../kernels/loss/mod.ts";
import { crossEntropyReference } from "../../kernels/loss/reference.ts";
import { layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from "../../kernels/norm/mod.ts";
import {
  layerNormBackwardReference,
  layerNormReference,
  rmsNormBackwardReference,
  rmsNormReference,
} from "../../kernels/norm/reference.ts";
import { argmax } from "../../kernels/sampling/mod.ts";
import { argmaxReference } from "../../kernels/sampling/reference.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../testing.ts";

/** Each op on rows of a workgroup each, against its reference. */
const OPS: Record<string, (gpu: Gpu) => Promise<void>> = {
  async rms_norm(gpu): Promise<void> {
    const [rows, columns] = [5, 1024];
    const [x, weight, gradient] = [rows * columns, columns, rows * columns].map((size, i) =>
      normals(i, size)
    );
    const inputs = { x: gpu.tensor([rows, columns], x), weight: gpu.tensor([columns], weight) };
    const { output, inverseRms } = rmsNorm(gpu, inputs);
    const outputGradient = gpu.tensor([rows, columns], gradient);
    const gradients = rmsNormBackward(gpu, { ...inputs, inverseRms, outputGradient });
    assertClose(await output.read(), rmsNormReference(x, weight), 1e-5, "output");
    const { xGradient } = rmsNormBackwardReference(x, weight, gradient);
    assertClose(await gradients.xGradient.read(), xGradient, 1e-5, "xGradient");
  },

  async layer_norm(gpu): Promise<void> {
    const [rows, columns] = [5, 258];
    const [x, weight, gradient] = [rows * columns, columns, rows * columns].map((size, i) =>
      normals(i, size).map((value) => value + 3)
    );
    const inputs = { x: gpu.tensor([rows, columns], x), weight: gpu.tensor([columns], weight) };
    const { output, mean, inverseDeviation } = layerNorm(gpu, inputs);
    const outputGradient = gpu.tensor([rows, columns], gradient);
    const gradients = layerNormBackward(gpu, { ...inputs, mean, inverseDeviation, outputGradient });
    const zeros = new Float32Array(columns);
    assertClose(await output.read(), layerNormReference(x, weight, zeros), 1e-5, "output");
    const { xGradient } = layerNormBackwardReference(x, weight, gradient);
    assertClose(await gradients.xGradient.read(), xGradient, 1e-4, "xGradient");
  },

  async cross_entropy(gpu): Promise<void> {
    const [rows, vocabulary] = [6, 1030];
    // Few distinct values, so that many lanes hold a largest one.
    const x = normals(1, rows * vocabulary).map((value) => 40 * Math.round(value));
    const y = Uint32Array.from(uniforms(2, rows, 0, vocabulary));
    for (let row = 1; row < rows; row += 2) {
      const logits = x.subarray(row * vocabulary, (row + 1) * vocabulary);
      y[row] = logits.indexOf(Math.max(...logits));
    }
    const logits = gpu.tensor([rows, vocabulary], x);
    const outputs = crossEntropy(gpu, { logits, labels: gpu.tensor([rows], y, "u32") });
    const expected = crossEntropyReference(x, y);
    assertClose(await outputs.loss.read(), expected.loss, 1e-5, "loss");
    assertClose(await outputs.logSumExp.read(), expected.logSumExp, 1e-5, "logSumExp");
    assertEquals(await outputs.correct.read(), expected.correct);
    assertEquals(expected.correct.filter((hit) => hit === 1).length >= 3, true);
  },

  async argmax(gpu): Promise<void> {
    const [rows, vocabulary] = [6, 1030];
    const x = normals(1, rows * vocabulary).map((value) => Math.round(value));
    for (let i = 0; i < x.length; i += 5) x[i] = [-Infinity, -0, -9][i / 5 % 3];
    x[vocabulary - 3] = NaN;
    x.fill(-Infinity, vocabulary, 2 * vocabulary);
    x[3 * vocabulary - 1] = Infinity;
    const { tokens } = argmax(gpu, { logits: gpu.tensor([rows, vocabulary], x) });
    assertEquals(await tokens.read(), argmaxReference(x, vocabulary));
  },

  async flash_step(gpu): Promise<void> {
    const shape = { batch: 2, queryTime: 1, keyTime: 300, heads: 2, keyHeads: 1 };
    const dims = { dim: 16, valueDim: 16 };
    const [query, key, value] = [2 * 2, 2 * 300, 2 * 300].map((rows, i) => normals(i, rows * 16));
    const { output } = flashAttentionStep(gpu, {
      query: gpu.tensor([2, 1, 2, 16], query),
      key: gpu.tensor([2, 300, 1, 16], key),
      value: gpu.tensor([2, 300, 1, 16], value),
    }, { scale: 2 });
    const options = { ...shape, ...dims, scale: 2 };
    const expected = attentionReference({ query, key, value }, options);
    assertClose(await output.read(), expected.output, 1e-5, "output");
  },
};

/** A device whose shaders are kept in `codes`, and which is said to have these features. */
function observe(
  device: GPUDevice,
  codes: string[],
  features: ReadonlySet<string> = device.features,
): GPUDevice {
  return new Proxy(device, {
    get(target, name): unknown {
      if (name === "features") return features;
      if (name === "createShaderModule") {
        return (descriptor: GPUShaderModuleDescriptor): GPUShaderModule => {
          codes.push(descriptor.code);
          return target.createShaderModule(descriptor);
        };
      }
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const USES_SUBGROUPS = /\bsubgroup(Add|Max|Min|ExclusiveAdd)\(/;

testKernel(
  "a GPU gets subgroups where it has them, and the path without them elsewhere",
  async () => {
    const { device, supportsSubgroups, adapter: { software } } = await testGpu();
    assert(supportsSubgroups || software, "Dawn has subgroups");
    for (const [op, run] of Object.entries(OPS)) {
      const codes: string[] = [];
      const adapter = { name: "test", software: false };
      await using gpu = new Gpu(observe(device, codes), adapter, { poison: true, owns: false });
      await run(gpu);
      assertEquals(codes.some((code) => USES_SUBGROUPS.test(code)), supportsSubgroups, op);
    }
  },
);

testKernel("a software adapter gets the path without subgroups though it has them", async () => {
  const { device } = await testGpu();
  for (const [op, run] of Object.entries(OPS)) {
    const codes: string[] = [];
    const observed = observe(device, codes, new Set([...device.features, "subgroups"]));
    const adapter = { name: "test", software: true };
    await using gpu = new Gpu(observed, adapter, { poison: true, owns: false });
    await run(gpu);
    assertEquals(codes.filter((code) => USES_SUBGROUPS.test(code)), [], op);
  }
});
