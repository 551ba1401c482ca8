import { assert, assertEquals, assertThrows } from "@std/assert";
import { testGpu } from "../../testing.ts";

Deno.test("write() with an offset overwrites that part alone", async () => {
  const gpu = await testGpu();
  using words = gpu.tensor([5], [1, 2, 3, 4, 5]);
  gpu.write(words, [8, 9], { offset: 2 });
  assertEquals(await words.read(), Float32Array.of(1, 2, 8, 9, 5));
  using halves = gpu.tensor([5], [1, 2, 3, 4, 5], "f16");
  gpu.write(halves, [6, 7], { offset: 2 });
  gpu.write(halves, [8], { offset: 4 });
  assertEquals(await halves.read(), Float32Array.of(1, 2, 6, 7, 8));
});

Deno.test("write() refuses what does not fit, and halves of words", async () => {
  const gpu = await testGpu();
  using words = gpu.tensor([5]);
  using halves = gpu.tensor([5], undefined, "f16");
  assertThrows(() => gpu.write(words, [1, 2]), RangeError, "it takes 5 elements");
  assertThrows(() => gpu.write(words, [1, 2], { offset: 4 }), RangeError, "lie inside");
  assertThrows(() => gpu.write(words, [1], { offset: -1 }), RangeError, "lie inside");
  assertThrows(() => gpu.write(halves, [1], { offset: 1 }), RangeError, "whole words");
  assertThrows(() => gpu.write(halves, [1], { offset: 2 }), RangeError, "whole words");
});

Deno.test("writes are submitted, so that WebGPU does not keep copies of them all", async () => {
  const gpu = await testGpu();
  using tensor = gpu.tensor([2 ** 18]);
  await gpu.sync();
  const data = new Float32Array(2 ** 18);
  const before = Deno.memoryUsage().rss;
  for (let i = 0; i < 512; i++) gpu.write(tensor, data.fill(i));
  const grown = Deno.memoryUsage().rss - before;
  assert(grown < 256 * 2 ** 20, `${grown} bytes more after 512 writes of 1 MiB`);
});
