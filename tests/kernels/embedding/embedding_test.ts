import { assertEquals, assertThrows } from "@std/assert";
import { embedding, embeddingBackward } from "../../../kernels/embedding/mod.ts";
import {
  embeddingBackwardReference,
  embeddingReference,
} from "../../../kernels/embedding/reference.ts";
import type { AnyTensor, Tensor } from "../../../kernels/gpu/mod.ts";
import { quantize, QuantizedMatrix } from "../../../kernels/storage/mod.ts";
import { quantizeReference } from "../../../kernels/storage/reference.ts";
import { assertClose, normals, testGpu, testKernel, testTilings, uniforms } from "../../testing.ts";

for (
  const [vocabulary, width, batch, time] of [
    [1, 1, 1, 1],
    [5, 7, 3, 65],
    [64, 32, 2, 257],
    [257, 60, 1, 100],
    [50_257, 8, 2, 64],
  ]
) {
  testKernel(
    `embedding() and its gradient equal the reference for ${vocabulary} × ${width}, ${batch} × ${time} tokens`,
    async () => {
      // One token in eight is past the vocabulary.
      const ids = Uint32Array.from(uniforms(1, batch * time, 0, vocabulary * 8 / 7));
      ids[0] = vocabulary - 1;
      const weightData = normals(2, vocabulary * width);
      const gradientData = normals(3, batch * time * width);
      for (const [tiling, gpu] of await testTilings()) {
        using tokens = gpu.tensor([batch, time], ids, "u32");
        using weight = gpu.tensor([vocabulary, width], weightData);
        using outputGradient = gpu.tensor([batch, time, width], gradientData);
        const { output } = embedding(gpu, { tokens, weight });
        const { weightGradient } = embeddingBackward(gpu, { tokens, outputGradient }, {
          vocabulary,
        });
        const again = embeddingBackward(gpu, { tokens, outputGradient }, { vocabulary });
        const [y, dw, dwAgain] = await gpu.read([output, weightGradient, again.weightGradient]);
        assertEquals(output.shape, [batch, time, width]);
        assertClose(y, embeddingReference(ids, weightData, width), 0, `output ${tiling}`);
        const expected = embeddingBackwardReference(ids, gradientData, vocabulary);
        assertClose(dw, expected, 1e-6, `weightGradient ${tiling}`);
        assertEquals(dw, dwAgain);
      }
    },
  );
}

for (const width of [7, 32]) {
  testKernel(
    `embedding() of rows in several tensors, and its gradient, are those of one, ${width} wide`,
    async () => {
      const ids = Uint32Array.from([3, 0, 19, 20, 7, 8, 9, 400, 3, 18]); // 20 and 400 are past the end
      const weightData = normals(2, 20 * width);
      const gradientData = normals(3, ids.length * width);
      for (const [tiling, gpu] of await testTilings()) {
        using tokens = gpu.tensor([10], ids, "u32");
        using outputGradient = gpu.tensor([10, width], gradientData);
        const expected = embeddingBackwardReference(ids, gradientData, 20);
        let firstToken = 0;
        const blocks: Tensor[] = [];
        for (const rows of [0, 8, 1, 11]) {
          const place = [firstToken * width, (firstToken + rows) * width];
          blocks.push(gpu.tensor([rows, width], weightData.subarray(...place)));
          const options = { vocabulary: rows, firstToken };
          const { weightGradient } = embeddingBackward(gpu, { tokens, outputGradient }, options);
          const part = expected.subarray(...place);
          if (rows > 0) assertClose(await weightGradient.read(), part, 1e-6, `gradient ${tiling}`);
          firstToken += rows;
        }
        const { output } = embedding(gpu, { tokens, weight: blocks });
        assertClose(await output.read(), embeddingReference(ids, weightData, width), 0, tiling);
      }
    },
  );

  for (const [dtype, bits] of [["int8", 8], ["int4", 4]] as const) {
    testKernel(
      `embedding() of weights in ${dtype} gives what they stand for, ${width} wide`,
      async () => {
        const gpu = await testGpu();
        const ids = [3, 0, 4, 9, 3];
        const rows = normals(4, 5 * width);
        using tokens = gpu.tensor([5], ids, "u32");
        using stored = gpu.tensor([5 * width], new Uint32Array(rows.buffer), "u32");
        using flags = gpu.tensor([1], undefined, "u32");
        using weight = new QuantizedMatrix(gpu, [5, width], dtype);
        quantize(gpu, { stored, output: weight, flags }, { from: "f32", rows: 5 });
        using output = embedding(gpu, { tokens, weight }).output;
        const { values } = quantizeReference(rows, { columns: width, bits, group: 32 });
        assertClose(await output.read(), embeddingReference(ids, values, width), 1e-6, "output");
      },
    );
  }
}

for (const width of [7, 32]) { // SwiftShader has no f16
  Deno.test(`embedding() of weights stored as f16 gives their rows, ${width} wide`, async () => {
    const gpu = await testGpu();
    const ids = [3, 0, 4, 9, 3];
    const rows = new Float16Array(normals(4, 5 * width));
    using tokens = gpu.tensor([5], ids, "u32");
    using weight = gpu.tensor([5, width], rows, "f16");
    using output = embedding(gpu, { tokens, weight }).output;
    assertEquals(output.dtype, "f32");
    assertClose(await output.read(), embeddingReference(ids, rows, width), 0, "output");
  });
}

testKernel("embedding() refuses tokens that are floats", async () => {
  const gpu = await testGpu();
  using tokens = gpu.tensor([2]);
  using weight = gpu.tensor([4, 4]);
  assertThrows(
    () => embedding(gpu, { tokens: tokens as AnyTensor as Tensor<"u32">, weight }),
    RangeError,
    "Cannot run embedding() as tokens must be u32: current data type is f32",
  );
});
