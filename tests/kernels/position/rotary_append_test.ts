import { assertEquals, assertThrows } from "@std/assert";
import { flashAttentionStep } from "../../../kernels/attention/mod.ts";
import { rotaryAngles, rotaryAppend, rotaryFrequencies } from "../../../kernels/position/mod.ts";
import { cacheRowReference, rotaryReference } from "../../../kernels/position/reference.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

for (
  const { batch, heads, keyHeads, dim, valueDim, rotaryDim, rows, sinks, at } of [
    {
      batch: 1,
      heads: 4,
      keyHeads: 2,
      dim: 8,
      valueDim: 8,
      rotaryDim: 8,
      rows: 9,
      sinks: 0,
      at: 5,
    },
    {
      batch: 2,
      heads: 3,
      keyHeads: 3,
      dim: 10,
      valueDim: 7,
      rotaryDim: 4,
      rows: 6,
      sinks: 2,
      at: 6,
    },
    {
      batch: 3,
      heads: 2,
      keyHeads: 1,
      dim: 9,
      valueDim: 64,
      rotaryDim: 2,
      rows: 5,
      sinks: 1,
      at: 71,
    },
    {
      batch: 2,
      heads: 2,
      keyHeads: 1,
      dim: 5,
      valueDim: 3,
      rotaryDim: 0,
      rows: 4,
      sinks: 0,
      at: 1002,
    },
  ]
) {
  testKernel(
    `rotaryAppend() equals the reference at position ${at} of ${rows} rows, ${rotaryDim} of ${dim} elements turned`,
    async () => {
      const gpu = await testGpu();
      const turns = rotaryDim > 0;
      const data = {
        query: normals(1, batch * heads * dim),
        key: normals(2, batch * keyHeads * dim),
        value: normals(3, batch * keyHeads * valueDim),
        keyCache: normals(4, batch * rows * keyHeads * dim),
        valueCache: normals(5, batch * rows * keyHeads * valueDim),
      };
      using query = gpu.tensor([batch, 1, heads, dim], data.query);
      using key = gpu.tensor([batch, 1, keyHeads, dim], data.key);
      using value = gpu.tensor([batch, 1, keyHeads, valueDim], data.value);
      using keyCache = gpu.tensor([batch, rows, keyHeads, dim], data.keyCache);
      using valueCache = gpu.tensor([batch, rows, keyHeads, valueDim], data.valueCache);
      using position = gpu.tensor([1], [at], "u32");
      using frequencies = turns ? rotaryFrequencies(gpu, { dim: rotaryDim }) : undefined;
      using turned = rotaryAppend(gpu, {
        query: turns ? query : undefined,
        key,
        value,
        keyCache,
        valueCache,
        frequencies,
        position,
      }, { sinks });
      const angles = turns ? rotaryAngles({ dim: rotaryDim }) : new Float64Array();
      const places = new Array(batch).fill(at);
      const row = cacheRowReference(at, rows, sinks);
      const expected = (
        cache: Float32Array,
        values: ArrayLike<number>,
        size: number,
      ): Float64Array => {
        const all = Float64Array.from(cache);
        for (let b = 0; b < batch; b++) {
          for (let i = 0; i < size; i++) all[(b * rows + row) * size + i] = values[b * size + i];
        }
        return all;
      };
      const turning = { frequencies: angles, positions: places };
      const turnedKey = rotaryReference({ x: data.key, ...turning }, { heads: keyHeads, dim });
      const [keys, values] = await gpu.read([keyCache, valueCache]);
      assertClose(keys, expected(data.keyCache, turnedKey, keyHeads * dim), 1e-6, "keyCache");
      assertClose(values, expected(data.valueCache, data.value, keyHeads * valueDim), 0, "values");
      assertEquals(turned.query === undefined, !turns);
      if (turned.query) {
        const expectedQuery = rotaryReference({ x: data.query, ...turning }, { heads, dim });
        assertClose(await turned.query.read(), expectedQuery, 1e-6, "query");
      }
    },
  );
}

for (
  const { window, sinks, alibi, heads } of [
    { window: undefined, sinks: 0, alibi: false, heads: 4 },
    { window: 7, sinks: 0, alibi: true, heads: 2 },
    { window: 300, sinks: 3, alibi: false, heads: 2 },
  ]
) {
  testKernel(
    `a cache written token by token has the bits of one that the host lays out: window ${window}, sinks ${sinks}`,
    async () => {
      const gpu = await testGpu();
      const [keyHeads, dim, time] = [2, 8, window === 300 ? 620 : 40];
      const rows = window === undefined ? time + 5 : window + sinks;
      const keys = normals(1, time * keyHeads * dim);
      const queries = normals(3, time * heads * dim);
      using alibiSlopes = alibi ? gpu.tensor([heads], normals(4, heads)) : undefined;
      using key = gpu.tensor([1, rows, keyHeads, dim]);
      using value = gpu.tensor([1, rows, keyHeads, dim]);
      using position = gpu.tensor([1], [0], "u32");
      for (let t = 0; t < time; t++) {
        const row = (values: Float32Array, size: number): Float32Array =>
          values.subarray(t * size, (t + 1) * size);
        using token = gpu.tensor([1, 1, keyHeads, dim], row(keys, keyHeads * dim));
        position.write([t]);
        const inputs = { key: token, value: token, keyCache: key, valueCache: value, position };
        rotaryAppend(gpu, inputs, { sinks })[Symbol.dispose]();
        if (t % 9 !== 0 && t < time - 2) continue;
        using query = gpu.tensor([1, 1, heads, dim], row(queries, heads * dim));
        using whole = gpu.tensor(
          [1, t + 1, keyHeads, dim],
          keys.subarray(0, (t + 1) * keyHeads * dim),
        );
        const options = { window, sinks, alibiSlopes };
        using got = flashAttentionStep(gpu, { query, key, value, position }, options);
        using want = flashAttentionStep(gpu, { query, key: whole, value: whole }, options);
        const [a, b] = await gpu.read([got.output, want.output]);
        assertEquals(a, b, `position ${t}`);
      }
    },
  );
}

testKernel("rotaryAppend() and a step at a position refuse what does not fit", async () => {
  const gpu = await testGpu();
  using key = gpu.tensor([1, 1, 1, 4]);
  using cache = gpu.tensor([1, 3, 1, 4]);
  using position = gpu.tensor([1], [0], "u32");
  using places = gpu.tensor([2], [0, 1], "u32");
  const inputs = { key, value: key, keyCache: cache, valueCache: cache, position };
  const refused = (change: object, message: string): void => {
    assertThrows(() => rotaryAppend(gpu, { ...inputs, ...change }), RangeError, message);
  };
  refused({ query: key }, "query and frequencies come together");
  using empty = gpu.tensor([1, 0, 1, 4]);
  refused({ keyCache: empty }, "keyCache must have at least one row for the token");
  refused({ key: cache }, "key must have shape [1,1,1,4]");
  refused({ position: places }, "position must have shape [1]");
  using frequencies = rotaryFrequencies(gpu, { dim: 6 });
  refused({ query: key, frequencies }, "there must be 1 to 2 frequencies");
  const step = { query: key, key: cache, value: cache, position };
  assertThrows(
    () => flashAttentionStep(gpu, step, { keyLength: 2 }),
    RangeError,
    "it has no option keyLength",
  );
});
