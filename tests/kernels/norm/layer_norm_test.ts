import { assertEquals, assertThrows } from "@std/assert";
import { layerNorm, layerNormBackward } from "../../../kernels/norm/mod.ts";
import { layerNormBackwardReference, layerNormReference } from "../../../kernels/norm/reference.ts";
import { assertClose, normals, testGpu, testKernel, testTilings } from "../../testing.ts";

for (
  const [rows, columns, biased] of [
    [1, 5, true],
    [3, 7, false],
    [65, 64, true],
    [200, 130, false],
    [5000, 3, true],
  ] as const
) {
  testKernel(
    `layerNorm() and its gradients equal the reference for ${rows} × ${columns}`,
    async () => {
      // A mean far from 0 is what a one-pass variance fails on.
      const x = normals(1, rows * columns).map((value) => value + 300);
      const weight = normals(2, columns);
      const bias = biased ? normals(4, columns) : new Float32Array(columns);
      const outputGradient = normals(3, rows * columns);
      const expected = layerNormBackwardReference(x, weight, outputGradient);
      for (const [tiling, gpu] of await testTilings()) {
        using xTensor = gpu.tensor([rows, columns], x);
        using weightTensor = gpu.tensor([columns], weight);
        using biasTensor = gpu.tensor([columns], bias);
        using gradientTensor = gpu.tensor([rows, columns], outputGradient);
        const inputs = {
          x: xTensor,
          weight: weightTensor,
          bias: biased ? biasTensor : undefined,
        };
        const { output, mean, inverseDeviation } = layerNorm(gpu, inputs);
        const gradients = layerNormBackward(gpu, {
          ...inputs,
          mean,
          inverseDeviation,
          outputGradient: gradientTensor,
        });
        const { xGradient, weightGradient, biasGradient } = gradients;
        assertEquals(biasGradient !== undefined, biased);
        const [y, dx, dw, db] = await gpu.read([
          output,
          xGradient,
          weightGradient,
          biasGradient ?? weightGradient,
        ]);
        assertClose(y, layerNormReference(x, weight, bias), 1e-4, `output ${tiling}`);
        assertClose(dx, expected.xGradient, 1e-3, `xGradient ${tiling}`);
        assertClose(dw, expected.weightGradient, 1e-3, `weightGradient ${tiling}`);
        if (biased) assertClose(db, expected.biasGradient, 1e-4, `biasGradient ${tiling}`);
      }
    },
  );
}

testKernel("layerNorm() refuses a bias of another length", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([2, 64]);
  using weight = gpu.tensor([64]);
  using bias = gpu.tensor([63]);
  assertThrows(
    () => layerNorm(gpu, { x, weight, bias }),
    RangeError,
    "Cannot run layerNorm() as bias must have shape [64]: current shape is [63]",
  );
});
