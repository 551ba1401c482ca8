import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import { architecture, Model } from "../../models/mod.ts";
import { paced } from "../../models/pace.ts";
import { createTask, type Sample, smallLayout, type SweepConfiguration } from "../../tasks/mod.ts";
import { ModelSubject } from "../../tasks/subjects/model_subject.ts";
import { makeSamples } from "../../tasks/sweep/asking.ts";
import { CellRunner } from "../../tasks/sweep/cell_runner.ts";
import { checkCellRoom } from "../../tasks/sweep/room.ts";
import { tokensOf } from "../models/every_mixer.ts";
import { testGpu } from "../testing.ts";

/** Tokens of a prompt of many segments. */
const LENGTH = 2 ** 15;
const CONFIGURATION: SweepConfiguration = {
  name: "long",
  models: [],
  tasks: ["passkey"],
  lengths: [LENGTH],
  depths: [],
  loads: [],
  seeds: [0],
  samples: 1,
};

/** A model whose segments are short, as its GPU's bindings are small. */
async function smallModel(family: string): Promise<{ gpu: Gpu; model: Model }> {
  const { device } = await testGpu();
  const gpu = await openGpu({ device, binding: 2 ** 16, memory: 2 ** 40 });
  const configuration = architecture(family, { vocabulary: 64, width: 32, layers: 1 });
  return { gpu, model: new Model(gpu, configuration, { seed: 1 }) };
}

/**
 * Has a signal given after the first segment that is queued; counts the segments: twice those that are
 * replayed, whose positions are written too.
 */
function stopAfterFirst(gpu: Gpu, model: Model): { signal: AbortSignal; segments: () => number } {
  const stop = new AbortController();
  const { write } = gpu;
  let segments = 0;
  gpu.write = function (this: Gpu, ...args: Parameters<typeof write>): void {
    const [{ shape: [batch, time], dtype }] = args;
    if (batch === 1 && dtype === "u32" && time === model.segmentTokens()) {
      if (++segments === 1) setTimeout(() => stop.abort());
    }
    write.apply(this, args);
  };
  return { signal: stop.signal, segments: () => segments };
}

for (const family of ["mamba2", "gla"]) {
  Deno.test(`${family}: a signal within a prompt ends the cell between two segments`, async () => {
    const { gpu, model } = await smallModel(family);
    using _model = model;
    const passkey = await createTask("passkey", smallLayout("passkey", false));
    const task = (): Promise<typeof passkey> => Promise.resolve(passkey);
    const card = {
      name: "small",
      family,
      parameters: 1,
      tasks: ["passkey"],
      fingerprint: "",
      task,
    };
    const subject = new ModelSubject(card, model);
    const whole = Math.ceil(LENGTH / model.segmentTokens());
    assert(whole > 40, `${whole} segments`);
    const cell = { model: "small", task: "passkey", length: LENGTH, seed: 0 };
    // Has what is kept for the shape of the last segment made.
    const last = LENGTH % model.segmentTokens() || model.segmentTokens();
    model.forward(new Uint32Array(last))[Symbol.dispose]();
    // Within the sample that is read first, and, where its cost is known, within the batch.
    for (const known of [[], [[LENGTH, { stepMilliseconds: 1, peakBytes: 1 }]]] as const) {
      subject.checkRoom(LENGTH, 1); // reads a few tokens the first time
      const before = gpu.memory.current;
      const { signal, segments } = stopAfterFirst(gpu, model);
      const costs = new Map(known);
      const runner = new CellRunner(subject, CONFIGURATION, { adapter: "", costs, signal });
      const error = await assertRejects(() => runner.run(cell, passkey));
      assertEquals(error, signal.reason);
      assert(segments() >= 1 && segments() <= whole / 2, `${segments()} of ${whole} segments`);
      assertEquals(gpu.memory.current, before);
    }
    const before = gpu.memory.current;
    const tokens = tokensOf(1, LENGTH).map((token) => token % 64);
    for (
      const read of [
        (signal: AbortSignal) => subject.stepMilliseconds(LENGTH, { signal }),
        (signal: AbortSignal) => model.generate(tokens, { maxTokens: 1, signal }),
      ]
    ) {
      const { signal, segments } = stopAfterFirst(gpu, model);
      assertEquals(await assertRejects(() => read(signal)), signal.reason);
      assert(segments() <= whole / 2, `${segments()} of ${whole} segments`);
      assertEquals(gpu.memory.current, before);
    }
  });
}

Deno.test("what is read with a signal that does not come is what is read without", async () => {
  const { model } = await smallModel("mamba2");
  using _model = model;
  const tokens = tokensOf(1, 5000).map((token) => token % 64);
  const { signal } = new AbortController();
  const read = [model.prefill(tokens), await paced(model, model.prefilling(tokens), signal)];
  const [one, other] = await model.gpu.read(read.map(({ logits }) => logits));
  assertEquals(one, other);
  for (const { logits, state } of read) {
    logits[Symbol.dispose]();
    state[Symbol.dispose]();
  }
  const batch = { batch: 1, time: tokens.length, tokens, labels: tokens };
  assertEquals(await model.score(batch, { signal }), await model.score(batch));
});

Deno.test("a signal while samples are made ends the cell behind the sample", async () => {
  const stop = new AbortController();
  let made = 0;
  const sample = (): Sample => {
    made++;
    setTimeout(() => stop.abort());
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150); // as one of many tokens does
    return { tokens: new Uint32Array(1), labels: new Uint32Array(1) };
  };
  const at = [0, 1, 2].map((index) => ({ length: 1, seed: 0, index, split: "test" }) as const);
  const error = await assertRejects(() => makeSamples({ sample }, at, stop.signal));
  assertEquals([error, made], [stop.signal.reason, 1]);
});

Deno.test("a cell is refused by its length, where its samples or what reads them find no room", () => {
  const asked: number[][] = [];
  const subject = { checkRoom: (...of: [number, number]) => void asked.push(of) };
  const size = { count: 3, length: 1000 };
  checkCellRoom(subject, {}, { ...size, free: 3 * 20 * 1000 });
  checkCellRoom(subject, {}, { ...size, free: undefined });
  checkCellRoom(subject, { template: "base" }, { ...size, free: (3 * 12 + 8) * 1000 });
  assertEquals(asked, [[1000, 3], [1000, 3], [1000, 1]]);
  assertThrows(
    () => checkCellRoom(subject, {}, { ...size, free: 3 * 20 * 1000 - 1 }),
    RangeError,
    "Cannot make 3 × 1000 tokens as they take 60000 bytes of memory: the machine has 59999 free",
  );
});
