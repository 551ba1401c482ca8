import { assertEquals, assertThrows } from "@std/assert";
import { argmax, NO_TOKEN } from "../../../kernels/sampling/mod.ts";
import { argmaxReference } from "../../../kernels/sampling/reference.ts";
import { normals, testGpu, testKernel, testTilings } from "../../testing.ts";

for (const [rows, vocabulary] of [[1, 1], [65, 7], [100, 257], [3, 50_257]]) {
  testKernel(`argmax() takes the first largest logit of ${rows} × ${vocabulary}`, async () => {
    // Few distinct values, so that many are equal; then what is special.
    const x = normals(1, rows * vocabulary).map((value) => Math.round(value));
    for (let i = 0; i < x.length; i += 5) x[i] = [-Infinity, -0, -9, Infinity][i / 5 % 4];
    x.fill(-Infinity, vocabulary, 2 * vocabulary);
    for (const [tiling, gpu] of await testTilings()) {
      using logits = gpu.tensor([rows, vocabulary], x);
      using tokens = argmax(gpu, { logits }).tokens;
      assertEquals(await tokens.read(), argmaxReference(x, vocabulary), tiling);
    }
  });
}

for (const vocabulary of [1, 7, 257, 4096]) {
  testKernel(
    `argmax() gives NO_TOKEN for a row of ${vocabulary} that holds a NaN, wherever it is`,
    async () => {
      const rows = 40;
      const x = normals(2, rows * vocabulary);
      // NaN of either sign, quiet or signalling, beside ±Infinity, in every other row.
      const bits = new Uint32Array(x.buffer);
      const payloads = [0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff, 0x7fffffff];
      const expected = argmaxReference(x, vocabulary);
      for (let row = 0; row < rows; row += 2) {
        if (row % 4 === 0) x.fill(Infinity, row * vocabulary, (row + 1) * vocabulary);
        if (row % 4 === 2) x.fill(-Infinity, row * vocabulary, (row + 1) * vocabulary);
        bits[row * vocabulary + row * 41 % vocabulary] = payloads[row % payloads.length];
        expected[row] = NO_TOKEN;
      }
      for (const [tiling, gpu] of await testTilings()) {
        using logits = gpu.tensor([rows, vocabulary], x);
        using tokens = argmax(gpu, { logits }).tokens;
        assertEquals(await tokens.read(), expected, tiling);
        assertEquals(argmaxReference(x, vocabulary), expected);
      }
    },
  );
}

testKernel("argmax() refuses rows without a column", async () => {
  const gpu = await testGpu();
  using logits = gpu.tensor([2, 0]);
  assertThrows(() => argmax(gpu, { logits }), RangeError, "must have a column");
});

testKernel("argmax() counts a position up and keeps the last tokens", async () => {
  const gpu = await testGpu();
  using position = gpu.tensor([1], [4], "u32");
  using history = gpu.tensor([3], [7, 7, 7], "u32");
  using into = gpu.tensor([1], [9], "u32");
  for (const best of [2, 0, NO_TOKEN, 1]) {
    using logits = gpu.tensor(
      [1, 3],
      [0, 1, 2].map((i) => best === NO_TOKEN ? NaN : +(i === best)),
    );
    assertEquals(argmax(gpu, { logits, into, position, history }).tokens, into);
    assertEquals([...await into.read()], [best]);
  }
  assertEquals([...await position.read()], [8]);
  assertEquals([...await history.read()], [0, NO_TOKEN, 1]); // of the positions 6, 7 and 8
  using two = gpu.tensor([2, 3]);
  assertThrows(
    () => argmax(gpu, { logits: two, position, history }),
    RangeError,
    "logits must have",
  );
  assertThrows(() => argmax(gpu, { logits: two, position }), RangeError, "come together");
});
