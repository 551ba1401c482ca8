import { assertEquals, assertThrows } from "@std/assert";
import { mamba2Inputs } from "../../../kernels/convolution/mod.ts";
import { mamba2InputsReference } from "../../../kernels/convolution/reference.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

const NAMES = ["values", "input", "key", "query", "logDecay", "finalTail"] as const;

for (
  const { batch, time, heads, headDim, shared, width, start, biased, carried, low, high } of [
    {
      batch: 1,
      time: 1,
      heads: 2,
      headDim: 3,
      shared: 4,
      width: 4,
      start: 6,
      biased: true,
      carried: true,
    },
    {
      batch: 2,
      time: 2,
      heads: 1,
      headDim: 5,
      shared: 1,
      width: 4,
      start: 0,
      biased: true,
      carried: true,
    },
    {
      batch: 2,
      time: 19,
      heads: 3,
      headDim: 4,
      shared: 7,
      width: 3,
      start: 12,
      biased: false,
      carried: false,
    },
    {
      batch: 1,
      time: 8,
      heads: 4,
      headDim: 16,
      shared: 32,
      width: 4,
      start: 64,
      biased: true,
      carried: false,
      low: 0.3,
      high: 0.9,
    },
    {
      batch: 3,
      time: 70,
      heads: 4,
      headDim: 4,
      shared: 8,
      width: 3,
      start: 16,
      biased: false,
      carried: true,
    },
    {
      batch: 2,
      time: 2,
      heads: 8,
      headDim: 8,
      shared: 4,
      width: 4,
      start: 64,
      biased: true,
      carried: true,
    },
    {
      batch: 3,
      time: 41,
      heads: 2,
      headDim: 2,
      shared: 3,
      width: 1,
      start: 1,
      biased: true,
      carried: true,
    },
  ]
) {
  testKernel(
    `mamba2Inputs() equals the reference for ${batch} × ${time}, ${heads} heads of ${headDim}, width ${width}`,
    async () => {
      const gpu = await testGpu();
      const channels = heads * headDim + 2 * shared;
      const stride = start + channels + heads;
      const arrays = {
        x: normals(1, batch * time * stride).map((value) => 2 * value),
        weight: normals(2, channels * width),
        bias: biased ? normals(3, channels) : undefined,
        initialTail: carried ? normals(4, batch * (width - 1) * channels) : undefined,
        stepBias: normals(5, heads),
        decay: normals(6, heads),
      };
      using x = gpu.tensor([batch, time, stride], arrays.x);
      using weight = gpu.tensor([channels, width], arrays.weight);
      using bias = biased ? gpu.tensor([channels], arrays.bias) : undefined;
      using initialTail = carried
        ? gpu.tensor([batch, width - 1, channels], arrays.initialTail)
        : undefined;
      using stepBias = gpu.tensor([heads], arrays.stepBias);
      using decay = gpu.tensor([heads], arrays.decay);
      const inputs = { x, weight, bias, initialTail, stepBias, decay };
      using outputs = mamba2Inputs(gpu, inputs, { headDim, low, high });
      const read = await gpu.read(NAMES.map((name) => outputs[name]));
      const extents = { batch, time, heads, headDim, shared, width, start };
      const expected = mamba2InputsReference(arrays, {
        ...extents,
        low: low ?? 0,
        high: high ?? Infinity,
      });
      NAMES.forEach((name, i) => assertClose(read[i], expected[name], 1e-6, name));
    },
  );
}

testKernel("mamba2Inputs() of no time leaves the tail, and refuses what does not fit", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([1, 0, 9]);
  using weight = gpu.tensor([6, 3]);
  using stepBias = gpu.tensor([2]);
  const inputs = { x, weight, stepBias, decay: stepBias };
  using initialTail = gpu.tensor([1, 2, 6], normals(1, 12));
  using outputs = mamba2Inputs(gpu, { ...inputs, initialTail }, { headDim: 1 });
  assertEquals(await outputs.finalTail.read(), await initialTail.read());
  assertThrows(
    () => mamba2Inputs(gpu, inputs, { headDim: 4 }),
    RangeError,
    "must fill the 6 channels",
  );
});

testKernel(
  "mamba2Inputs() lets a step size that is not finite show, where it has no bound",
  async () => {
    const gpu = await testGpu();
    const steps = [NaN, Infinity, -Infinity, 1];
    using x = gpu.tensor([4, 1, 2], steps.flatMap((step) => [1, step]));
    using weight = gpu.tensor([1, 1], [1]);
    using stepBias = gpu.tensor([1]);
    using decay = gpu.tensor([1], [-2]);
    const inputs = { x, weight, stepBias, decay };
    for (const high of [undefined, 0.5]) {
      using outputs = mamba2Inputs(gpu, inputs, { headDim: 1, high });
      const [input, logDecay] = await gpu.read([outputs.input, outputs.logDecay]);
      const finite = high === undefined ? [false, false, true, true] : [false, true, true, true];
      assertEquals([...input].map(Number.isFinite), finite, `input, ${high}`);
      assertEquals([...logDecay].map(Number.isFinite), finite, `logDecay, ${high}`);
    }
  },
);
