import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import { scan, scanBackward, scanStep } from "../../../kernels/scan/mod.ts";
import { scanBackwardReference, scanReference } from "../../../kernels/scan/reference.ts";
import { readSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../../testing.ts";

const SHAPES: readonly (readonly [batch: number, time: number, channels: number])[] = [
  [1, 1, 1],
  [2, 2, 3],
  [1, 63, 8],
  [3, 64, 5],
  [2, 65, 12],
  [1, 100, 130],
  [1, 257, 60],
  [1, 1000, 24],
  [2, 37, 64],
  [1, 6, 128],
  [1, 65, 256],
];

interface Arrays {
  decay: Float32Array;
  input: Float32Array;
  initialState: Float32Array;
  outputGradient: Float32Array;
  finalStateGradient: Float32Array;
}

function arrays(batch: number, time: number, channels: number): Arrays {
  const decay = uniforms(1, batch * time * channels, -1, 1);
  for (let i = 0; i < decay.length; i += 7) decay[i] = [0, 1, 0.999, -1][i % 4];
  return {
    decay,
    input: normals(2, batch * time * channels),
    initialState: normals(3, batch * channels),
    outputGradient: normals(4, batch * time * channels),
    finalStateGradient: normals(5, batch * channels),
  };
}

/** Runs forward and backward on the GPU; reads all five results. */
async function run(
  gpu: Gpu,
  [batch, time, channels]: readonly [number, number, number],
  values: Arrays,
  options: { chunkSize?: number },
): Promise<Float32Array[]> {
  using decay = gpu.tensor([batch, time, channels], values.decay);
  using input = gpu.tensor([batch, time, channels], values.input);
  using initialState = gpu.tensor([batch, channels], values.initialState);
  using outputGradient = gpu.tensor([batch, time, channels], values.outputGradient);
  using finalStateGradient = gpu.tensor([batch, channels], values.finalStateGradient);
  const { output, finalState } = scan(gpu, { decay, input, initialState }, options);
  const gradients = scanBackward(gpu, {
    decay,
    output,
    initialState,
    outputGradient,
    finalStateGradient,
  }, options);
  const results = [
    output,
    finalState,
    gradients.decayGradient,
    gradients.inputGradient,
    gradients.initialStateGradient!,
  ];
  const read = await gpu.read(results);
  for (const tensor of results) tensor[Symbol.dispose]();
  return read as Float32Array[];
}

function assertResults(
  actual: Float32Array[],
  expected: ArrayLike<number>[],
  what: string,
): void {
  ["output", "finalState"].forEach((name, i) =>
    assertClose(actual[i], expected[i], 1e-4, `${what}: ${name}`)
  );
  ["decayGradient", "inputGradient", "initialStateGradient"].forEach((name, i) =>
    assertClose(actual[i + 2], expected[i + 2], 1e-3, `${what}: ${name}`)
  );
}

testKernel("scan() and its gradients equal the reference, whatever the chunk", async () => {
  const gpu = await testGpu();
  for (const dims of SHAPES) {
    const [batch, time, channels] = dims;
    const values = arrays(...dims);
    const shape = { batch, time, channels };
    const forward = scanReference({
      decay: values.decay,
      input: values.input,
      initialState: values.initialState,
    }, shape);
    const backward = scanBackwardReference({
      decay: values.decay,
      output: forward.output,
      initialState: values.initialState,
      outputGradient: values.outputGradient,
      finalStateGradient: values.finalStateGradient,
    }, shape);
    const expected = [...Object.values(forward), ...Object.values(backward)];
    for (const chunkSize of [undefined, 1, 7, 16, 64]) {
      const actual = await run(gpu, dims, values, chunkSize ? { chunkSize } : {});
      assertResults(actual, expected, `[${dims}] in chunks of ${chunkSize}`);
    }
  }
});

testKernel("scan() and its gradients equal fla's hgrn", async () => {
  const gpu = await testGpu();
  const path = new URL("../../golden/scan.safetensors", import.meta.url);
  const { tensors } = readSafetensors(await Deno.readFile(path), "scan.safetensors");
  const cases = new Set([...tensors.keys()].map((name) => name.split(".")[0]));
  assertEquals(cases.size, 3);
  for (const name of cases) {
    const data = (field: string): Float32Array => tensors.get(`${name}.${field}`)!.data;
    const dims = tensors.get(`${name}.decay`)!.shape as [number, number, number];
    const actual = await run(gpu, dims, {
      decay: data("decay"),
      input: data("input"),
      initialState: data("initialState"),
      outputGradient: data("outputGradient"),
      finalStateGradient: data("finalStateGradient"),
    }, { chunkSize: 16 });
    const fields = ["output", "finalState"].concat(
      ["decay", "input", "initialState"].map((field) => `${field}Gradient`),
    );
    assertResults(actual, fields.map(data), name);
  }
});

testKernel(
  "scan() without states starts from 0 and sends back no gradient of the final one",
  async () => {
    const gpu = await testGpu();
    const dims = { batch: 2, time: 37, channels: 4 };
    const shape = [2, 37, 4];
    const values = arrays(2, 37, 4);
    using decay = gpu.tensor(shape, values.decay);
    using input = gpu.tensor(shape, values.input);
    using outputGradient = gpu.tensor(shape, values.outputGradient);
    using zeros = gpu.tensor([2, 4]);
    const forward = scanReference({ decay: values.decay, input: values.input }, dims);
    const backward = scanBackwardReference({
      decay: values.decay,
      output: forward.output,
      outputGradient: values.outputGradient,
    }, dims);
    for (const chunkSize of [8, 37]) {
      const { output, finalState } = scan(gpu, { decay, input }, { chunkSize });
      const inputs = { decay, output, outputGradient };
      const gradients = scanBackward(gpu, inputs, { chunkSize });
      assertEquals("initialStateGradient" in gradients, false);
      // That of a state which is zeros, as one that is left out is.
      const asked = scanBackward(gpu, { ...inputs, initialState: zeros }, { chunkSize });
      const actual = await gpu.read([
        output,
        finalState,
        gradients.decayGradient,
        gradients.inputGradient,
        asked.initialStateGradient!,
      ]) as Float32Array[];
      assertResults(
        actual,
        [...Object.values(forward), ...Object.values(backward)],
        `chunks of ${chunkSize}`,
      );
    }
  },
);

testKernel("scan() segment by segment and scanStep() equal the whole", async () => {
  const gpu = await testGpu();
  const [batch, time, channels] = [2, 41, 8];
  const values = arrays(1, time, channels);
  const twice = (data: Float32Array): Float32Array => Float32Array.from([...data, ...data]);
  const piece = (data: Float32Array, from: number, to: number): Tensor =>
    gpu.tensor(
      [batch, to - from, channels],
      twice(data.subarray(from * channels, to * channels)),
    );
  const whole = scanReference({
    decay: values.decay,
    input: values.input,
    initialState: values.initialState,
  }, { batch: 1, time, channels });
  let state: Tensor = gpu.tensor([batch, channels], twice(values.initialState));
  const outputs: Tensor[] = [];
  for (const [from, to] of [[0, 17], [17, 17], [17, 18], [18, 39]]) {
    const decay = piece(values.decay, from, to);
    const input = piece(values.input, from, to);
    const { output, finalState } = scan(gpu, { decay, input, initialState: state }, {
      chunkSize: 5,
    });
    outputs.push(output);
    state = finalState;
  }
  for (const t of [39, 40]) {
    const decay = piece(values.decay, t, t + 1);
    const input = piece(values.input, t, t + 1);
    state = scanStep(gpu, { decay, input, state }).finalState;
    outputs.push(state);
  }
  const read = await gpu.read(outputs);
  const first = read.flatMap((data) => [...data.subarray(0, data.length / 2)]);
  const second = read.flatMap((data) => [...data.subarray(data.length / 2)]);
  assertClose(first, whole.output, 1e-5, "first of the batch");
  assertClose(second, whole.output, 1e-5, "second of the batch");
});

testKernel("scanBackward() of no steps hands the gradient through", async () => {
  const gpu = await testGpu();
  using none = gpu.tensor([1, 0, 3]);
  using initialState = gpu.tensor([1, 3]);
  using finalStateGradient = gpu.tensor([1, 3], [1, 2, 3]);
  const { initialStateGradient } = scanBackward(gpu, {
    decay: none,
    output: none,
    initialState,
    outputGradient: none,
    finalStateGradient,
  });
  assertEquals([...await initialStateGradient!.read()], [1, 2, 3]);
});

testKernel("scan() stays right over 65,536 steps, cut as it suits the adapter", async () => {
  const gpu = await testGpu();
  const dims = { batch: 1, time: 65536, channels: 8 };
  const decay = uniforms(1, dims.time * dims.channels, 0.99, 1);
  const input = normals(2, dims.time * dims.channels);
  using decayTensor = gpu.tensor([1, dims.time, dims.channels], decay);
  using inputTensor = gpu.tensor([1, dims.time, dims.channels], input);
  const { output, finalState } = scan(gpu, { decay: decayTensor, input: inputTensor });
  const [h, last] = await gpu.read([output, finalState]);
  const expected = scanReference({ decay, input }, dims);
  assertClose(h, expected.output, 1e-4, "output");
  assertClose(last, expected.finalState, 1e-4, "finalState");
});

testKernel("scan() refuses shapes that do not fit", async () => {
  const gpu = await testGpu();
  using decay = gpu.tensor([2, 5, 4]);
  using input = gpu.tensor([2, 4, 4]);
  using state = gpu.tensor([2, 3]);
  assertThrows(
    () => scan(gpu, { decay, input }),
    RangeError,
    "Cannot run scan() as input must have shape [2,5,4]: current shape is [2,4,4]",
  );
  assertThrows(
    () => scan(gpu, { decay, input: decay, initialState: state }),
    RangeError,
    "Cannot run scan() as initialState must have shape [2,4]: current shape is [2,3]",
  );
  assertThrows(
    () => scan(gpu, { decay: state, input }),
    RangeError,
    "Cannot run scan() as decay must have shape [batch, time, channels]: current shape is [2,3]",
  );
  assertThrows(
    () => scan(gpu, { decay, input: decay }, { chunkSize: 0 }),
    RangeError,
    "Cannot run scan() as chunkSize must be a positive integer: current value is 0",
  );
});
