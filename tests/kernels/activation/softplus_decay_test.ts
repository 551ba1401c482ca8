import { assertThrows } from "@std/assert";
import { softplusDecay, softplusDecayBackward } from "../../../kernels/activation/mod.ts";
import { softplusDecayReference } from "../../../kernels/activation/reference.ts";
import { sumTo } from "../../../kernels/arithmetic/mod.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

for (const [rows, channels, rates] of [[1, 1, 1], [7, 6, 3], [33, 5, 5], [260, 64, 4]]) {
  testKernel(
    `softplusDecay() and its gradients equal the reference for ${rows} × ${channels}, ${rates} rates`,
    async () => {
      const gpu = await testGpu();
      const data = normals(1, rows * channels).map((value) => 8 * value);
      const biases = normals(2, channels);
      const rateData = normals(3, rates);
      const gradientData = normals(4, rows * channels);
      using x = gpu.tensor([rows, channels], data);
      using bias = gpu.tensor([channels], biases);
      using rate = gpu.tensor([rates], rateData);
      using outputGradient = gpu.tensor([rows, channels], gradientData);
      using forward = softplusDecay(gpu, { x, bias, rate });
      using backward = softplusDecayBackward(gpu, { x, bias, rate, outputGradient });
      using terms = backward.rateTerms.reshape([rows, rates, channels / rates]);
      using biasGradient = sumTo(gpu, { x: backward.xGradient }, { shape: [channels] }).output;
      using rateGradient = sumTo(gpu, { x: terms }, { shape: [rates, 1] }).output;
      const values = await gpu.read([
        forward.output,
        backward.xGradient,
        biasGradient,
        rateGradient,
      ]);
      const expected = softplusDecayReference(data, biases, rateData, gradientData);
      assertClose(values[0], expected.output, 1e-6, "output");
      assertClose(values[1], expected.xGradient, 1e-6, "xGradient");
      assertClose(values[2], expected.biasGradient, 1e-5, "biasGradient");
      assertClose(values[3], expected.rateGradient, 1e-5, "rateGradient");
    },
  );
}

testKernel("softplusDecay() refuses rates that do not divide the channels", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([2, 6]);
  using bias = gpu.tensor([6]);
  using rate = gpu.tensor([4]);
  assertThrows(
    () => softplusDecay(gpu, { x, bias, rate }),
    RangeError,
    "must divide that of channels, 6",
  );
});
