/**
 * Long sequences stay finite and right: 65,536 steps of every recurrence, 32,768 of attention, against
 * float64 references at both ends.
 */
import {
  deltaRule,
  deltaRuleBackward,
  flashAttention,
  flashAttentionBackward,
  linearAttention,
  linearAttentionBackward,
  rgLru,
  rgLruBackward,
  rwkv7,
  rwkv7Backward,
  scan,
  scanBackward,
  selectiveScan,
  selectiveScanBackward,
} from "../../kernels/mod.ts";
import {
  attentionBackwardReference,
  attentionReference,
} from "../../kernels/attention/reference.ts";
import {
  deltaRuleBackwardReference,
  deltaRuleReference,
  rwkv7BackwardReference,
  rwkv7Reference,
} from "../../kernels/delta_rule/reference.ts";
import {
  linearAttentionBackwardReference,
  linearAttentionReference,
} from "../../kernels/linear_attention/reference.ts";
import {
  rgLruBackwardReference,
  rgLruReference,
  scanBackwardReference,
  scanReference,
  type SelectiveScanArrays,
  selectiveScanBackwardReference,
  selectiveScanReference,
} from "../../kernels/scan/reference.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../testing.ts";
import { assertEnds, elementsOf, type Sequence, tensorsOf, unitRows } from "./sequences.ts";

const TIME = 65_536;
const DIM = 8;
const SCALE = DIM ** -0.5;

/** Gradients may be ten times as far off as outputs and states. */
function bounds(outputs: number): { bound: (name: string) => number } {
  return { bound: (name) => name.endsWith("Gradient") ? 1e-3 : outputs };
}

function rows(seed: number, width: number, scale = 1): Sequence {
  return [[1, TIME, width], normals(seed, TIME * width, scale)];
}

function heads(seed: number, scale = 1): Sequence {
  return [[1, TIME, 1, DIM], normals(seed, TIME * DIM, scale)];
}

function state(seed: number): Sequence {
  return [[1, 1, DIM, DIM], normals(seed, DIM * DIM)];
}

/** Log decays of a head, or of each of its keys: from none to a memory of 1 / |low| steps. */
function logDecays(perKey: boolean, low: number): Sequence {
  const shape = perKey ? [1, TIME, 1, DIM] : [1, TIME, 1];
  return [shape, uniforms(9, TIME * (perKey ? DIM : 1), low, 0)];
}

testKernel("scan() and its gradients are right after 65,536 steps", async () => {
  const gpu = await testGpu();
  const channels = 8;
  const shape = { batch: 1, time: TIME, channels };
  const sequences = {
    decay: [[1, TIME, channels], uniforms(1, TIME * channels, 0.998, 1)],
    input: rows(2, channels),
    initialState: [[1, channels], normals(3, channels)],
    outputGradient: rows(4, channels),
    finalStateGradient: [[1, channels], normals(5, channels)],
  } satisfies Record<string, Sequence | undefined>;
  const { decay, input, initialState, outputGradient, finalStateGradient } = elementsOf(sequences);
  const tensors = tensorsOf(gpu, sequences);
  const expected = scanReference({ decay, input, initialState }, shape);
  const outputs = scan(gpu, tensors);
  const gradients = scanBackward(gpu, { ...tensors, output: outputs.output });
  await assertEnds(gpu, { ...outputs, ...gradients }, {
    ...expected,
    ...scanBackwardReference({
      decay,
      output: expected.output,
      initialState,
      outputGradient,
      finalStateGradient,
    }, shape),
  }, bounds(1e-4));
});

testKernel("rgLru() and its gradients are right after 65,536 steps", async () => {
  const gpu = await testGpu();
  const channels = 8;
  const shape = { batch: 1, time: TIME, channels };
  const sequences = {
    input: rows(1, channels),
    recurrenceGate: rows(2, channels),
    inputGate: rows(3, channels),
    decayParameter: [[channels], uniforms(4, channels, -9, -4)],
    initialState: [[1, channels], normals(5, channels)],
    outputGradient: rows(6, channels),
    finalStateGradient: [[1, channels], normals(7, channels)],
  } satisfies Record<string, Sequence | undefined>;
  const arrays = elementsOf(sequences);
  const tensors = tensorsOf(gpu, sequences);
  const outputs = rgLru(gpu, tensors);
  const gradients = rgLruBackward(gpu, { ...tensors, output: outputs.output });
  await assertEnds(gpu, { ...outputs, ...gradients }, {
    ...rgLruReference(arrays, shape),
    ...rgLruBackwardReference(arrays, shape),
  }, bounds(1e-4));
});

function selectiveScanSequences(
  channels: number,
  states: number,
): Record<keyof SelectiveScanArrays | "outputGradient" | "finalStateGradient", Sequence> {
  return {
    input: rows(1, channels),
    delta: rows(2, channels, 0.5),
    a: [[channels, states], uniforms(3, channels * states, -1, -0.01)],
    b: rows(4, states),
    c: rows(5, states),
    skip: [[channels], normals(6, channels)],
    gate: rows(7, channels),
    deltaBias: [[channels], uniforms(8, channels, -6, -4)],
    initialState: [[1, channels, states], normals(9, channels * states)],
    outputGradient: rows(10, channels),
    finalStateGradient: [[1, channels, states], normals(11, channels * states)],
  };
}

testKernel("selectiveScan() and its gradients are right after 65,536 steps", async () => {
  const gpu = await testGpu();
  const [channels, state] = [2, 2];
  const sequences = selectiveScanSequences(channels, state);
  const arrays = elementsOf(sequences);
  const tensors = tensorsOf(gpu, sequences);
  const options = { deltaSoftplus: true };
  const outputs = selectiveScan(gpu, tensors, options);
  const gradients = selectiveScanBackward(gpu, tensors, options);
  const shape = { batch: 1, time: TIME, channels, state };
  await assertEnds(gpu, { ...outputs, ...gradients }, {
    ...selectiveScanReference(arrays, shape),
    ...selectiveScanBackwardReference(arrays, shape),
  }, bounds(1e-4));
});

testKernel(
  "selectiveScan() is right after 65,536 steps of channels that fill a software adapter",
  async () => {
    const gpu = await testGpu();
    // Another adapter is filled by none, and SwiftShader takes a minute for as many.
    const [channels, state] = [gpu.adapter.software ? 32 : 8, 1];
    const sequences = selectiveScanSequences(channels, state);
    const outputs = selectiveScan(gpu, tensorsOf(gpu, sequences), { deltaSoftplus: true });
    const shape = { batch: 1, time: TIME, channels, state };
    const expected = selectiveScanReference(elementsOf(sequences), shape);
    await assertEnds(gpu, { ...outputs }, { ...expected }, bounds(1e-4));
  },
);

const DECAYS: Record<string, Sequence | undefined> = {
  "no decay": undefined,
  "a decay per head": logDecays(false, -0.002),
  "a decay per key": logDecays(true, -0.002),
};

for (
  const [name, logDecay] of [
    ...Object.entries(DECAYS),
    ["a bonus", DECAYS["a decay per key"]] as const,
  ]
) {
  testKernel(
    `linearAttention() and its gradients are right after 65,536 steps: ${name}`,
    async () => {
      const gpu = await testGpu();
      const sequences = {
        query: heads(1),
        key: heads(2),
        value: heads(3),
        logDecay,
        bonus: name === "a bonus" ? [[1, DIM], normals(4, DIM)] : undefined,
        initialState: state(5),
        outputGradient: heads(6),
        finalStateGradient: state(7),
      } satisfies Record<string, Sequence | undefined>;
      const shape = { batch: 1, time: TIME, heads: 1, groups: 1, keyDim: DIM, valueDim: DIM };
      const arrays = elementsOf(sequences);
      const tensors = tensorsOf(gpu, sequences);
      const outputs = linearAttention(gpu, tensors);
      const gradients = linearAttentionBackward(gpu, tensors);
      await assertEnds(gpu, { ...outputs, ...gradients }, {
        ...linearAttentionReference(arrays, shape),
        ...linearAttentionBackwardReference(arrays, shape),
      }, bounds(1e-4));
    },
  );
}

for (const [name, logDecay] of Object.entries(DECAYS)) {
  testKernel(`deltaRule() and its gradients are right after 65,536 steps: ${name}`, async () => {
    const gpu = await testGpu();
    const [shape, keys] = heads(2);
    const sequences = {
      query: heads(1),
      key: [shape, unitRows(keys, DIM)],
      value: heads(3),
      beta: [[1, TIME, 1], uniforms(4, TIME)],
      logDecay,
      initialState: state(5),
      outputGradient: heads(6),
      finalStateGradient: state(7),
    } satisfies Record<string, Sequence | undefined>;
    const arrays = elementsOf(sequences);
    const tensors = tensorsOf(gpu, sequences);
    const outputs = deltaRule(gpu, tensors);
    const gradients = deltaRuleBackward(gpu, tensors);
    const extents = { key: shape, value: shape };
    await assertEnds(gpu, { ...outputs, ...gradients }, {
      ...deltaRuleReference(arrays, extents, SCALE),
      ...deltaRuleBackwardReference(arrays, extents, SCALE),
    }, bounds(5e-4));
  });
}

testKernel("rwkv7() and its gradients are right after 65,536 steps", async () => {
  const gpu = await testGpu();
  const [shape, removal] = heads(4);
  unitRows(removal, DIM);
  const rate = uniforms(8, TIME * DIM);
  const sequences = {
    receptance: heads(1, SCALE),
    logDecay: logDecays(true, -0.002),
    key: heads(2, SCALE),
    value: heads(3),
    a: [shape, removal.map((x) => -x)],
    b: [shape, removal.map((x, i) => x * rate[i])],
    initialState: state(5),
    outputGradient: heads(6),
    finalStateGradient: state(7),
  } satisfies Record<string, Sequence | undefined>;
  const arrays = elementsOf(sequences);
  const tensors = tensorsOf(gpu, sequences);
  const outputs = rwkv7(gpu, tensors);
  const gradients = rwkv7Backward(gpu, tensors);
  const extents = { key: shape, value: shape };
  await assertEnds(gpu, { ...outputs, ...gradients }, {
    ...rwkv7Reference(arrays, extents),
    ...rwkv7BackwardReference(arrays, extents),
  }, bounds(5e-4));
});

const ATTENTION = {
  "full": { heads: 1, dim: 4, options: {} },
  // Each query head of four adds to the gradient of a sink at every step: 131,072 terms.
  "a window and sinks": { heads: 4, dim: 8, options: { window: 100, sinks: 2 } },
};

for (const [name, { heads, dim, options }] of Object.entries(ATTENTION)) {
  // SwiftShader takes minutes for so many tiles.
  Deno.test(`attention and its gradients are right over 32,768 steps: ${name}`, async () => {
    const gpu = await testGpu();
    const time = 32_768;
    // The loss reads every 2,731st query and the last: so much can be computed in float64.
    const sampled = [...Array.from({ length: 12 }, (_, i) => 1 + i * 2731), time - 1];
    const outputGradient = new Float32Array(time * heads * dim);
    const width = heads * dim;
    for (const t of sampled) outputGradient.set(normals(t, width), t * width);
    const sequences = {
      query: [[1, time, heads, dim], normals(1, time * width)],
      key: [[1, time, 1, dim], normals(2, time * dim)],
      value: [[1, time, 1, dim], normals(3, time * dim)],
      outputGradient: [[1, time, heads, dim], outputGradient],
    } satisfies Record<string, Sequence | undefined>;
    const { query, key, value } = elementsOf(sequences);
    const tensors = tensorsOf(gpu, sequences);
    const forward = flashAttention(gpu, tensors, options);
    const gradients = flashAttentionBackward(gpu, { ...tensors, ...forward }, options);
    const read = [forward.output, ...Object.values(gradients)];
    const [output, queryGradient, keyGradient, valueGradient] = await gpu.read(read);
    const expected = { key: new Float64Array(time * dim), value: new Float64Array(time * dim) };
    for (const t of sampled) {
      const one = (values: Float32Array): Float32Array =>
        values.subarray(t * width, (t + 1) * width);
      const arrays = { query: one(query), key, value, outputGradient: one(outputGradient) };
      const shape = { ...options, batch: 1, queryTime: 1, keyTime: time, heads, keyHeads: 1 };
      const reference = { ...shape, dim, valueDim: dim, queryOffset: t };
      const row = attentionReference(arrays, reference).output;
      assertClose(one(output as Float32Array), row, 1e-4, `output ${t}`);
      const back = attentionBackwardReference(arrays, reference);
      assertClose(
        one(queryGradient as Float32Array),
        back.queryGradient,
        1e-3,
        `queryGradient ${t}`,
      );
      back.keyGradient.forEach((x, i) => expected.key[i] += x);
      back.valueGradient.forEach((x, i) => expected.value[i] += x);
    }
    assertClose(keyGradient, expected.key, 1e-3, "keyGradient");
    assertClose(valueGradient, expected.value, 1e-3, "valueGradient");
  });
}
