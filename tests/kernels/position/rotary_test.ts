import { assertEquals, assertThrows } from "@std/assert";
import {
  rotary,
  rotaryAngles,
  rotaryBackward,
  rotaryFrequencies,
} from "../../../kernels/position/mod.ts";
import { rotaryReference } from "../../../kernels/position/reference.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../../testing.ts";

for (
  const [batch, time, heads, dim, rotaryDim, interleaved] of [
    [1, 1, 1, 2, 2, false],
    [2, 65, 3, 8, 8, true],
    [1, 100, 1, 60, 60, false],
    [2, 7, 2, 100, 24, true],
    [1, 63, 3, 128, 64, false],
    [1, 5, 2, 9, 4, false],
  ] as const
) {
  testKernel(
    `rotary() and its gradient equal the reference for ${batch} × ${time} × ${heads} × ${dim}, of which ${rotaryDim} turn${
      interleaved ? ", interleaved" : ""
    }`,
    async () => {
      const gpu = await testGpu();
      const shape = [batch, time, heads, dim];
      const data = normals(1, batch * time * heads * dim);
      const places = Uint32Array.from(uniforms(2, batch * time, 0, 2 ** 20));
      const steps = places.map((_, i) => 1000 + i % time);
      const angles = rotaryAngles({ dim: rotaryDim });
      using x = gpu.tensor(shape, data);
      using frequencies = rotaryFrequencies(gpu, { dim: rotaryDim });
      using positions = gpu.tensor([batch, time], places, "u32");
      const offset = { interleaved, offset: 1000 };
      const [y, dx, placed, placedDx] = await gpu.read([
        rotary(gpu, { x, frequencies }, offset).output,
        rotaryBackward(gpu, { outputGradient: x, frequencies }, offset).xGradient,
        rotary(gpu, { x, frequencies, positions }, { interleaved }).output,
        rotaryBackward(gpu, { outputGradient: x, frequencies, positions }, { interleaved })
          .xGradient,
      ]);
      const expect = (at: Uint32Array, inverse: boolean): Float64Array =>
        rotaryReference(
          { x: data, frequencies: angles, positions: at },
          { heads, dim, interleaved, inverse },
        );
      assertClose(y, expect(steps, false), 1e-6, "output");
      assertClose(dx, expect(steps, true), 1e-6, "xGradient");
      assertClose(placed, expect(places, false), 1e-6, "output at positions");
      assertClose(placedDx, expect(places, true), 1e-6, "xGradient at positions");
    },
  );
}

testKernel("rotary() is as precise at position 1,000,000 as at 1, and past 2³¹", async () => {
  const gpu = await testGpu();
  const angles = rotaryAngles({ dim: 64, base: 500_000 });
  using frequencies = rotaryFrequencies(gpu, { dim: 64, base: 500_000 });
  const data = normals(1, 64 * 64);
  using x = gpu.tensor([1, 64, 1, 64], data);
  for (const [offset, bound] of [[1, 2e-7], [1_000_000, 2e-7], [3_000_000_000, 2e-6]]) {
    using output = rotary(gpu, { x, frequencies }, { offset }).output;
    const positions = Array.from({ length: 64 }, (_, t) => offset + t);
    const expected = rotaryReference(
      { x: data, frequencies: angles, positions },
      { heads: 1, dim: 64 },
    );
    assertClose(await output.read(), expected, bound, `position ${offset}`);
  }
});

Deno.test("rotaryAngles() are stretched as their sources say", () => {
  const trained = rotaryAngles({ dim: 64 });
  const linear = rotaryAngles({ dim: 64, scaling: { kind: "linear", factor: 4 } });
  const ntk = rotaryAngles({ dim: 64, scaling: { kind: "ntk", factor: 4 } });
  assertClose(trained.slice(0, 3), [1, 10_000 ** (-1 / 32), 10_000 ** (-1 / 16)], 1e-12, "none");
  assertClose(linear, trained.map((angle) => angle / 4), 1e-12, "linear");
  assertEquals(ntk[0], 1);
  assertClose([ntk[31]], [trained[31] / 4], 1e-12, "the lowest frequency of ntk");
  const yarn = rotaryAngles({
    dim: 64,
    scaling: { kind: "yarn", factor: 4, trainedLength: 4096 },
  });
  // Pair i turns 4096 · 10,000^(−i / 32) / 2π times: 32 times at i = 10.47, once at i = 22.51.
  assertClose(yarn.slice(0, 11), trained.slice(0, 11), 1e-12, "the fast pairs of yarn");
  assertClose(yarn.slice(23), linear.slice(23), 1e-12, "the slow pairs of yarn");
  const third = 4 / 13;
  assertClose([yarn[14]], [trained[14] * (1 - third) + linear[14] * third], 1e-12, "mixed by yarn");
  const llama3 = rotaryAngles({
    dim: 64,
    scaling: { kind: "llama3", factor: 4, trainedLength: 4096, lowFactor: 1, highFactor: 4 },
  });
  // Four times at i = 17.69.
  assertClose(llama3.slice(0, 18), trained.slice(0, 18), 1e-12, "the fast pairs of llama3");
  assertClose(llama3.slice(23), linear.slice(23), 1e-12, "the slow pairs of llama3");
  const kept = (4096 * trained[20] / (2 * Math.PI) - 1) / 3;
  assertClose(
    [llama3[20]],
    [trained[20] * kept + linear[20] * (1 - kept)],
    1e-12,
    "mixed by llama3",
  );
  assertThrows(() => rotaryAngles({ dim: 63 }), RangeError, "dim must be even");
});

testKernel(
  "rotary() refuses more pairs than a head has, and positions of another shape",
  async () => {
    const gpu = await testGpu();
    using x = gpu.tensor([2, 3, 1, 6]);
    using many = rotaryFrequencies(gpu, { dim: 8 });
    using frequencies = rotaryFrequencies(gpu, { dim: 6 });
    using positions = gpu.tensor([3], [0, 1, 2], "u32");
    assertThrows(
      () => rotary(gpu, { x, frequencies: many }),
      RangeError,
      "Cannot run rotary() as there must be at most 3 frequencies for x of shape [2,3,1,6]: current number is 4",
    );
    assertThrows(
      () => rotary(gpu, { x, frequencies, positions }),
      RangeError,
      "Cannot run rotary() as positions must have shape [2,3]: current shape is [3]",
    );
  },
);
