import { assertEquals, assertThrows } from "@std/assert";
import { argmax } from "../../../kernels/sampling/mod.ts";
import { argmaxReference } from "../../../kernels/sampling/reference.ts";
import { normals, testGpu, testTilings } from "../../testing.ts";

for (const [rows, vocabulary] of [[1, 1], [65, 7], [100, 257], [3, 50_257]]) {
  Deno.test(`argmax() takes the first largest logit, never NaN, of ${rows} × ${vocabulary}`, async () => {
    // Few distinct values, so that many are equal; then what is special.
    const x = normals(1, rows * vocabulary).map((value) => Math.round(value));
    for (let i = 0; i < x.length; i += 5) x[i] = [NaN, -Infinity, -0, Infinity, -9][i / 5 % 5];
    x.fill(NaN, 0, vocabulary);
    x.fill(-Infinity, vocabulary, 2 * vocabulary);
    for (const [tiling, gpu] of await testTilings()) {
      using logits = gpu.tensor([rows, vocabulary], x);
      using tokens = argmax(gpu, { logits }).tokens;
      assertEquals(await tokens.readIntegers(), argmaxReference(x, vocabulary), tiling);
    }
  });
}

Deno.test("argmax() refuses rows without a column", async () => {
  const gpu = await testGpu();
  using logits = gpu.tensor([2, 0]);
  assertThrows(() => argmax(gpu, { logits }), RangeError, "must have a column");
});
