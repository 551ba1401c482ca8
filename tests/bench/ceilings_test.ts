import { assert, assertEquals } from "@std/assert";
import { fmaCeiling, measureCeilings } from "../../bench/ceilings.ts";
import { measure } from "../../bench/measure.ts";
import { assertClose, testGpu } from "../testing.ts";

Deno.test("fmaCeiling() does the operations that it counts", async () => {
  const gpu = await testGpu();
  const ceiling = fmaCeiling(gpu, 2 ** 20);
  using sums = ceiling.sums;
  ceiling.run();
  const [invocations, width] = sums.shape;
  const actual = await sums.read();
  const expected = new Float64Array(sums.size);
  let flops = 0;
  for (let invocation = 0; invocation < invocations; invocation++) {
    for (let chain = 0; chain < ceiling.chains; chain++) {
      let value = invocation % 1024 + chain;
      for (let step = 0; step < ceiling.steps; step++) {
        value = value * ceiling.factor + ceiling.addend;
        flops += 2;
      }
      expected[invocation * width + chain % width] += value;
    }
  }
  assertEquals(ceiling.flops, flops);
  assertClose(actual, expected, 1e-5, "sums");
});

Deno.test("measure() gives longer work a longer time", async () => {
  const gpu = await testGpu();
  const short = fmaCeiling(gpu, 2 ** 27);
  const long = fmaCeiling(gpu, 2 ** 31);
  using _short = short.sums;
  using _long = long.sums;
  const options = { sampleMilliseconds: 30, samples: 2 };
  const shortTime = await measure(gpu, short.run, options);
  assert(await measure(gpu, long.run, options) > 2 * shortTime); // 16 times the work
});

Deno.test("measureCeilings() gives rates", async () => {
  const { flopsPerSecond, bytesPerSecond } = await measureCeilings(await testGpu());
  assert(flopsPerSecond > 1e8 && Number.isFinite(flopsPerSecond), `${flopsPerSecond}`);
  assert(bytesPerSecond > 1e7 && Number.isFinite(bytesPerSecond), `${bytesPerSecond}`);
});
