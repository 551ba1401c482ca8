import {
  rotary,
  rotaryAngles,
  rotaryBackward,
  rotaryFrequencies,
} from "../../../kernels/position/mod.ts";
import { rotaryReference } from "../../../kernels/position/reference.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

const [batch, time, heads, otherHeads, offset] = [2, 7, 3, 2, 5];

for (
  const { dim, rotaryDim, interleaved } of [
    { dim: 16, rotaryDim: 16, interleaved: false },
    { dim: 16, rotaryDim: 8, interleaved: false },
    { dim: 12, rotaryDim: 4, interleaved: false },
    { dim: 7, rotaryDim: 6, interleaved: false },
    { dim: 16, rotaryDim: 16, interleaved: true },
  ]
) {
  testKernel(
    `rotary() turns ${rotaryDim} of ${dim} elements${
      interleaved ? " by neighbours" : ""
    } of one tensor and of two, and back`,
    async () => {
      const gpu = await testGpu();
      const values = {
        x: normals(1, batch * time * heads * dim),
        other: normals(2, batch * time * otherHeads * dim),
      };
      using x = gpu.tensor([batch, time, heads, dim], values.x);
      using other = gpu.tensor([batch, time, otherHeads, dim], values.other);
      using frequencies = rotaryFrequencies(gpu, { dim: rotaryDim });
      const expected = (x: Float32Array, heads: number, inverse: boolean): Float64Array =>
        rotaryReference({
          x,
          frequencies: rotaryAngles({ dim: rotaryDim }),
          positions: Array.from({ length: batch * time }, (_, row) => offset + row % time),
        }, { heads, dim, interleaved, inverse });
      const options = { offset, interleaved };
      using alone = rotary(gpu, { x, frequencies }, options);
      using both = rotary(gpu, { x, other, frequencies }, options);
      using back = rotaryBackward(
        gpu,
        { outputGradient: x, otherGradient: other, frequencies },
        options,
      );
      const [first, ...rest] = await gpu.read([
        alone.output,
        both.output,
        both.other!,
        back.xGradient,
        back.otherGradient!,
      ]);
      const turned = expected(values.x, heads, false);
      assertClose(first, turned, 1e-6, "output alone");
      assertClose(rest[0], turned, 1e-6, "output");
      assertClose(rest[1], expected(values.other, otherHeads, false), 1e-6, "other");
      assertClose(rest[2], expected(values.x, heads, true), 1e-6, "xGradient");
      assertClose(rest[3], expected(values.other, otherHeads, true), 1e-6, "otherGradient");
    },
  );
}
