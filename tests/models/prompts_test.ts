import { assert, assertEquals, assertRejects } from "@std/assert";
import { DeviceLostError, Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import { IGNORED } from "../../kernels/loss/mod.ts";
import {
  architecture,
  type Batch,
  Model,
  type ModelConfiguration,
  type Scores,
  Variable,
} from "../../models/mod.ts";
import { mixersOf } from "../../models/layers.ts";
import { mostTokens } from "../../models/segments.ts";
import { ModelState } from "../../models/state.ts";
import { testGpu, testKernel, uniforms } from "../testing.ts";
import { configurations, tokensOf, VOCABULARY } from "./every_mixer.ts";

/** A batch in which other numbers of tokens are due for each seed, at least one. */
function batchOf(seed: number, batch: number, time: number): Batch {
  const tokens = tokensOf(seed, batch * time);
  const asked = uniforms(seed + 100, batch * time, 0, 1);
  const labels = tokensOf(seed + 200, batch * time)
    .map((label, i) => asked[i] < 0.1 * seed || i === seed ? label : IGNORED);
  return { batch, time, tokens, labels };
}

/** A GPU of bindings so small that a model's segments are short. */
async function smallBindings(configuration: ModelConfiguration): Promise<Gpu> {
  const { device, adapter } = await testGpu();
  for (let binding = 2 ** 16;; binding *= 2) {
    const gpu = new Gpu(device, adapter, { poison: true, owns: false, binding });
    if (mostTokens(gpu, configuration) >= 100) return gpu;
  }
}

/** Counts the kernels that are dispatched one by one. */
function counted(gpu: Gpu): { dispatches: number } {
  const { dispatch } = gpu;
  const count = { dispatches: 0 };
  gpu.dispatch = function (this: Gpu, ...args: Parameters<typeof dispatch>): void {
    count.dispatches++;
    dispatch.apply(this, args);
  };
  return count;
}

for (const configuration of configurations()) {
  const { family } = configuration;
  Deno.test(`${family}: prompts that are replayed have the bits of those that are read`, async () => {
    await using gpu = await smallBindings(configuration);
    using model = new Model(gpu, configuration, { seed: 7 });
    const count = counted(gpu);
    const [one, three] = [1, 3].map((batch) => model.segmentTokens(batch));
    assert(one <= 512, `segments of ${one}`);
    // One segment; two and a shorter one; two and one of a token, which has kernels of its own.
    for (const [batch, time] of [[1, 40], [1, 2 * one + 23], [3, 20], [3, 2 * three + 1]]) {
      const batches = [1, 2, 3].map((seed) => batchOf(seed, batch, time));
      const scores: Scores[] = [];
      let dispatches = 0;
      for (const each of batches) {
        count.dispatches = 0;
        scores.push(await model.score(each, { predictions: true }));
        if (each === batches[0]) dispatches = count.dispatches;
      }
      assert(count.dispatches < dispatches / 2, `${count.dispatches} of ${dispatches}`);
      for (const [i, each] of batches.entries()) {
        const unrecorded = await model.score(each, { predictions: true, record: false });
        assertEquals(scores[i], unrecorded, `${batch} × ${time}, batch ${i}`);
        assert(unrecorded.nll.length > 0 && unrecorded.nll.every(Number.isFinite));
      }
    }
  });
}

/** What is there behind a long prompt, and behind one that continues from it, and what it dispatched. */
async function prefilled(
  model: Model,
  record: boolean,
): Promise<{ values: Float32Array[]; positions: number[]; dispatches: number }> {
  const { gpu } = model;
  const segment = model.segmentTokens();
  const count = counted(gpu);
  const values: Float32Array[] = [];
  const positions: number[] = [];
  let state: ModelState | undefined;
  for (const time of [6 * segment + 9, 4 * segment + 1, 5]) {
    const read = model.prefill(tokensOf(time, time), state, { record });
    const states = read.state.take();
    positions.push(...states.map(({ position }) => position));
    const tensors = states.flatMap(({ tensors }) => Object.values(tensors));
    values.push(...await gpu.read([read.logits, ...tensors.map(({ tensor }) => tensor)]));
    read.logits[Symbol.dispose]();
    state = new ModelState(states);
  }
  state![Symbol.dispose]();
  return { values, positions, dispatches: count.dispatches };
}

for (const configuration of configurations()) {
  const { family } = configuration;
  const mixers = configuration.layers.flatMap(mixersOf);
  if (mixers.some(({ kind }) => kind === "attention")) continue; // its state grows
  Deno.test(`${family}: segments of a long prompt that are replayed leave the bits of those that are read`, async () => {
    await using gpu = await smallBindings(configuration);
    using model = new Model(gpu, configuration, { seed: 9 });
    const unrecorded = await prefilled(model, false);
    const before = gpu.memory.current;
    const recorded = await prefilled(model, true);
    assertEquals(gpu.memory.current, before);
    assertEquals(recorded.values, unrecorded.values);
    assertEquals(recorded.positions, unrecorded.positions);
    assert(recorded.values.length > 6);
    // Of ten whole segments one is read, two are recorded.
    assert(recorded.dispatches < 0.7 * unrecorded.dispatches, `${recorded.dispatches}`);
  });
}

const configurationOf = (name: string): ModelConfiguration =>
  architecture(name, { vocabulary: VOCABULARY, width: 32 });
const small = (name: string, gpu: Gpu): Model => new Model(gpu, configurationOf(name), { seed: 3 });

for (const name of ["transformer", "gla", "gated-deltanet"]) {
  Deno.test(`${name}: memory is flat over replays, and goes with the shape and the model`, async () => {
    await using gpu = await openGpu();
    const one = batchOf(1, 2, 50);
    const other = batchOf(2, 3, 20);
    let before = 0;
    for (let round = 0; round < 2; round++) { // what is kept for a GPU is made in the first
      before = gpu.memory.current;
      using model = small(name, gpu);
      const held = gpu.memory.current;
      await model.score(one);
      await model.score(other, { record: false });
      if (round === 1) assertEquals(gpu.memory.current, held);
      await model.score(one);
      await model.score(one);
      const recorded = gpu.memory.current;
      assert(recorded > held);
      if (round === 0) continue;
      const rss = Deno.memoryUsage().rss;
      for (let i = 0; i < 100; i++) await model.score(one);
      assertEquals(gpu.memory.current, recorded);
      assert(Deno.memoryUsage().rss - rss < 32 * 2 ** 20);
      gpu.resetPeak();
      await model.score(one, { record: false });
      await model.score(other);
      assertEquals(gpu.memory.current, held);
      await model.score(other);
      assert(gpu.memory.current > held);
    }
    assertEquals(gpu.memory.current, before);
  });
}

Deno.test("room is looked for, and peaks are measured, without what other shapes have recorded", async () => {
  const { device } = await testGpu();
  await using gpu = await openGpu({ device, memory: 2 ** 40 });
  using model = small("transformer", gpu);
  const peakOf = async (batch: Batch): Promise<number> => {
    model.checkRoom(batch.time, batch.batch);
    gpu.resetPeak();
    await model.score(batch);
    return gpu.memory.peak;
  };
  const [short, long] = [batchOf(1, 2, 20), batchOf(2, 2, 64)];
  const first = await peakOf(short);
  const held = gpu.memory.current;
  for (let i = 0; i < 3; i++) await peakOf(long);
  assert(gpu.memory.current > held);
  assertEquals(await peakOf(short), first);

  // With as much room as one of them needs.
  for (let i = 0; i < 3; i++) await peakOf(long);
  const recorded = gpu.memory.current - held;
  let limit = 2 ** 40;
  Object.defineProperty(gpu, "memory", {
    get: () => ({
      ...Object.getOwnPropertyDescriptor(Gpu.prototype, "memory")!.get!.call(gpu),
      limit,
    }),
  });
  let least = held;
  for (limit = held; limit < held + 2 ** 26; limit += 2 ** 12) {
    try {
      model.checkRoom(long.time, long.batch); // of the shape that is recorded
      least = limit;
      break;
    } catch (error) {
      assert(error instanceof RangeError);
    }
  }
  assert(least >= held + recorded - 2 ** 12, "what is recorded is counted once");
  assertEquals(gpu.memory.current, held + recorded);
  model.checkRoom(short.time, short.batch);
  assertEquals(gpu.memory.current, held);
});

Deno.test("nothing is recorded that is of too many parts, or that there is no room for", async () => {
  const [changed] = configurations();
  await using gpu = await smallBindings(changed);
  using model = new Model(gpu, changed, { seed: 5 });
  for (const [segments, recorded] of [[16, true], [17, false]] as const) {
    const batch = batchOf(1, 1, segments * model.segmentTokens());
    await model.score(batch);
    const { current } = gpu.memory;
    await model.score(batch);
    assertEquals(gpu.memory.current > current, recorded, `${segments} segments`);
  }
  await using narrow = await openGpu({ device: gpu.device, memory: 2 ** 27 });
  using other = small("gla", narrow);
  await other.score(batchOf(1, 1, 20));
  const { current } = narrow.memory;
  for (let i = 0; i < 2; i++) await other.score(batchOf(1, 1, 20));
  assertEquals(narrow.memory.current, current);
});

testKernel("parameters that change in place change replays, and a NaN in one is told", async () => {
  const gpu = await testGpu();
  using model = small("mamba2", gpu);
  const batch = batchOf(2, 2, 30);
  for (let i = 0; i < 3; i++) await model.score(batch);
  const { tensor } = model.parameters.get("norm.weight")!;
  const values = await tensor.read();
  for (const factor of [2, NaN, 1]) {
    tensor.write(values.map((value) => factor * value));
    const replayed = await model.score(batch);
    assertEquals(replayed, await model.score(batch, { record: false }));
    assertEquals(replayed.nll.every(Number.isNaN), Number.isNaN(factor));
  }
});

Deno.test("parameters that are replaced or gone are not replayed", async () => {
  const gpu = await testGpu();
  using model = small("hgrn2", gpu);
  const batch = batchOf(2, 2, 30);
  for (let i = 0; i < 3; i++) await model.score(batch);
  const before = model.parameters.get("norm.weight")!.tensor;
  const doubled = new Variable(gpu.tensor(before.shape, new Float32Array(before.size).fill(2)));
  (model.parameters as Map<string, Variable>).set("norm.weight", doubled);
  before[Symbol.dispose]();
  const expected = await model.score(batch, { record: false });
  for (let i = 0; i < 3; i++) assertEquals(await model.score(batch), expected);
  doubled.tensor[Symbol.dispose]();
  await assertRejects(() => model.score(batch), Error, "as it was disposed of");
});

Deno.test("batches that are scored at once do not disturb one another", async () => {
  const gpu = await smallBindings(configurationOf("griffin"));
  using model = small("griffin", gpu);
  const batches = [1, 2, 3, 1].map((seed, i) => batchOf(seed, 2, i === 3 ? 50 : 200));
  const expected: Scores[] = [];
  for (const batch of batches) expected.push(await model.score(batch, { record: false }));
  for (let round = 0; round < 3; round++) {
    await model.score(batches[0]);
    assertEquals(await Promise.all(batches.map((batch) => model.score(batch))), expected);
  }
});

Deno.test("a signal ends a replay between two segments, and the next one is whole", async () => {
  const gpu = await smallBindings(configurationOf("gla"));
  using model = small("gla", gpu);
  const batch = batchOf(1, 1, 24 * model.segmentTokens(1));
  const expected = await model.score(batch, { record: false });
  const { current } = gpu.memory;
  for (let i = 0; i < 2; i++) await model.score(batch);
  const count = counted(gpu);
  assertEquals(await model.score(batch), expected);
  const whole = count.dispatches;
  const stop = new AbortController();
  setTimeout(() => stop.abort());
  count.dispatches = 0;
  const error = await assertRejects(() => model.score(batch, { signal: stop.signal }));
  assertEquals(error, stop.signal.reason);
  assert(count.dispatches < whole, `${count.dispatches} of ${whole}`);
  assertEquals(gpu.memory.current, current);
  for (let i = 0; i < 3; i++) assertEquals(await model.score(batch), expected);
});

Deno.test("a device that is lost is told in a replay", async () => {
  await using gpu = await openGpu();
  const model = small("transformer", gpu);
  const batch = batchOf(1, 1, 20);
  for (let i = 0; i < 3; i++) await model.score(batch);
  gpu.device.destroy();
  await gpu.device.lost;
  await assertRejects(() => model.score(batch), DeviceLostError);
  model[Symbol.dispose]();
});
