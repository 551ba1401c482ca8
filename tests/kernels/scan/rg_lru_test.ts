import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import { rgLru, rgLruBackward, type RgLruOptions, rgLruStep } from "../../../kernels/scan/mod.ts";
import {
  rgLruBackwardReference,
  rgLruReference,
  type ScanShape,
} from "../../../kernels/scan/reference.ts";
import { readSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../../testing.ts";

interface Arrays {
  input: Float32Array;
  recurrenceGate: Float32Array;
  inputGate: Float32Array;
  decayParameter: Float32Array;
  initialState: Float32Array;
  outputGradient: Float32Array;
  finalStateGradient: Float32Array;
}

function arrays({ batch, time, channels }: ScanShape): Arrays {
  return {
    input: normals(1, batch * time * channels),
    recurrenceGate: normals(2, batch * time * channels, 3),
    inputGate: normals(3, batch * time * channels, 3),
    decayParameter: uniforms(4, channels, -9, 3),
    initialState: normals(5, batch * channels),
    outputGradient: normals(6, batch * time * channels),
    finalStateGradient: normals(7, batch * channels),
  };
}

const GRADIENTS = [
  "inputGradient",
  "recurrenceGateGradient",
  "inputGateGradient",
  "decayParameterGradient",
  "initialStateGradient",
] as const;

async function run(
  gpu: Gpu,
  { batch, time, channels }: ScanShape,
  values: Arrays,
  options: RgLruOptions,
): Promise<Record<string, Float32Array>> {
  const sequence = (data: Float32Array): Tensor => gpu.tensor([batch, time, channels], data);
  const state = (data: Float32Array): Tensor => gpu.tensor([batch, channels], data);
  const inputs = {
    input: sequence(values.input),
    recurrenceGate: sequence(values.recurrenceGate),
    inputGate: sequence(values.inputGate),
    decayParameter: gpu.tensor([channels], values.decayParameter),
    initialState: state(values.initialState),
  };
  const { output, finalState } = rgLru(gpu, inputs, options);
  const gradients = rgLruBackward(gpu, {
    ...inputs,
    output,
    outputGradient: sequence(values.outputGradient),
    finalStateGradient: state(values.finalStateGradient),
  }, options);
  const results: Record<string, Tensor> = { output, finalState, ...gradients };
  const read = await gpu.read(Object.values(results)) as Float32Array[];
  return Object.fromEntries(Object.keys(results).map((name, i) => [name, read[i]]));
}

function assertResults(
  actual: Record<string, Float32Array>,
  expected: Record<string, ArrayLike<number>>,
  what: string,
): void {
  for (const name of ["output", "finalState"]) {
    assertClose(actual[name], expected[name], 1e-4, `${what}: ${name}`);
  }
  for (const name of GRADIENTS) {
    assertClose(actual[name], expected[name], 1e-3, `${what}: ${name}`);
  }
}

testKernel("rgLru() and its gradients equal the reference", async () => {
  const gpu = await testGpu();
  for (const [batch, time, channels] of [[1, 1, 1], [2, 2, 3], [2, 65, 60], [3, 257, 8]]) {
    const shape = { batch, time, channels };
    const values = arrays(shape);
    for (const resetFirst of [false, true]) {
      const expected = {
        ...rgLruReference(values, shape, resetFirst),
        ...rgLruBackwardReference(values, shape, resetFirst),
      };
      const actual = await run(gpu, shape, values, { resetFirst, chunkSize: 32 });
      assertResults(actual, expected, `[${[batch, time, channels]}], resetFirst ${resetFirst}`);
    }
  }
});

testKernel("rgLru() and its gradients equal RecurrentGemma's", async () => {
  const gpu = await testGpu();
  const path = new URL("../../golden/scan_rg_lru.safetensors", import.meta.url);
  const { tensors } = readSafetensors(await Deno.readFile(path), "scan_rg_lru.safetensors");
  const cases = new Set([...tensors.keys()].map((name) => name.split(".")[0]));
  assertEquals(cases.size, 3);
  for (const name of cases) {
    const [batch, time, channels] = tensors.get(`${name}.input`)!.shape;
    const values = Object.fromEntries(
      [...tensors].filter(([key]) => key.startsWith(`${name}.`))
        .map(([key, { data }]) => [key.split(".")[1], data]),
    ) as unknown as Arrays & Record<string, Float32Array>;
    const actual = await run(gpu, { batch, time, channels }, values, {
      resetFirst: values.resetFirst[0] === 1,
    });
    assertResults(actual, values, name);
  }
});

testKernel(
  "rgLru() keeps its precision and its gradients finite where the decay is all but 1",
  async () => {
    const gpu = await testGpu();
    const shape = { batch: 1, time: 20, channels: 6 };
    const values = arrays(shape);
    // softplus(-15) is 3e-7 and softplus(-100) is 0 in f32: 1 - a² cancels, its root has no slope.
    values.decayParameter.set([-100, -40, -15, -12, -9, 60]);
    values.recurrenceGate.fill(-100, 0, 12);
    const actual = await run(gpu, shape, values, {});
    assert(Object.values(actual).every((data) => data.every(Number.isFinite)));
    const expected = {
      ...rgLruReference(values, shape),
      ...rgLruBackwardReference(values, shape),
    };
    assertResults(actual, expected, "decays near 1");
    // Each channel on its own, as the large ones would hide an error in the small.
    for (let channel = 2; channel < 5; channel++) {
      const of = (data: ArrayLike<number>): number[] =>
        Array.from(data).filter((_, i) => i % shape.channels === channel);
      assertClose(of(actual.output), of(expected.output), 1e-5, `output of channel ${channel}`);
      const name = "decayParameterGradient";
      assertClose(of(actual[name]), of(expected[name]), 1e-4, `${name} of channel ${channel}`);
    }
  },
);

testKernel("rgLruStep() and segments equal the whole", async () => {
  const gpu = await testGpu();
  const shape = { batch: 1, time: 23, channels: 5 };
  const values = arrays(shape);
  const inputs = (from: number, to: number): {
    input: Tensor;
    recurrenceGate: Tensor;
    inputGate: Tensor;
    decayParameter: Tensor;
  } => {
    const piece = (data: Float32Array): Tensor =>
      gpu.tensor([1, to - from, 5], data.subarray(from * 5, to * 5));
    return {
      input: piece(values.input),
      recurrenceGate: piece(values.recurrenceGate),
      inputGate: piece(values.inputGate),
      decayParameter: gpu.tensor([5], values.decayParameter),
    };
  };
  const outputs: Tensor[] = [];
  let state = gpu.tensor([1, 5], values.initialState);
  for (const [from, to] of [[0, 9], [9, 21]]) {
    const { output, finalState } = rgLru(gpu, { ...inputs(from, to), initialState: state }, {
      resetFirst: from === 0,
    });
    outputs.push(output);
    state = finalState;
  }
  for (const t of [21, 22]) {
    state = rgLruStep(gpu, { ...inputs(t, t + 1), state }).finalState;
    outputs.push(state);
  }
  const read = (await gpu.read(outputs)).flatMap((data) => [...data]);
  assertClose(read, rgLruReference(values, shape, true).output, 1e-5, "output");
});

testKernel("rgLruStep() begins a document where it is told", async () => {
  const gpu = await testGpu();
  const shape = { batch: 2, time: 1, channels: 7 };
  const values = arrays(shape);
  const row = (data: Float32Array): Tensor => gpu.tensor([2, 1, 7], data);
  const { finalState } = rgLruStep(gpu, {
    input: row(values.input),
    recurrenceGate: row(values.recurrenceGate),
    inputGate: row(values.inputGate),
    decayParameter: gpu.tensor([7], values.decayParameter),
    state: gpu.tensor([2, 7], values.initialState),
  }, { resetFirst: true });
  const expected = rgLruReference(values, shape, true).output;
  assertClose(await finalState.read(), expected, 1e-5, "output");
});

testKernel("rgLru() stays right over 65,536 steps", async () => {
  const gpu = await testGpu();
  const shape = { batch: 1, time: 65536, channels: 4 };
  // Griffin begins with decays up to 0.999, where softplus is 1e-3 / 8.
  const values = { ...arrays(shape), decayParameter: uniforms(4, 4, -9, -4) };
  const sequence = (data: Float32Array): Tensor => gpu.tensor([1, 65536, 4], data);
  const { finalState } = rgLru(gpu, {
    input: sequence(values.input),
    recurrenceGate: sequence(values.recurrenceGate),
    inputGate: sequence(values.inputGate),
    decayParameter: gpu.tensor([4], values.decayParameter),
    initialState: gpu.tensor([1, 4], values.initialState),
  }, { chunkSize: 256 });
  const expected = rgLruReference(values, shape);
  assertClose(await finalState.read(), expected.finalState, 1e-4, "finalState");
});

testKernel("rgLru() refuses shapes that do not fit", async () => {
  const gpu = await testGpu();
  using input = gpu.tensor([1, 5, 4]);
  using decayParameter = gpu.tensor([5]);
  using state = gpu.tensor([1, 4]);
  const inputs = { input, recurrenceGate: input, inputGate: input, decayParameter };
  assertThrows(
    () => rgLru(gpu, inputs),
    RangeError,
    "Cannot run rgLru() as decayParameter must have shape [4]: current shape is [5]",
  );
  assertThrows(
    () => rgLruStep(gpu, { ...inputs, state }),
    RangeError,
    "Cannot run rgLruStep() as input must have shape [1,1,4]: current shape is [1,5,4]",
  );
});
