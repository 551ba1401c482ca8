import { assertEquals, assertThrows } from "@std/assert";
import { scale, split } from "../../../kernels/arithmetic/mod.ts";
import { deltaRule, deltaRuleBackward } from "../../../kernels/delta_rule/mod.ts";
import { KernelError, shaders } from "../../../kernels/gpu/mod.ts";
import { linearAttentionBackward } from "../../../kernels/linear_attention/mod.ts";
import { scan } from "../../../kernels/scan/mod.ts";
import { testGpu } from "../../testing.ts";

/** A data type that WebGPU has and tensors do not. */
const I32 = "i32" as "u32";

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
  for (const shape of [[-1, 8], [1.5], [NaN]]) {
    assertThrows(() => gpu.wrap(buffer, shape), RangeError, "must be integers of 0 or more");
  }
  for (const make of [() => gpu.wrap(buffer, [2], I32), () => gpu.empty([2], I32)]) {
    assertThrows(make, RangeError, "data type must be f32, f16, u32: current type is i32");
  }
  const mapped = gpu.device.createBuffer({
    size: 64,
    usage: STORAGE | COPY_SRC | COPY_DST,
    mappedAtCreation: true,
  });
  assertThrows(() => gpu.wrap(mapped, [2]), RangeError, "be unmapped");
  mapped.destroy();
  buffer.destroy();
  other.destroy();
});

Deno.test("two tensors over one buffer are one memory: a kernel cannot write one and read the other", async () => {
  const gpu = await testGpu();
  const { COPY_DST, COPY_SRC, STORAGE } = GPUBufferUsage;
  const buffer = gpu.device.createBuffer({ size: 64, usage: STORAGE | COPY_SRC | COPY_DST });
  using x = gpu.wrap(buffer, [2]);
  using y = gpu.wrap(buffer, [2]);
  const text = `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn copied() { y[0] = x[0]; }`;
  const kernel = shaders("made_up", { copied: text }).kernel("copied");
  assertThrows(
    () => gpu.dispatch(kernel, { read: { x }, write: { y }, workgroups: 1 }),
    KernelError,
    "x and y are one tensor, which is written",
  );
  buffer.destroy();
});

Deno.test("what an op returns is disposed of as a whole, lists and what is left out included", async () => {
  const gpu = await testGpu();
  const held: number[] = [];
  for (let i = 0; i < 2; i++) {
    held.push(gpu.memory.current); // the first time, tables of chunks are made and kept
    using x = gpu.tensor([1, 8, 4]);
    using decay = gpu.tensor([1, 8, 4]);
    using forward = scan(gpu, { decay, input: x });
    const { output } = forward;
    output[Symbol.dispose](); // once more, with the rest, does no harm
    using halves = split(gpu, { x }, { sizes: [1, 3] });
    using rows = gpu.tensor([1, 4, 1, 4]);
    using gradients = linearAttentionBackward(gpu, {
      ...{ query: rows, key: rows, value: rows },
      outputGradient: rows,
    });
    assertEquals(gradients.logDecayGradient, undefined);
    assertEquals(Object.keys(forward), ["output", "finalState"]);
    assertEquals(halves.outputs.length, 2);
  }
  assertEquals(gpu.memory.current, held[1]);
});

Deno.test("the delta rule leaves nothing behind but what it returns", async () => {
  const gpu = await testGpu();
  using key = gpu.tensor([1, 40, 2, 4]);
  using beta = gpu.tensor([1, 40, 2]);
  const inputs = { query: key, key, value: key, beta };
  const before = gpu.memory.current;
  deltaRule(gpu, inputs)[Symbol.dispose]();
  deltaRuleBackward(gpu, { ...inputs, outputGradient: key })[Symbol.dispose]();
  assertEquals(gpu.memory.current, before);
});
