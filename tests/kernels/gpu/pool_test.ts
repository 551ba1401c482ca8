import { assert, assertEquals, assertRejects } from "@std/assert";
import { BufferPool } from "../../../kernels/gpu/pool.ts";
import { openGpu } from "../../../kernels/gpu/mod.ts";

/** A device whose allocations fail past some bytes, as no software adapter's do. */
function smallDevice(device: GPUDevice, room: number): GPUDevice {
  const errors: (GPUError | null)[] = [];
  let left = room;
  return new Proxy(device, {
    get(_, name): unknown {
      if (name === "pushErrorScope") {
        return (filter: string): void => {
          device.pushErrorScope(filter as GPUErrorFilter);
          if (filter === "out-of-memory") errors.push(null);
        };
      }
      if (name === "createBuffer") {
        return (descriptor: GPUBufferDescriptor): GPUBuffer => {
          left -= descriptor.size;
          if (left < 0 && errors.length > 0) {
            errors[errors.length - 1] = { message: "no memory" } as GPUError;
          }
          return device.createBuffer(descriptor);
        };
      }
      if (name === "popErrorScope") {
        return async (): Promise<GPUError | null> => {
          const refused = errors.pop();
          return await device.popErrorScope() ?? refused ?? null;
        };
      }
      const value = Reflect.get(device, name, device);
      return typeof value === "function" ? value.bind(device) : value;
    },
  });
}

Deno.test("memory that the GPU refuses is an error with the bytes, at the next wait", async () => {
  await using own = await openGpu();
  const outcomes: Promise<Error | undefined>[] = [];
  const pool = new BufferPool(smallDevice(own.device, 5000), (refused) => outcomes.push(refused));
  pool.take(4096, [1024]);
  pool.take(1024, [256]);
  const [fits, refused] = await Promise.all(outcomes);
  assertEquals(fits, undefined);
  assert(refused instanceof RangeError);
  assertEquals(
    refused.message,
    "Cannot make a tensor of shape [256] as the GPU has no memory for its 1024 bytes beside the 4096 that are held: read fewer tokens at once, or load the model in f16",
  );
  await using gpu = await openGpu({ device: smallDevice(own.device, 5000) });
  using _first = gpu.tensor([1024]);
  await gpu.sync();
  using second = gpu.tensor([1024]);
  await assertRejects(() => second.read(), RangeError, "4096 bytes beside the 4096 that are held");
});
