import { assertEquals, assertThrows } from "@std/assert";
import { scale } from "../../../kernels/arithmetic/mod.ts";
import { testGpu } from "../../testing.ts";

Deno.test("a buffer of one's own is wrapped, read, written, and left as it is", async () => {
  const gpu = await testGpu();
  const { COPY_DST, COPY_SRC, STORAGE } = GPUBufferUsage;
  const buffer = gpu.device.createBuffer({ size: 64, usage: STORAGE | COPY_SRC | COPY_DST });
  gpu.device.queue.writeBuffer(buffer, 0, Float32Array.of(1, 2, 3, 4, 5, 6));
  const before = gpu.memory.current;
  for (let i = 0; i < 2; i++) {
    using wrapped = gpu.wrap(buffer, [2, 3]);
    using doubled = scale(gpu, { x: wrapped }, { factor: 2 }).output;
    assertEquals([...await doubled.read()], [2, 4, 6, 8, 10, 12]);
    assertEquals([...await wrapped.read()], [1, 2, 3, 4, 5, 6]);
  }
  {
    using integers = gpu.wrap(buffer, [4], "u32");
    integers.write([7, 8, 9, 10]);
    const read: Uint32Array = await integers.read();
    assertEquals([...read], [7, 8, 9, 10]);
  }
  assertEquals(gpu.memory.current, before);
  assertThrows(() => gpu.wrap(buffer, [17]), RangeError, "takes 68 bytes: current size is 64");
  const other = gpu.device.createBuffer({ size: 64, usage: STORAGE });
  assertThrows(() => gpu.wrap(other, [2]), RangeError, "STORAGE, COPY_SRC and COPY_DST");
  buffer.destroy();
  other.destroy();
});
