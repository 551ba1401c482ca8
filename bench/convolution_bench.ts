/**
 * The short causal convolution beside one with an invocation an output. Run by
 * `deno bench -A bench/convolution_bench.ts`. An iteration is RUNS runs and one wait, of which Deno's
 * 11 ms are a part.
 *
 * @module
 */
import { causalConvolution, causalConvolutionBackward } from "../kernels/convolution/mod.ts";
import { elementCount, openGpu, type Tensor } from "../kernels/gpu/mod.ts";
import { readTuning } from "../tasks/tuning/file.ts";
import { measure } from "./measure.ts";
import { BENCH } from "./shaders.ts";

const CONVOLUTION_NAIVE = BENCH.kernel("convolution_naive");
const RUNS = 32;
const TIME = 4096;
const CHANNELS = 256;
const WIDTH = 4;

const gpu = await openGpu({ tuning: readTuning });
console.error(gpu.adapter.name);

function waves(shape: number[]): Tensor {
  return gpu.tensor(
    shape,
    Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i)),
  );
}

function dispose(tensors: object): void {
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
}

const x = waves([1, TIME, CHANNELS]);
const outputGradient = waves([1, TIME, CHANNELS]);
const weight = waves([CHANNELS, WIDTH]);
const bias = waves([CHANNELS]);
const output = gpu.empty([1, TIME, CHANNELS]);

/** The first is the baseline. */
const CONTENDERS: Record<string, () => void> = {
  "an invocation an output, no bias": () =>
    gpu.dispatch(CONVOLUTION_NAIVE, {
      uniform: { rows: TIME, channels: CHANNELS, width: WIDTH },
      read: { x, weight },
      write: { output },
      workgroups: TIME * CHANNELS / 64,
    }),
  "causalConvolution": () => dispose(causalConvolution(gpu, { x, weight })),
  "causalConvolution, bias and SiLU": () =>
    dispose(causalConvolution(gpu, { x, weight, bias }, { activation: "silu" })),
  "causalConvolutionBackward, bias and SiLU": () =>
    dispose(
      causalConvolutionBackward(gpu, { x, weight, bias, outputGradient }, { activation: "silu" }),
    ),
};

for (const [name, run] of Object.entries(CONTENDERS)) {
  const milliseconds = await measure(gpu, run);
  console.error(`  ${name.padEnd(44)}${milliseconds.toFixed(2).padStart(8)} ms`);
  Deno.bench({
    name,
    group: `1 × ${TIME} × ${CHANNELS}, ${WIDTH} taps`,
    baseline: name.startsWith("an invocation"),
    n: 5,
    warmup: 1,
    fn: async () => {
      for (let i = 0; i < RUNS; i++) run();
      await gpu.sync();
    },
  });
}
