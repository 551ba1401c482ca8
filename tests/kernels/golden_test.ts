import {
  ACTIVATION_KINDS,
  adamW,
  crossEntropy,
  crossEntropyBackward,
  embedding,
  embeddingBackward,
  gatedActivation,
  gatedActivationBackward,
  gradientNorm,
  layerNorm,
  layerNormBackward,
  rmsNorm,
  rmsNormBackward,
  rotary,
  rotaryBackward,
  rotaryFrequencies,
  type Tensor,
} from "../../kernels/mod.ts";
import { readSafetensors } from "../../models/checkpoints/safetensors.ts";
import { assertClose, testGpu, testKernel } from "../testing.ts";

const path = new URL("../golden/basics.safetensors", import.meta.url);
const { tensors } = readSafetensors(Deno.readFileSync(path), path.pathname);

/** PyTorch's values under a prefix: as tensors of ours, and as arrays to compare with. */
async function golden(prefix: string): Promise<{
  tensor: <Type extends "f32" | "u32" = "f32">(name: string, dtype?: Type) => Tensor<Type>;
  check: (actual: Record<string, Tensor>, bound: number) => Promise<void>;
}> {
  const gpu = await testGpu();
  const stored = (name: string): { shape: readonly number[]; data: Float32Array } => {
    const found = tensors.get(`${prefix}.${name}`);
    if (!found) throw new Error(`${prefix}.${name} is not in ${path}`);
    return found;
  };
  return {
    tensor: <Type extends "f32" | "u32" = "f32">(name: string, dtype?: Type): Tensor<Type> => {
      const { shape, data } = stored(name);
      return gpu.tensor(shape, dtype === "u32" ? Uint32Array.from(data) : data, dtype);
    },
    check: async (actual, bound) => {
      const values = await gpu.read(Object.values(actual));
      Object.keys(actual).forEach((name, i) =>
        assertClose(values[i], stored(name).data, bound, `${prefix}.${name}`)
      );
    },
  };
}

testKernel("activations and their gradients equal PyTorch's", async () => {
  const gpu = await testGpu();
  for (const kind of ACTIVATION_KINDS) {
    const { tensor, check } = await golden(`activation.${kind}`);
    const inputs = { gate: tensor("gate"), x: tensor("x") };
    const outputGradient = tensor("outputGradient");
    await check({
      ...gatedActivation(gpu, inputs, { kind }),
      ...gatedActivationBackward(gpu, { ...inputs, outputGradient }, { kind }),
    }, 1e-6);
  }
});

testKernel("layerNorm() and its gradients equal PyTorch's", async () => {
  const gpu = await testGpu();
  const { tensor, check } = await golden("layerNorm");
  const inputs = { x: tensor("x"), weight: tensor("weight"), bias: tensor("bias") };
  const { output, ...kept } = layerNorm(gpu, inputs);
  const outputGradient = tensor("outputGradient");
  const { xGradient, weightGradient, biasGradient } = layerNormBackward(gpu, {
    ...inputs,
    ...kept,
    outputGradient,
  });
  await check({ output, xGradient, weightGradient, biasGradient: biasGradient! }, 1e-5);
});

testKernel("rmsNorm() and its gradients equal PyTorch's", async () => {
  const gpu = await testGpu();
  const { tensor, check } = await golden("rmsNorm");
  const inputs = { x: tensor("x"), weight: tensor("weight") };
  const { output, inverseRms } = rmsNorm(gpu, inputs);
  const outputGradient = tensor("outputGradient");
  const gradients = rmsNormBackward(gpu, { ...inputs, inverseRms, outputGradient });
  await check({ output, ...gradients }, 1e-5);
});

testKernel("embedding() and its gradient equal PyTorch's", async () => {
  const gpu = await testGpu();
  const { tensor, check } = await golden("embedding");
  const tokens = tensor("tokens", "u32");
  const outputGradient = tensor("outputGradient");
  await check({
    ...embedding(gpu, { tokens, weight: tensor("weight") }),
    ...embeddingBackward(gpu, { tokens, outputGradient }, { vocabulary: 17 }),
  }, 1e-6);
});

testKernel(
  "crossEntropy() and its gradient equal PyTorch's, with positions that are not scored",
  async () => {
    const gpu = await testGpu();
    const { tensor, check } = await golden("crossEntropy");
    // −1 becomes IGNORED as a u32.
    const inputs = { logits: tensor("logits"), labels: tensor("labels", "u32") };
    const { loss, logSumExp } = crossEntropy(gpu, inputs);
    const scale = 1 / [...await inputs.labels.read()].filter((label) => label < 19).length;
    const gradients = crossEntropyBackward(gpu, { ...inputs, logSumExp }, { scale });
    await check({ loss, ...gradients }, 1e-5);
  },
);

testKernel("adamW() and gradientNorm() follow PyTorch's AdamW and clip_grad_norm_", async () => {
  const gpu = await testGpu();
  const parameter = (await golden("adamW")).tensor("initial");
  const firstMoment = gpu.tensor(parameter.shape);
  const secondMoment = gpu.tensor(parameter.shape);
  for (let step = 1; step <= 4; step++) {
    const { tensor, check } = await golden(`adamW.${step}`);
    const gradient = tensor("gradient");
    const { norm, scale } = gradientNorm(gpu, { gradients: [gradient] }, { maximum: 10 });
    adamW(gpu, { parameter, gradient, firstMoment, secondMoment, gradientScale: scale }, {
      learningRate: 0.03,
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0.1,
      step,
    });
    await check({ parameter, norm }, 1e-5);
  }
});

for (const interleaved of [false, true]) {
  testKernel(
    `rotary() and its gradient equal transformers' ${interleaved ? "Cohere" : "Llama"}`,
    async () => {
      const gpu = await testGpu();
      const { tensor, check } = await golden(interleaved ? "rotaryInterleaved" : "rotary");
      const shared = {
        frequencies: rotaryFrequencies(gpu, { dim: 16 }),
        positions: tensor("positions", "u32"),
      };
      const outputGradient = tensor("outputGradient");
      await check({
        ...rotary(gpu, { x: tensor("x"), ...shared }, { interleaved }),
        ...rotaryBackward(gpu, { outputGradient, ...shared }, { interleaved }),
      }, 1e-6);
    },
  );
}
