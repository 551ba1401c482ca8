import { assert } from "@std/assert";
import { fmaCeiling } from "../../../bench/ceilings.ts";
import { copyWork, measureCopyBandwidth, timeWork } from "../../../kernels/gpu/mod.ts";
import { assertClose, testGpu } from "../../testing.ts";

Deno.test("timeWork() counts the work, and not the wait for its promise", async () => {
  const gpu = await testGpu();
  const { run, sums } = fmaCeiling(gpu, 2 ** 33);
  using _sums = sums;
  await timeWork(gpu, run);
  const start = performance.now();
  const counted = await timeWork(gpu, run);
  const whole = performance.now() - start;
  assert(counted > 0.3 * whole && counted < whole, `${counted} of ${whole} ms`);
  const nothing = await timeWork(gpu, () => {});
  assert(nothing < 0.3 * counted, `${nothing} of ${counted} ms`);
});

Deno.test("copyWork() copies what it counts, and the bandwidth is that of copies", async () => {
  const gpu = await testGpu();
  const { run, bytes, tensors } = copyWork(gpu);
  const [source, destination] = tensors;
  using _source = source;
  using _destination = destination;
  gpu.write(source, Float32Array.from({ length: source.size }, (_, i) => i % 1021 - 500));
  run();
  assertClose(await destination.read(), Float64Array.from(await source.read()), 1e-12, "the copy");
  assert(bytes === source.bytes + destination.bytes);
  const before = gpu.memory.current;
  const rate = await measureCopyBandwidth(gpu);
  assert(gpu.memory.current === before);
  assert(rate > 1e7 && Number.isFinite(rate), `${rate}`);
});
