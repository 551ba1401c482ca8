/** What attention equals without a reference: itself in parts; its ends; and what it refuses. */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { type Gpu, openGpu, type Tensor } from "../../../kernels/gpu/mod.ts";
import {
  type AttentionOptions,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
} from "../../../kernels/attention/mod.ts";
import {
  attentionBackwardReference,
  attentionReference,
} from "../../../kernels/attention/reference.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

/** A tensor of the rows `from` … `to` of one sequence. */
function rows(gpu: Gpu, elements: Float32Array, shape: number[], from: number, to: number): Tensor {
  const row = shape[1] * shape[2];
  return gpu.tensor([1, to - from, ...shape.slice(1)], elements.slice(from * row, to * row));
}

const T = 100;
const HEADS = 2;
const DIM = 16;
const ROW = HEADS * DIM;
const SEQUENCE = [T, HEADS, DIM];

async function sequence(): Promise<{
  gpu: Gpu;
  elements: Float32Array[];
  whole: Record<"query" | "key" | "value", Tensor>;
}> {
  const gpu = await testGpu();
  const elements = [1, 2, 3].map((seed) => normals(seed, T * ROW));
  const [query, key, value] = elements.map((x) => gpu.tensor([1, ...SEQUENCE], x));
  return { gpu, elements, whole: { query, key, value } };
}

testKernel(
  "flashAttention() with a window as wide as the sequence equals full causal attention",
  async () => {
    const { gpu, whole } = await sequence();
    const full = await flashAttention(gpu, whole).output.read();
    for (const window of [T, T + 1, 1e12]) {
      assertEquals(await flashAttention(gpu, whole, { window }).output.read(), full);
    }
    const narrower = await flashAttention(gpu, whole, { window: T - 1 }).output.read();
    assertEquals(narrower.slice(0, (T - 1) * ROW), full.slice(0, (T - 1) * ROW));
    assertNotEquals(narrower, full);
  },
);

testKernel("flashAttention() of packed segments equals a call for each", async () => {
  const { gpu, elements, whole } = await sequence();
  const segments = [0, 37, 37, 38, T];
  const packed = await flashAttention(gpu, whole, { segments }).output.read();
  for (let i = 1; i < segments.length; i++) {
    const [from, to] = [segments[i - 1], segments[i]];
    const [query, key, value] = elements.map((x) => rows(gpu, x, SEQUENCE, from, to));
    const alone = await flashAttention(gpu, { query, key, value }).output.read();
    assertClose(packed.slice(from * ROW, to * ROW), alone, 1e-6, `segment ${i}`);
  }
});

testKernel("flashAttention() segment by segment after a cache equals the whole", async () => {
  const { gpu, elements, whole } = await sequence();
  for (const options of [{}, { window: 20 }, { window: 20, sinks: 3 }]) {
    const expected = await flashAttention(gpu, whole, options).output.read();
    for (const [from, to] of [[0, 33], [33, 34], [34, T]]) {
      const query = rows(gpu, elements[0], SEQUENCE, from, to);
      const { output } = flashAttention(gpu, { ...whole, query }, {
        ...options,
        keyLength: to,
        queryOffset: from,
      });
      const part = expected.slice(from * ROW, to * ROW);
      assertClose(await output.read(), part, 1e-6, `steps ${from} to ${to}`);
    }
  }
});

testKernel("flashAttentionStep() at every length equals flashAttention()", async () => {
  const { gpu, elements, whole } = await sequence();
  for (const options of [{}, { window: 20 }, { window: 20, sinks: 3 }]) {
    const expected = await flashAttention(gpu, whole, options).output.read();
    const outputs = Array.from({ length: T }, (_, t) => {
      using query = rows(gpu, elements[0], SEQUENCE, t, t + 1);
      return flashAttentionStep(gpu, { ...whole, query }, { ...options, keyLength: t + 1 }).output;
    });
    const steps = (await gpu.read(outputs)).flatMap((output) => [...output]);
    assertClose(steps, expected, 1e-6, `steps with ${JSON.stringify(options)}`);
  }
});

testKernel("flashAttentionStep() from a ring of window rows equals a window", async () => {
  const { gpu, elements, whole } = await sequence();
  const window = 20;
  const expected = await flashAttention(gpu, whole, { window }).output.read();
  const [key, value] = [1, 2].map((index) => {
    const ring = new Float32Array(window * ROW);
    for (let t = 0; t < T; t++) {
      ring.set(elements[index].subarray(t * ROW, (t + 1) * ROW), t % window * ROW);
    }
    return gpu.tensor([1, window, HEADS, DIM], ring);
  });
  const query = rows(gpu, elements[0], SEQUENCE, T - 1, T);
  const { output } = flashAttentionStep(gpu, { query, key, value });
  assertClose(await output.read(), expected.slice(-ROW), 1e-6, "the last step");
});

testKernel("attention gives the same bits at every run", async () => {
  const { gpu, whole } = await sequence();
  const run = async (): Promise<ArrayLike<number>[]> => {
    const { output, logSumExp } = flashAttention(gpu, whole);
    const inputs = { ...whole, output, logSumExp, outputGradient: output };
    const gradients = flashAttentionBackward(gpu, inputs);
    return await gpu.read([output, ...Object.values(gradients)]);
  };
  assertEquals(await run(), await run());
});

testKernel("attention never reads the spare rows of a key buffer", async () => {
  const { gpu, elements, whole } = await sequence();
  const keyLength = 41;
  const spoil = (x: Float32Array): Tensor =>
    gpu.tensor([1, ...SEQUENCE], x.map((element, i) => i < keyLength * ROW ? element : NaN));
  const spoiled = { key: spoil(elements[1]), value: spoil(elements[2]) };
  for (const algorithm of ["rows", "tiles", "wide"] as const) {
    const results = await Promise.all([whole, spoiled].map((keys) => {
      const inputs = { ...whole, ...keys };
      const options = { keyLength, queryOffset: 0, algorithm };
      const { output, logSumExp } = flashAttention(gpu, inputs, options);
      const gradients = flashAttentionBackward(
        gpu,
        { ...inputs, output, logSumExp, outputGradient: whole.value },
        options,
      );
      const query = rows(gpu, elements[0], SEQUENCE, 0, 1);
      const step = flashAttentionStep(gpu, { ...inputs, query }, { keyLength });
      return gpu.read([output, ...Object.values(gradients), step.output]);
    }));
    assertEquals(results[1], results[0]);
    assert(results[1].every((values) => values.every(Number.isFinite)));
    assert(results[1][2].subarray(keyLength * ROW).every((gradient) => gradient === 0));
  }
});

// SwiftShader takes minutes for so many tiles.
Deno.test("attention is right at the end of 32,768 steps with a window", async () => {
  const gpu = await testGpu();
  const [length, window, checked] = [32_768, 64, 48];
  const shape = [1, length, 1, DIM];
  const elements = [1, 2, 3, 4].map((seed) => normals(seed, length * DIM));
  const [query, key, value, outputGradient] = elements.map((x) => gpu.tensor(shape, x));
  const { output, logSumExp } = flashAttention(gpu, { query, key, value }, { window });
  const gradients = flashAttentionBackward(
    gpu,
    { query, key, value, output, logSumExp, outputGradient },
    { window },
  );
  const actual = (await gpu.read([output, ...Object.values(gradients)])).map((values) => {
    assert(values.every(Number.isFinite));
    return values.slice(-checked * DIM);
  });
  // The last queries see no key before these; the last keys are seen by no query before these.
  const [q, dy] = [0, 3].map((i) => elements[i].slice(-checked * DIM));
  const keyTime = checked + window - 1;
  const [k, v] = [1, 2].map((i) => elements[i].slice(-keyTime * DIM));
  const reference = {
    batch: 1,
    queryTime: checked,
    keyTime,
    heads: 1,
    keyHeads: 1,
    dim: DIM,
    valueDim: DIM,
    window,
  };
  const expected = attentionReference({ query: q, key: k, value: v }, reference).output;
  const backward = attentionBackwardReference(
    { query: q, key: k, value: v, outputGradient: dy },
    reference,
  );
  assertClose(actual[0], expected, 1e-5, "output");
  assertClose(actual[1], backward.queryGradient, 1e-4, "queryGradient");
  assertClose(actual[2], backward.keyGradient.slice(-checked * DIM), 1e-4, "keyGradient");
  assertClose(actual[3], backward.valueGradient.slice(-checked * DIM), 1e-4, "valueGradient");
});

testKernel("attention takes empty sequences", async () => {
  const gpu = await testGpu();
  for (const algorithm of ["rows", "tiles", "wide"] as const) {
    const query = gpu.tensor([1, 3, 2, 16], normals(1, 96));
    const none = gpu.tensor([1, 0, 2, 16]);
    const { output, logSumExp } = flashAttention(gpu, { query, key: none, value: none }, {
      algorithm,
    });
    assertEquals(await output.read(), new Float32Array(96));
    const gradients = flashAttentionBackward(
      gpu,
      { query, key: none, value: none, output, logSumExp, outputGradient: query },
      { algorithm },
    );
    assertEquals(await gradients.queryGradient.read(), new Float32Array(96));
    assertEquals(gradients.keyGradient.shape, [1, 0, 2, 16]);
    const nothing = flashAttention(gpu, { query: none, key: query, value: query }, { algorithm });
    assertEquals(nothing.output.shape, [1, 0, 2, 16]);
    const nothings = flashAttentionBackward(
      gpu,
      { query: none, key: query, value: query, ...nothing, outputGradient: none },
      { algorithm },
    );
    assertEquals(await nothings.keyGradient.read(), new Float32Array(96));
    assertEquals(await nothings.valueGradient.read(), new Float32Array(96));
  }
});

testKernel("attention refuses what does not fit", async () => {
  const gpu = await testGpu();
  const tensor = (...shape: number[]): Tensor => gpu.tensor(shape);
  const query = tensor(1, 4, 4, 16);
  const key = tensor(1, 4, 2, 16);
  const refuses = (
    inputs: Partial<Record<"query" | "key" | "value", Tensor>>,
    options: AttentionOptions,
    message: string,
  ): void => {
    const given = { query, key, value: key, ...inputs };
    assertThrows(() => flashAttention(gpu, given, options), RangeError, message);
  };
  refuses({ query: tensor(4, 4, 16) }, {}, "query must have shape [batch, queryTime, heads, dim]");
  refuses(
    { key: tensor(1, 4, 2, 15) },
    {},
    "Cannot run flashAttention() as key must have shape [1,4,2,16]: current shape is [1,4,2,15]",
  );
  refuses({ value: tensor(1, 5, 2, 16) }, {}, "value must have shape [1,4,2,16]");
  refuses(
    { key: tensor(1, 4, 3, 16), value: tensor(1, 4, 3, 16) },
    {},
    "the number of key heads must divide that of query heads, 4: current number is 3",
  );
  refuses({ value: tensor(1, 4, 2, 300) }, {}, "valueDim must be from 1 to 256");
  refuses({}, { window: 0 }, "window must be a positive integer");
  refuses({}, { window: 2, causal: false }, "a window is causal: leave out causal: false");
  refuses({}, { keyLength: 5 }, "keyLength must be an integer from 0 to 4");
  refuses({}, { softCap: 0 }, "softCap must be a finite number greater than 0: current value is 0");
  refuses({}, { alibiSlopes: tensor(3) }, "alibiSlopes must have shape [4]");
  refuses({}, { segments: [0, 3] }, "segments must ascend from 0 to 4: current segments are [0,3]");
  refuses({}, { segments: [0, 3, 2, 4] }, "segments must ascend from 0 to 4");
  refuses({}, { segments: [0, 4], queryOffset: 1 }, "segments take a batch of 1");
  assertThrows(
    () => flashAttentionStep(gpu, { query, key, value: key }),
    RangeError,
    "query must hold one time step: current number is 4; flashAttention() takes several",
  );
  const { output, logSumExp } = flashAttention(gpu, { query, key, value: key });
  assertThrows(
    () =>
      flashAttentionBackward(gpu, {
        query,
        key,
        value: key,
        output,
        logSumExp,
        outputGradient: tensor(1, 4, 4, 8),
      }),
    RangeError,
    "Cannot run flashAttentionBackward() as outputGradient must have shape [1,4,4,16]",
  );
});

Deno.test("attention refuses wide tiles where a device lacks the workgroup memory", async () => {
  const device = await (await navigator.gpu.requestAdapter())!.requestDevice();
  await using gpu = await openGpu({ device });
  using query = gpu.tensor([1, 4, 1, 16]);
  assertThrows(
    () => flashAttention(gpu, { query, key: query, value: query }, { algorithm: "wide" }),
    RangeError,
    "Cannot run flashAttention() as wide tiles take 30720 bytes of workgroup memory: the device has 16384",
  );
  device.destroy();
});
