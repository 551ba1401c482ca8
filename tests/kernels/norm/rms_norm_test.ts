import { assertThrows } from "@std/assert";
import { rmsNorm, rmsNormBackward } from "../../../kernels/norm/mod.ts";
import { rmsNormBackwardReference, rmsNormReference } from "../../../kernels/norm/reference.ts";
import { assertClose, normals, testGpu } from "../../testing.ts";

for (const [rows, columns] of [[1, 2], [3, 7], [65, 64], [200, 130]]) {
  Deno.test(`rmsNorm() and its gradients equal the reference for ${rows} × ${columns}`, async () => {
    const gpu = await testGpu();
    const x = normals(1, rows * columns);
    const weight = normals(2, columns);
    const outputGradient = normals(3, rows * columns);
    using xTensor = gpu.tensor([rows, columns], x);
    using weightTensor = gpu.tensor([columns], weight);
    using gradientTensor = gpu.tensor([rows, columns], outputGradient);
    const { output, inverseRms } = rmsNorm(gpu, { x: xTensor, weight: weightTensor });
    const gradients = rmsNormBackward(gpu, {
      x: xTensor,
      weight: weightTensor,
      inverseRms,
      outputGradient: gradientTensor,
    });
    const [y, dx, dw] = await gpu.read([output, gradients.xGradient, gradients.weightGradient]);
    assertClose(y, rmsNormReference(x, weight), 1e-5, "output");
    const expected = rmsNormBackwardReference(x, weight, outputGradient);
    assertClose(dx, expected.xGradient, 1e-4, "xGradient");
    assertClose(dw, expected.weightGradient, 1e-4, "weightGradient");
  });
}

Deno.test("rmsNorm() refuses a weight of another length", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([2, 64]);
  using weight = gpu.tensor([63]);
  assertThrows(
    () => rmsNorm(gpu, { x, weight }),
    RangeError,
    "Cannot run rmsNorm() as weight must have shape [64]: current shape is [63]",
  );
});
