import { assert, assertThrows } from "@std/assert";
import { rmsNorm, rmsNormBackward } from "../../../kernels/norm/mod.ts";
import { rmsNormBackwardReference, rmsNormReference } from "../../../kernels/norm/reference.ts";
import { assertClose, normals, testGpu, testKernel, testTilings } from "../../testing.ts";

for (
  const [rows, groups, columns] of [
    [1, 1, 2],
    [3, 1, 7],
    [65, 1, 64],
    [1030, 1, 12],
    [200, 1, 130],
    [67, 3, 8],
    [5000, 2, 3],
  ]
) {
  testKernel(
    `rmsNorm() and its gradients equal the reference for ${rows} × ${groups} × ${columns}`,
    async () => {
      const x = normals(1, rows * groups * columns);
      const weight = normals(2, groups * columns);
      const outputGradient = normals(3, rows * groups * columns);
      // The reference knows no groups: each is a matrix of its own.
      const groupOf = (index: number): number => Math.floor(index / columns) % groups;
      const expected = { y: [...x], dx: [...x], dw: [] as number[] };
      for (let group = 0; group < groups; group++) {
        const own = (values: Float32Array): Float32Array =>
          values.filter((_, index) => groupOf(index) === group);
        const y = rmsNormReference(own(x), own(weight));
        const gradients = rmsNormBackwardReference(own(x), own(weight), own(outputGradient));
        expected.dw.push(...gradients.weightGradient);
        let next = 0;
        x.forEach((_, index) => {
          if (groupOf(index) !== group) return;
          expected.y[index] = y[next];
          expected.dx[index] = gradients.xGradient[next++];
        });
      }
      for (const [tiling, gpu] of await testTilings()) {
        const shape = [rows, groups, columns];
        using xTensor = gpu.tensor(shape, x);
        using weightTensor = gpu.tensor([groups * columns], weight);
        using gradientTensor = gpu.tensor(shape, outputGradient);
        const inputs = { x: xTensor, weight: weightTensor };
        const { output, inverseRms } = rmsNorm(gpu, inputs);
        const gradients = rmsNormBackward(gpu, {
          ...inputs,
          inverseRms,
          outputGradient: gradientTensor,
        });
        using sum = gpu.tensor(shape, x);
        const added = rmsNormBackward(
          gpu,
          { ...inputs, inverseRms, outputGradient: gradientTensor },
          { accumulateInto: sum },
        );
        assert(added.xGradient === sum);
        const [y, dx, dw, total] = await gpu.read([
          output,
          gradients.xGradient,
          gradients.weightGradient,
          sum,
        ]);
        assertClose(y, expected.y, 1e-5, `output ${tiling}`);
        assertClose(dx, expected.dx, 1e-4, `xGradient ${tiling}`);
        assertClose(dw, expected.dw, 1e-4, `weightGradient ${tiling}`);
        assertClose(total, expected.dx.map((dx, i) => dx + x[i]), 1e-4, `accumulated ${tiling}`);
      }
    },
  );
}

testKernel("rmsNorm() refuses a weight of another length", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([2, 64]);
  using weight = gpu.tensor([63]);
  assertThrows(
    () => rmsNorm(gpu, { x, weight }),
    RangeError,
    "Cannot run rmsNorm() as weight must have shape [64]: current shape is [63]",
  );
});
