import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { add, linearAttention, matmul, rmsNorm, scale } from "../../../kernels/mod.ts";
import {
  DeviceLostError,
  type Gpu,
  KernelError,
  openGpu,
  shaders,
  type Tensor,
} from "../../../kernels/gpu/mod.ts";
import { testGpu, testKernel } from "../../testing.ts";

const MADE_UP = shaders("made_up_recordings", {
  count: `@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1) fn count() { y[0] += 1u; }`,
  wrong: `@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1) fn wrong() { y[0] = 1.5; }`,
});
const COUNT = MADE_UP.kernel("count");
const WRONG = MADE_UP.kernel("wrong");

/** A few operations whose intermediate results share memory; `x` is `[2, 4]`. */
function work(gpu: Gpu, x: Tensor, weight: Tensor): Tensor {
  using two = gpu.tensor([4], [2, 2, 2, 2]);
  using zeros = gpu.tensor([2, 4]);
  using normed = rmsNorm(gpu, { x, weight: two });
  using product = matmul(gpu, { a: normed.output, b: weight });
  using scaled = scale(gpu, { x: product.output }, { factor: 0.25 });
  using one = gpu.tensor([4], [1, 1, 1, 1]);
  using shifted = add(gpu, { a: scaled.output, b: one });
  return add(gpu, { a: shifted.output, b: zeros }).output;
}

testKernel(
  "a replay has the bits of the work unrecorded, whatever is written between replays",
  async () => {
    const gpu = await testGpu();
    using x = gpu.tensor([2, 4]);
    using weight = gpu.tensor([4, 4], Float32Array.from({ length: 16 }, (_, i) => Math.sin(i)));
    using recording = gpu.record(() => work(gpu, x, weight));
    assert(recording.dispatches >= 5);
    for (const seed of [1, 2, 3]) {
      x.write(Float32Array.from({ length: 8 }, (_, i) => Math.cos(seed * i)));
      recording.replay();
      using expected = work(gpu, x, weight);
      const [got, want] = await gpu.read([recording.result, expected]);
      assertEquals(got, want);
      assert(got.every((value) => Number.isFinite(value)));
    }
  },
);

testKernel("nothing runs while work is recorded, and replays run in their order", async () => {
  const gpu = await testGpu();
  using y = gpu.tensor([1], [0], "u32");
  using recording = gpu.record(() => gpu.dispatch(COUNT, { write: { y }, workgroups: 1 }));
  assertEquals([...await y.read()], [0]);
  recording.replay();
  gpu.dispatch(COUNT, { write: { y }, workgroups: 1 });
  recording.replay(2);
  assertEquals([...await y.read()], [4]);
  y.write([7]);
  recording.replay(1000); // more than a submit takes
  assertEquals([...await y.read()], [1007]);
});

testKernel("values from the host are there anew at each replay", async () => {
  const gpu = await testGpu();
  using outside = gpu.tensor([1], [5], "u32");
  using recording = gpu.record(() => {
    using y = gpu.tensor([1], [40], "u32"); // counted up below
    gpu.dispatch(COUNT, { write: { y }, workgroups: 1 });
    gpu.dispatch(COUNT, { write: { y }, workgroups: 1 });
    const constant = gpu.tensor([1], [3], "u32");
    const zero = gpu.tensor([1], undefined, "u32");
    gpu.dispatch(COUNT, { write: { y: zero }, workgroups: 1 });
    const seen = gpu.empty([1], "u32");
    gpu.copy(outside, seen);
    outside.write([9]);
    const counted = gpu.empty([1], "u32");
    gpu.copy(y, counted);
    return [counted, constant, zero, seen];
  });
  for (const before of [5, 6]) {
    outside.write([before]);
    recording.replay();
    const values = await gpu.read([...recording.result, outside]);
    assertEquals(values.map(([value]) => value), [42, 3, 1, before, 9]);
  }
});

Deno.test("a constant that is returned has its value at each replay, whatever was written to it", async () => {
  await using gpu = await openGpu();
  using recording = gpu.record(() => {
    using hidden = gpu.tensor([4], [1, 2, 3, 4]);
    const constant = gpu.tensor([4], [5, 6, 7, 8]);
    const sum = add(gpu, { a: hidden, b: constant }).output;
    return { constant, sum };
  });
  const { constant, sum } = recording.result;
  for (const written of [0, 1]) {
    recording.replay();
    const [values, sums] = await gpu.read([constant, sum]);
    assertEquals([...values, ...sums], [5, 6, 7, 8, 6, 8, 10, 12]);
    constant.write([written, written, written, written]);
  }
  // What nobody can write is filled once: a copy ends a pass.
  const { copyBufferToBuffer } = GPUCommandEncoder.prototype;
  let copies = 0;
  GPUCommandEncoder.prototype.copyBufferToBuffer = function (
    this: GPUCommandEncoder,
    ...args: unknown[]
  ): void {
    copies++;
    Reflect.apply(copyBufferToBuffer, this, args);
  } as typeof copyBufferToBuffer;
  try {
    recording.replay();
    await gpu.sync();
  } finally {
    GPUCommandEncoder.prototype.copyBufferToBuffer = copyBufferToBuffer;
  }
  assertEquals(copies, 1);
});

testKernel("work is recorded in parts, which share their memory", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([64], new Float32Array(64).fill(1));
  using out = gpu.tensor([64]);
  const times = (from: Tensor, factor: number): Tensor =>
    scale(gpu, { x: from }, { factor }).output;
  const before = gpu.memory.current;
  using recording = gpu.recordParts(function* (): Generator<string> {
    using kept = times(x, 2);
    using two = times(kept, 3);
    gpu.copy(two, out);
    yield "first";
    two[Symbol.dispose]();
    using again = times(kept, 5); // in the memory of the one before
    gpu.copy(again, out);
    yield "second";
  });
  assertEquals(recording.result, ["first", "second"]);
  assertEquals(recording.dispatches, 3);
  assertEquals(gpu.memory.current - before, 2 * x.bytes);
  assertEquals((await out.read())[0], 0);
  for (const value of [1, 10]) {
    x.write(new Float32Array(64).fill(value));
    recording.replayPart(0);
    assertEquals((await out.read())[9], 6 * value);
    recording.replayPart(1);
    assertEquals((await out.read())[9], 10 * value);
    recording.replayPart(1);
    assertEquals((await out.read())[9], 10 * value);
  }
  x.write(new Float32Array(64).fill(3));
  recording.replay();
  assertEquals((await out.read())[9], 30);
  assertThrows(() => recording.replayPart(2), RangeError, "it has the parts 0 to 1");
  recording[Symbol.dispose]();
  assertThrows(() => recording.replayPart(0), Error, "that was disposed of");
});

testKernel("what is kept is made at once, even while work is recorded that fails", async () => {
  const gpu = await testGpu();
  const table = (): Tensor => gpu.once("a table of this test", () => gpu.tensor([3], [1, 2, 3]));
  using other = gpu.tensor([2]);
  assertThrows(() =>
    gpu.record(() => {
      table();
      using one = gpu.tensor([1]);
      gpu.copy(other, one); // does not fit
    }), RangeError);
  assertEquals([...await table().read()], [1, 2, 3]);
  using recording = gpu.record(() => scale(gpu, { x: table() }, { factor: 2 }).output);
  recording.replay();
  assertEquals([...await recording.result.read()], [2, 4, 6]);
  assertEquals(table(), table());
});

Deno.test("what is kept goes with its GPU, even where the device stays", async () => {
  const { device } = await testGpu();
  const gpu = await openGpu({ device });
  gpu.once("made up", () => gpu.tensor([3], [1, 2, 3]));
  const inputs = Object.fromEntries(
    ["query", "key", "value"].map((name) => [name, gpu.tensor([1, 200, 1, 8])]),
  ) as Record<"query" | "key" | "value", Tensor>;
  linearAttention(gpu, inputs)[Symbol.dispose]();
  for (const tensor of Object.values(inputs)) tensor[Symbol.dispose]();
  assert(gpu.memory.current > 256); // tables of its chunks
  await gpu[Symbol.asyncDispose]();
  assertEquals(gpu.memory.current, 0);
});

Deno.test("tensors that a recording uses may be disposed of, and its results outlive it", async () => {
  await using gpu = await openGpu();
  const before = gpu.memory.current;
  const x = gpu.tensor([2, 4], Float32Array.from({ length: 8 }, (_, i) => i));
  const weight = gpu.tensor([4, 4], Float32Array.from({ length: 16 }, (_, i) => i % 3));
  const recording = gpu.record(() => work(gpu, x, weight));
  using expected = work(gpu, x, weight);
  x[Symbol.dispose]();
  weight[Symbol.dispose]();
  using others = gpu.tensor([2, 4], new Float32Array(8).fill(99)); // would take the memory of x
  recording.replay();
  const { result } = recording;
  recording[Symbol.dispose]();
  recording[Symbol.dispose]();
  using more = gpu.tensor([2, 4], new Float32Array(8).fill(99)); // and of the result
  const [got, want] = await gpu.read([result, expected]);
  assertEquals(got, want);
  assertThrows(() => recording.replay(), Error, "Cannot replay a recording that was disposed of");
  for (const tensor of [result, expected, others, more]) tensor[Symbol.dispose]();
  assertEquals(gpu.memory.current, before);
});

Deno.test("memory is planned once: temporaries share it, and 10,000 replays take no more", async () => {
  await using gpu = await openGpu();
  using x = gpu.tensor([64, 256], new Float32Array(64 * 256).fill(1));
  const before = gpu.memory.current;
  using recording = gpu.record(() => {
    let value = x.reshape(x.shape);
    for (let i = 0; i < 20; i++) {
      const { output } = scale(gpu, { x: value }, { factor: i % 2 === 0 ? 2 : 0.5 });
      value[Symbol.dispose]();
      value = output;
    }
    return value;
  });
  assertEquals(gpu.memory.current - before, 2 * x.bytes); // 20 results, two at a time
  const memory = (): number => Deno.memoryUsage().rss;
  const replay = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i += 100) {
      recording.replay(100);
      await gpu.sync();
    }
  };
  using tiny = gpu.tensor([1], [1]);
  using small = gpu.record(() => scale(gpu, { x: tiny }, { factor: 2 }).output);
  await replay(100);
  const first = memory();
  small.replay(10_000);
  await gpu.sync();
  assertEquals(gpu.memory.current - before, 2 * x.bytes + 512);
  assert(memory() - first < 32 * 2 ** 20, `${memory() - first} bytes`);
  assertEquals((await recording.result.read())[5], 1);
});

Deno.test("a recording that fails leaves nothing behind", async () => {
  await using gpu = await openGpu();
  using x = gpu.tensor([2, 4]);
  using weight = gpu.tensor([3, 4]);
  const before = gpu.memory.current;
  assertThrows(() => gpu.record(() => work(gpu, x, weight)), RangeError, "Cannot run matmul()");
  assertThrows(
    () => gpu.record(() => gpu.record(() => {})),
    Error,
    "Cannot record work while work is recorded",
  );
  assertThrows(
    () => gpu.record(async () => await Promise.resolve()),
    Error,
    "Cannot record work that waits",
  );
  // A rejection that nobody waits for would end the process.
  assertThrows(
    () => gpu.record(() => Promise.reject(new Error("later"))),
    Error,
    "Cannot record work that waits",
  );
  async function* waiting(): AsyncGenerator<void> {}
  assertThrows(() => gpu.record(waiting), Error, "Cannot record work that waits");
  assertThrows(
    () => gpu.recordParts(() => [1, Promise.reject(new Error("later"))]),
    Error,
    "Cannot record work that waits",
  );
  function* yielding(): Generator<void> {}
  assertThrows(() => gpu.record(yielding), Error, "use recordParts()");
  for (const then of [(): void => {}, { call: 1 }.toString]) {
    assertThrows(() => gpu.record(() => ({ then })), Error, "Cannot record work that waits");
  }
  using recording = gpu.record(() => {});
  for (const times of [-1, 1.5, NaN]) {
    assertThrows(() => recording.replay(times), RangeError, `current value is ${times}`);
  }
  assertThrows(
    () => gpu.record(() => recording.replay()),
    Error,
    "Cannot replay a recording while work is recorded",
  );
  let read: Promise<unknown> | undefined;
  gpu.record(() => void (read = x.read()))[Symbol.dispose]();
  await assertRejects(() => read!, Error, "Cannot read a tensor while work is recorded");
  assertEquals(gpu.memory.current, before);
  assertEquals([...await x.read()], new Array(8).fill(0));
});

Deno.test("what goes wrong in a replay is thrown by the next read, with the kernel's name", async () => {
  await using gpu = await openGpu();
  using y = gpu.tensor([1], [0], "u32");
  using wrong = gpu.record(() => gpu.dispatch(WRONG, { write: { y }, workgroups: 1 }));
  await assertRejects(() => y.read(), KernelError, "Cannot compile wrong");
  for (let i = 0; i < 2; i++) {
    wrong.replay();
    await assertRejects(() => y.read(), KernelError, "wrong");
  }
  const buffer = gpu.device.createBuffer({
    size: 256,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  using wrapped = gpu.wrap(buffer, [1], "u32");
  using gone = gpu.record(() => gpu.dispatch(COUNT, { write: { y: wrapped }, workgroups: 1 }));
  buffer.destroy();
  gone.replay();
  await assertRejects(() => y.read(), KernelError);
  using count = gpu.record(() => gpu.dispatch(COUNT, { write: { y }, workgroups: 1 }));
  count.replay();
  assertEquals([...await y.read()], [1]); // and the errors are over
  gpu.device.destroy();
  await gpu.device.lost;
  assertThrows(() => count.replay(), DeviceLostError);
});

Deno.test("a profile counts the kernels of a replay", async () => {
  await using gpu = await openGpu();
  using y = gpu.tensor([1], [0], "u32");
  using recording = gpu.record(() => {
    gpu.dispatch(COUNT, { write: { y }, workgroups: 1 });
    gpu.dispatch(COUNT, { write: { y }, workgroups: 1 });
  });
  gpu.startProfile();
  recording.replay(3);
  const [{ label, dispatches }] = await gpu.stopProfile();
  assertEquals([label, dispatches], ["count", 6]);
});
