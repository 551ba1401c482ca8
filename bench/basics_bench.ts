/**
 * The small families at the size of a small model's training step, beside a kernel that only reads
 * and writes each element once. Run by `deno bench -A bench/basics_bench.ts`. An iteration is RUNS runs
 * and one wait, of which Deno's 11 ms are a part.
 *
 * @module
 */
import * as kernels from "../kernels/mod.ts";
import { readTuning } from "../tasks/tuning/file.ts";

const RUNS = 32;
const ROWS = 4096;
const WIDTH = 64;
const VOCABULARY = 256;

const gpu = await kernels.openGpu({ tuning: readTuning });
console.error(gpu.adapter.name);

function waves(shape: number[]): kernels.Tensor {
  const size = kernels.elementCount(shape);
  return gpu.tensor(shape, Float32Array.from({ length: size }, (_, i) => Math.sin(i)));
}

const tokens = gpu.tensor(
  [ROWS],
  Array.from({ length: ROWS }, (_, i) => i * 37 % VOCABULARY),
  "u32",
);
const x = waves([ROWS, WIDTH]);
const outputGradient = waves([ROWS, WIDTH]);
const weight = waves([WIDTH]);
const table = waves([VOCABULARY, WIDTH]);
const logits = waves([ROWS, VOCABULARY]);
const heads = x.reshape([32, 128, 4, 16]);
const frequencies = kernels.rotaryFrequencies(gpu, { dim: 16 });
const { logSumExp } = kernels.crossEntropy(gpu, { logits, labels: tokens });
const { inverseRms } = kernels.rmsNorm(gpu, { x, weight });
const { mean, inverseDeviation } = kernels.layerNorm(gpu, { x, weight });
const [parameter, gradient, firstMoment, secondMoment] = [1, 2, 3, 4].map(() => waves([2 ** 18]));

/** By group; the first of a group is its baseline. */
const GROUPS: Record<string, Record<string, () => object | void>> = {
  [`${ROWS} × ${WIDTH}`]: {
    "scale, once read and once written": () => kernels.scale(gpu, { x }, { factor: 2 }),
    "add a bias": () => kernels.add(gpu, { a: x, b: weight }),
    "sumTo a bias": () => kernels.sumTo(gpu, { x }, { shape: [WIDTH] }),
    "silu gate": () => kernels.gatedActivation(gpu, { gate: x, x }, { kind: "silu" }),
    "silu gate backward": () =>
      kernels.gatedActivationBackward(gpu, { gate: x, x, outputGradient }, { kind: "silu" }),
    "rmsNorm": () => kernels.rmsNorm(gpu, { x, weight }),
    "rmsNorm backward": () =>
      kernels.rmsNormBackward(gpu, { x, weight, inverseRms, outputGradient }),
    "layerNorm": () => kernels.layerNorm(gpu, { x, weight }),
    "layerNorm backward": () =>
      kernels.layerNormBackward(gpu, { x, weight, mean, inverseDeviation, outputGradient }),
    "rotary": () => kernels.rotary(gpu, { x: heads, frequencies }),
    "embedding": () => kernels.embedding(gpu, { tokens, weight: table }),
    "embedding backward": () =>
      kernels.embeddingBackward(gpu, { tokens, outputGradient }, { vocabulary: VOCABULARY }),
    "embedding backward, 50,000 rows": () =>
      kernels.embeddingBackward(gpu, { tokens, outputGradient }, { vocabulary: 50_000 }),
  },
  [`${ROWS} × ${VOCABULARY} logits`]: {
    "scale, once read and once written": () => kernels.scale(gpu, { x: logits }, { factor: 2 }),
    "crossEntropy": () => kernels.crossEntropy(gpu, { logits, labels: tokens }),
    "crossEntropy backward": () =>
      kernels.crossEntropyBackward(gpu, { logits, labels: tokens, logSumExp }),
    "argmax": () => kernels.argmax(gpu, { logits }),
  },
  "2¹⁸ parameters": {
    "scale, once read and once written": () => kernels.scale(gpu, { x: gradient }, { factor: 2 }),
    "gradientNorm": () => kernels.gradientNorm(gpu, { gradients: [gradient] }, { maximum: 1 }),
    "adamW": () =>
      kernels.adamW(gpu, { parameter, gradient, firstMoment, secondMoment }, {
        learningRate: 1e-3,
        step: 1,
      }),
  },
};

for (const [group, contenders] of Object.entries(GROUPS)) {
  Object.entries(contenders).forEach(([name, run], index) =>
    Deno.bench({
      name: `${name} × ${RUNS}`,
      group,
      baseline: index === 0,
      n: 5,
      warmup: 1,
      fn: async () => {
        for (let i = 0; i < RUNS; i++) {
          for (const output of Object.values(run() ?? {})) output?.[Symbol.dispose]();
        }
        await gpu.sync();
      },
    })
  );
}
