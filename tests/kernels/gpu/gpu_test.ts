import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type DataType,
  DeviceLostError,
  Gpu,
  KernelError,
  openGpu,
  shaders,
} from "../../../kernels/gpu/mod.ts";
import { testGpu } from "../../testing.ts";

const MADE_UP = shaders("made_up", {
  fill: `override VALUE: f32 = 1.0;
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn fill(@builtin(workgroup_id) id: vec3u) { y[id.x] = VALUE; }`,
  wrong: `@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn wrong() { y[0] = 1u; }`,
});
const FILL = MADE_UP.kernel("fill");
const WRONG = MADE_UP.kernel("wrong");

Deno.test("a shader that does not compile is thrown with its name and the compiler's words", async () => {
  const gpu = await testGpu();
  using y = gpu.empty([4]);
  gpu.dispatch(WRONG, { write: { y }, workgroups: 1 });
  const error = await assertRejects(() => y.read(), KernelError, "Cannot compile wrong");
  assert((error as Error).message.includes("expression has type u32"));
  gpu.dispatch(FILL, { write: { y }, workgroups: 4 });
  assertEquals([...await y.read()], [1, 1, 1, 1]); // and the error is over
});

Deno.test("a constant or a binding that the shader lacks is thrown with its name", async () => {
  const gpu = await testGpu();
  using y = gpu.empty([4]);
  using x = gpu.empty([4]);
  assertThrows(
    () => gpu.dispatch(FILL, { constants: { NOPE: 1 }, write: { y }, workgroups: 1 }),
    KernelError,
    "Cannot run fill as its shader has no constant NOPE",
  );
  assertThrows(
    () => gpu.dispatch(FILL, { read: { x }, write: { y }, workgroups: 1 }),
    KernelError,
    "Cannot run fill as its shader has no binding x",
  );
  await gpu.sync(); // the GPU was asked nothing
});

Deno.test("a constant that is not a finite number is refused, and later errors are still thrown", async () => {
  const gpu = await testGpu();
  using y = gpu.empty([4]);
  for (const VALUE of [NaN, Infinity, -Infinity]) {
    assertThrows(
      () => gpu.dispatch(FILL, { constants: { VALUE }, write: { y }, workgroups: 1 }),
      RangeError,
      `Cannot run fill as its constant VALUE must be a finite number: current value is ${VALUE}`,
    );
  }
  gpu.dispatch(WRONG, { write: { y }, workgroups: 1 });
  await assertRejects(() => gpu.sync(), KernelError, "Cannot compile wrong");
});

Deno.test("an exception while something is made leaves no error scope open", async () => {
  await using own = await openGpu();
  let broken: string | undefined;
  const device = new Proxy(own.device, {
    get(target, name): unknown {
      if (name === broken) {
        return () => {
          throw new TypeError("no");
        };
      }
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const gpu = new Gpu(device, own.adapter, { poison: false, owns: false });
  using y = gpu.empty([4]);
  const work = { write: { y }, workgroups: 4 };
  for (broken of ["createShaderModule", "createComputePipeline", "createBindGroup"]) {
    assertThrows(() => gpu.dispatch(FILL, work), TypeError, "no");
  }
  broken = "createBuffer";
  assertThrows(() => gpu.empty([999]), TypeError, "no");
  broken = undefined;
  gpu.dispatch(WRONG, work);
  await assertRejects(() => gpu.sync(), KernelError, "Cannot compile wrong");
  gpu.dispatch(FILL, work);
  assertEquals([...await y.read()], [1, 1, 1, 1]);
});

Deno.test("what is over a limit is refused with the limit's name", async () => {
  const gpu = await testGpu();
  assertThrows(() => gpu.tensor([2 ** 31]), RangeError, "maxBufferSize");
  using y = gpu.empty([4]);
  assertThrows(
    () => gpu.dispatch(FILL, { write: { y }, workgroups: [1, 70_000] }),
    RangeError,
    "maxComputeWorkgroupsPerDimension",
  );
  const limited = await openGpu();
  await using _ = limited;
  const bytes = limited.device.limits.maxStorageBufferBindingSize;
  using large = limited.empty([bytes / 4 + 1]);
  assertThrows(
    () => limited.dispatch(FILL, { write: { y: large }, workgroups: 1 }),
    RangeError,
    "maxStorageBufferBindingSize",
  );
});

Deno.test("an output that no kernel wrote is NaN in tests, and a new tensor is zeros", async () => {
  const gpu = await testGpu();
  using y = gpu.empty([3]);
  gpu.dispatch(FILL, { write: { y }, workgroups: 2 });
  assertEquals([...await y.read()], [1, 1, NaN]);
  using zeros = gpu.tensor([3]);
  assertEquals([...await zeros.read()], [0, 0, 0]);
});

Deno.test("openGpu() checks its options by name and range", async () => {
  const cases: [options: object, message: string][] = [
    [{ poisn: true }, "Cannot run openGpu() as it has no option poisn: did you mean poison?"],
    [{ power: "low" }, "its options are device, powerPreference, memory, binding, poison"],
    [{ poison: 1 }, "poison must be true or false: current value is 1"],
    [{ powerPreference: "low" }, "powerPreference must be one of high-performance, low-power"],
    [{ memory: 0 }, "memory must be a number of bytes greater than 0: current value is 0"],
    [{ memory: NaN }, "memory must be a number of bytes greater than 0: current value is NaN"],
    [{ device: null }, "device must be a GPUDevice: current value is null"],
  ];
  for (const [options, message] of cases) {
    await assertRejects(() => openGpu(options), RangeError, message);
  }
});

Deno.test("memory is counted, and given back when the last view is disposed of", async () => {
  await using gpu = await openGpu();
  const tensor = gpu.tensor([1000]);
  const held = gpu.memory.current;
  const view = tensor.reshape([10, 100]);
  tensor[Symbol.dispose]();
  assertEquals(gpu.memory.current, held);
  assertThrows(() => tensor.allocation, Error, "it was disposed of");
  view[Symbol.dispose]();
  assertEquals([gpu.memory.current, gpu.memory.peak], [0, held]);
});

Deno.test("copies lie within both tensors, f16 on whole 4 bytes", async () => {
  const gpu = await testGpu();
  using source = gpu.tensor([4], [1, 2, 3, 4]);
  using destination = gpu.tensor([4]);
  gpu.copy(source, destination, { sourceOffset: 1, destinationOffset: 2, elements: 2 });
  assertEquals([...await destination.read()], [0, 0, 2, 3]);
  assertThrows(() => gpu.copy(source, destination, { destinationOffset: 1 }), RangeError, "at 1");
  using halves = gpu.tensor([4], [1, 2, 3, 4], "f16");
  using others = gpu.tensor([4], [5, 6, 7, 8], "f16");
  assertThrows(() => gpu.copy(halves, others, { elements: 1 }), RangeError, "even numbers");
});

Deno.test("tensors that are read at once are mapped once, and may be gone meanwhile", async () => {
  const gpu = await testGpu();
  const kinds = ["f32", "u32", "f16"] as const;
  const counts = [3, 100, 5, 64, 1]; // whole buffers and parts
  const tensors = counts.map((count, i) =>
    gpu.tensor([count], Array.from({ length: count }, (_, j) => 100 * i + j), kinds[i % 3])
  );
  const { mapAsync } = GPUBuffer.prototype;
  let mapped = 0;
  GPUBuffer.prototype.mapAsync = function (...of): Promise<undefined> {
    mapped++;
    return mapAsync.apply(this, of);
  };
  try {
    const reading = gpu.read<DataType>(tensors);
    for (const tensor of tensors) tensor[Symbol.dispose]();
    using other = gpu.tensor([3], [7, 7, 7]); // where the first was
    const values = await reading;
    values.forEach((elements, i) => {
      assertEquals([...elements], Array.from({ length: counts[i] }, (_, j) => 100 * i + j));
    });
    assertEquals(mapped, 1);
    assertEquals([...await other.read()], [7, 7, 7]);
    assertEquals(await gpu.read([]), []);
  } finally {
    GPUBuffer.prototype.mapAsync = mapAsync;
  }
});

Deno.test("a profile counts dispatches by kernel", async () => {
  const gpu = await testGpu();
  using y = gpu.empty([4]);
  gpu.startProfile();
  for (let i = 0; i < 3; i++) gpu.dispatch(FILL, { write: { y }, workgroups: 4 });
  const [time] = await gpu.stopProfile();
  assertEquals([time.label, time.dispatches], ["fill", 3]);
  assert(time.milliseconds >= 0);
  assertEquals(await gpu.stopProfile(), []);
});

Deno.test("a device that is lost is said so, with what to do", async () => {
  await using gpu = await openGpu();
  using y = gpu.empty([4]);
  gpu.device.destroy();
  await assertRejects(() => y.read(), DeviceLostError, "--resume");
  assertThrows(() => gpu.tensor([1]), DeviceLostError);
});

Deno.test("a device may be shared, and stays open", async () => {
  const gpu = await testGpu();
  {
    await using shared = await openGpu({ device: gpu.device });
    using y = shared.empty([2]);
    shared.dispatch(FILL, { constants: { VALUE: 3 }, write: { y }, workgroups: 2 });
    assertEquals([...await y.read()], [3, 3]);
  }
  using still = gpu.tensor([1], [5]);
  assertEquals([...await still.read()], [5]);
});
