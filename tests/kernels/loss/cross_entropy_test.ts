import { assertEquals, assertThrows } from "@std/assert";
import { crossEntropy, crossEntropyBackward, IGNORED } from "../../../kernels/loss/mod.ts";
import {
  crossEntropyBackwardReference,
  crossEntropyReference,
} from "../../../kernels/loss/reference.ts";
import { assertClose, normals, testGpu, testKernel, testTilings, uniforms } from "../../testing.ts";

for (
  const [rows, vocabulary, weighted, factor] of [
    [1, 1, false, 1],
    [3, 2, true, 1],
    [65, 7, true, 30],
    [257, 64, false, 1],
    [100, 65, false, 100],
    [5, 1024, true, 3],
    [3, 50_257, false, 3],
  ] as const
) {
  testKernel(
    `crossEntropy() and its gradient equal the reference for ${rows} × ${vocabulary}, logits × ${factor}`,
    async () => {
      const x = normals(1, rows * vocabulary, factor);
      const y = Uint32Array.from(uniforms(2, rows, 0, vocabulary));
      for (let row = 1; row < rows; row += 3) y[row] = IGNORED;
      const w = uniforms(3, rows, 0.5, 2);
      for (const [tiling, gpu] of await testTilings()) {
        using logits = gpu.tensor([rows, vocabulary], x);
        using labels = gpu.tensor([rows], y, "u32");
        using weights = gpu.tensor([rows], w);
        const rowWeights = weighted ? weights : undefined;
        const { loss, logSumExp, correct } = crossEntropy(gpu, { logits, labels, rowWeights });
        const { logitsGradient } = crossEntropyBackward(
          gpu,
          { logits, labels, logSumExp, rowWeights },
          { scale: 0.25 },
        );
        const [l, z, c, g] = await gpu.read([loss, logSumExp, correct, logitsGradient]);
        const expected = crossEntropyReference(x, y);
        const rowWeight = w.map((value) => weighted ? value : 1);
        assertClose(
          l,
          expected.loss.map((value, i) => value * rowWeight[i]),
          1e-5,
          `loss ${tiling}`,
        );
        assertClose(z, expected.logSumExp, 1e-5, `logSumExp ${tiling}`);
        assertEquals(c, expected.correct, tiling);
        const rowGradients = rowWeight.map((value) => value * 0.25);
        const gradient = crossEntropyBackwardReference(x, y, rowGradients);
        assertClose(g, gradient, 1e-4, `logitsGradient ${tiling}`);
      }
    },
  );
}

for (const vocabulary of [5, 1025]) {
  testKernel(
    `crossEntropy() counts the first of equal logits as the answer among ${vocabulary}`,
    async () => {
      for (const [tiling, gpu] of await testTilings()) {
        using logits = gpu.tensor([4, vocabulary], new Float32Array(4 * vocabulary).fill(-7));
        using labels = gpu.tensor([4], [0, 1, vocabulary - 1, vocabulary], "u32");
        const { loss, correct } = crossEntropy(gpu, { logits, labels });
        const [l, c] = await gpu.read([loss, correct]);
        assertEquals([...c], [1, 0, 0, 0], tiling);
        assertClose(
          l,
          [1, 1, 1, 0].map((scored) => scored * Math.log(vocabulary)),
          1e-6,
          `loss ${tiling}`,
        );
      }
    },
  );
}

testKernel("crossEntropy() of logits near ±10000 keeps the digits of a small loss", async () => {
  const gpu = await testGpu();
  const x = [10_000, 9995, -10_000, -1e4, -9995, -Infinity];
  using logits = gpu.tensor([2, 3], x);
  using labels = gpu.tensor([2], [0, 1], "u32");
  const { loss } = crossEntropy(gpu, { logits, labels });
  const small = Math.log1p(Math.exp(-5));
  assertClose(await loss.read(), [small, small], 1e-5, "loss");
});

testKernel("crossEntropy() refuses labels of another length", async () => {
  const gpu = await testGpu();
  using logits = gpu.tensor([2, 3]);
  using labels = gpu.tensor([3], [0, 1, 2], "u32");
  assertThrows(
    () => crossEntropy(gpu, { logits, labels }),
    RangeError,
    "Cannot run crossEntropy() as labels must have shape [2]: current shape is [3]",
  );
});
