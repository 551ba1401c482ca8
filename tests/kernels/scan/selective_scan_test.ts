import { assertEquals, assertThrows } from "@std/assert";
import { type Gpu, openGpu, type Tensor } from "../../../kernels/gpu/mod.ts";
import {
  selectiveScan,
  selectiveScanBackward,
  type SelectiveScanInputs,
  selectiveScanStep,
} from "../../../kernels/scan/mod.ts";
import {
  type SelectiveScanArrays,
  selectiveScanBackwardReference,
  selectiveScanReference,
  type SelectiveScanShape,
} from "../../../kernels/scan/reference.ts";
import { readSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../../testing.ts";

interface Arrays extends SelectiveScanArrays {
  outputGradient: ArrayLike<number>;
  finalStateGradient: ArrayLike<number>;
}

function arrays({ batch, time, channels, state }: SelectiveScanShape): Arrays {
  return {
    input: normals(1, batch * time * channels),
    delta: normals(2, batch * time * channels, 2),
    a: uniforms(3, channels * state, -16, 0),
    b: normals(4, batch * time * state),
    c: normals(5, batch * time * state),
    skip: normals(6, channels),
    gate: normals(7, batch * time * channels),
    deltaBias: normals(8, channels),
    initialState: normals(9, batch * channels * state),
    outputGradient: normals(10, batch * time * channels),
    finalStateGradient: normals(11, batch * channels * state),
  };
}

/** The tensors of steps `from` to `to`; all of them, where left out. */
function tensors(
  gpu: Gpu,
  { batch, time, channels, state }: SelectiveScanShape,
  values: SelectiveScanArrays,
  from = 0,
  to = time,
): Required<SelectiveScanInputs> {
  const piece = (data: ArrayLike<number>, columns: number): Tensor => {
    const rows = Array.from(
      { length: batch },
      (_, i) => Array.from(data).slice((i * time + from) * columns, (i * time + to) * columns),
    );
    return gpu.tensor([batch, to - from, columns], rows.flat());
  };
  return {
    input: piece(values.input, channels),
    delta: piece(values.delta, channels),
    a: gpu.tensor([channels, state], values.a),
    b: piece(values.b, state),
    c: piece(values.c, state),
    skip: gpu.tensor([channels], values.skip),
    gate: piece(values.gate, channels),
    deltaBias: gpu.tensor([channels], values.deltaBias),
    initialState: gpu.tensor([batch, channels, state], values.initialState),
  };
}

async function run(
  gpu: Gpu,
  shape: SelectiveScanShape,
  values: Arrays,
  chunkSize?: number,
): Promise<Record<string, Float32Array>> {
  const { batch, time, channels, state } = shape;
  const inputs = tensors(gpu, shape, values);
  const results = {
    ...selectiveScan(gpu, inputs, { deltaSoftplus: true, chunkSize }),
    ...selectiveScanBackward(gpu, {
      ...inputs,
      outputGradient: gpu.tensor([batch, time, channels], values.outputGradient),
      finalStateGradient: gpu.tensor([batch, channels, state], values.finalStateGradient),
    }, { deltaSoftplus: true }),
  };
  const read = await gpu.read(Object.values(results)) as Float32Array[];
  return Object.fromEntries(Object.keys(results).map((name, i) => [name, read[i]]));
}

function assertResults(
  actual: Record<string, Float32Array>,
  expected: Record<string, ArrayLike<number>>,
  what: string,
): void {
  for (const name of Object.keys(actual)) {
    const bound = name.endsWith("Gradient") ? 1e-3 : 1e-4;
    assertClose(actual[name], expected[name], bound, `${what}: ${name}`);
  }
  assertEquals(Object.keys(actual).length, 11);
}

testKernel(
  "selectiveScan() and its gradients equal the reference, whatever the chunk",
  async () => {
    const gpu = await testGpu();
    // The last two are carried in registers on a software adapter, where no chunk is asked for.
    const shapes = [
      [1, 1, 1, 1],
      [2, 17, 3, 5],
      [1, 65, 70, 16],
      [2, 100, 9, 33],
      [2, 0, 3, 4],
      [8, 17, 16, 16],
      [3, 1, 44, 4],
    ];
    for (const [batch, time, channels, state] of shapes) {
      const shape = { batch, time, channels, state };
      const values = arrays(shape);
      const expected = {
        ...selectiveScanReference(values, shape),
        ...selectiveScanBackwardReference(values, shape),
      };
      for (const chunkSize of [8, 1000, undefined]) {
        const actual = await run(gpu, shape, values, chunkSize);
        assertResults(
          actual,
          expected,
          `[${[batch, time, channels, state]}] ${
            chunkSize === undefined ? "as the adapter wants" : `in chunks of ${chunkSize}`
          }`,
        );
      }
    }
  },
);

testKernel("selectiveScan() and its gradients equal transformers' Mamba", async () => {
  const gpu = await testGpu();
  const path = new URL("../../golden/scan_selective.safetensors", import.meta.url);
  const golden = readSafetensors(await Deno.readFile(path), "scan_selective.safetensors").tensors;
  const cases = new Set([...golden.keys()].map((name) => name.split(".")[0]));
  assertEquals(cases.size, 3);
  for (const name of cases) {
    const [batch, time, channels, state] = name.split("x").map(Number);
    const values = Object.fromEntries(
      [...golden].filter(([key]) => key.startsWith(`${name}.`))
        .map(([key, { data }]) => [key.split(".")[1], data]),
    ) as unknown as Arrays & Record<string, Float32Array>;
    const actual = await run(gpu, { batch, time, channels, state }, values, 16);
    assertResults(actual, values, name);
  }
});

testKernel("selectiveScan() with nothing but what it must have", async () => {
  const gpu = await testGpu();
  const shape = { batch: 2, time: 21, channels: 6, state: 8 };
  const values = arrays(shape);
  // softplus(delta) given as it is; a gate whose SiLU is 1, no skip, no bias, no states.
  const softplus = Float64Array.from(values.delta, (x) => Math.log1p(Math.exp(x)));
  const one = 1.2784645427610738;
  const bare = {
    ...values,
    skip: new Float64Array(6),
    gate: new Float64Array(2 * 21 * 6).fill(one),
    deltaBias: new Float64Array(6),
    initialState: new Float64Array(2 * 6 * 8),
  };
  const { input, a, b, c } = tensors(gpu, shape, values);
  const delta = gpu.tensor([2, 21, 6], softplus);
  const outputGradient = gpu.tensor([2, 21, 6], values.outputGradient);
  const gradients = selectiveScanBackward(gpu, { input, delta, a, b, c, outputGradient });
  const names = ["inputGradient", "deltaGradient", "aGradient", "bGradient", "cGradient"];
  assertEquals(Object.keys(gradients), names);
  const asked = selectiveScanBackward(gpu, {
    ...{ input, delta, a, b, c, outputGradient },
    initialState: gpu.tensor([2, 6, 8]),
  });
  assertEquals(Object.keys(asked), [...names, "initialStateGradient"]);
  const expected = selectiveScanBackwardReference({
    ...bare,
    outputGradient: values.outputGradient,
    finalStateGradient: new Float64Array(2 * 6 * 8),
  }, shape);
  // The reference's gradient is that of delta before the softplus.
  const slopes = Float64Array.from(values.delta, (x) => 1 + Math.exp(-x));
  expected.deltaGradient = expected.deltaGradient.map((gradient, i) => gradient * slopes[i]);
  for (const found of [gradients, asked]) {
    const read = await gpu.read(Object.values(found));
    Object.keys(found).forEach((name, i) =>
      assertClose(read[i], expected[name as keyof typeof expected], 1e-3, name)
    );
  }
  for (const chunkSize of [4, 21]) {
    const { output, finalState } = selectiveScan(gpu, { input, delta, a, b, c }, { chunkSize });
    const forward = selectiveScanReference(bare, shape);
    const [y, h] = await gpu.read([output, finalState]);
    assertClose(y, forward.output, 1e-4, "output");
    assertClose(h, forward.finalState, 1e-4, "finalState");
  }
});

testKernel("selectiveScan() adds a bias to a delta that has no softplus", async () => {
  const gpu = await testGpu();
  const shape = { batch: 1, time: 20, channels: 3, state: 4 };
  const values = arrays(shape);
  const inputs = tensors(gpu, shape, values);
  const steps = uniforms(1, 20 * 3, 0, 2);
  const less = steps.map((x, i) => x - values.deltaBias[i % 3]);
  const { output } = selectiveScan(gpu, { ...inputs, delta: gpu.tensor([1, 20, 3], less) });
  const before = steps.map((x, i) => Math.log(Math.expm1(x)) - values.deltaBias[i % 3]);
  const expected = selectiveScanReference({ ...values, delta: before }, shape);
  assertClose(await output.read(), expected.output, 1e-4, "output");
});

testKernel("selectiveScan() by segments and selectiveScanStep() equal the whole", async () => {
  const gpu = await testGpu();
  const shape = { batch: 2, time: 30, channels: 5, state: 16 };
  const values = arrays(shape);
  const whole = selectiveScanReference(values, shape);
  let state = gpu.tensor([2, 5, 16], values.initialState);
  const outputs: [from: number, output: Tensor][] = [];
  for (const [from, to] of [[0, 9], [9, 28], [28, 29], [29, 30]]) {
    const { initialState: _, ...inputs } = tensors(gpu, shape, values, from, to);
    const { output, finalState } = from < 28
      ? selectiveScan(gpu, { ...inputs, initialState: state }, {
        deltaSoftplus: true,
        chunkSize: 4,
      })
      : selectiveScanStep(gpu, { ...inputs, state }, { deltaSoftplus: true });
    outputs.push([from, output]);
    state = finalState;
  }
  const read = await gpu.read([...outputs.map(([, output]) => output), state]);
  assertClose(read.at(-1)!, whole.finalState, 1e-5, "finalState");
  outputs.forEach(([from, output], segment) => {
    const width = output.shape[1] * 5;
    for (let i = 0; i < 2; i++) {
      assertClose(
        read[segment].subarray(i * width, (i + 1) * width),
        whole.output.subarray((i * 30 + from) * 5, (i * 30 + from) * 5 + width),
        1e-5,
        `output from ${from} of sequence ${i}`,
      );
    }
  });
});

async function checkSteps(gpu: Gpu): Promise<void> {
  for (const [channels, states] of [[5, 6], [70, 16], [1, 1], [8, 130]]) {
    const shape = { batch: 2, time: 1, channels, state: states };
    const values = arrays(shape);
    const whole = selectiveScanReference(values, shape);
    const { initialState: state, ...inputs } = tensors(gpu, shape, values);
    const logs = Float32Array.from(values.a, (rate) => Math.log(-rate));
    for (const logRates of [false, true]) {
      using a = gpu.tensor([channels, states], logRates ? logs : values.a);
      const options = { deltaSoftplus: true, logRates };
      const step = selectiveScanStep(gpu, { ...inputs, a, state: state! }, options);
      const [output, finalState] = await gpu.read([step.output, step.finalState]);
      const what = `${channels} × ${states}, ${logRates ? "logarithms" : "rates"}`;
      assertClose(output, whole.output, 1e-5, `output, ${what}`);
      assertClose(finalState, whole.finalState, 1e-5, `finalState, ${what}`);
    }
  }
}

testKernel(
  "selectiveScanStep() equals the reference of rates, and of their logarithms",
  async () => {
    await checkSteps(await testGpu());
  },
);

Deno.test("selectiveScanStep() does with the bindings that every device allows", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter!.requestDevice();
  assertEquals(device.limits.maxStorageBuffersPerShaderStage, 8);
  {
    await using gpu = await openGpu({ device, poison: true });
    await checkSteps(gpu);
  }
  device.destroy();
});

testKernel("selectiveScan() stays right over 65,536 steps", async () => {
  const gpu = await testGpu();
  const shape = { batch: 1, time: 65536, channels: 2, state: 4 };
  // Slow states: what came thousands of steps ago still counts.
  const values = {
    ...arrays(shape),
    a: uniforms(3, 2 * 4, -0.01, -0.0001),
    delta: normals(2, 65536 * 2, 0.5),
  };
  const { output, finalState } = selectiveScan(gpu, tensors(gpu, shape, values), {
    deltaSoftplus: true,
  });
  const [y, h] = await gpu.read([output, finalState]);
  const expected = selectiveScanReference(values, shape);
  assertClose(y.subarray(-200), expected.output.subarray(-200), 1e-4, "the last outputs");
  assertClose(h, expected.finalState, 1e-4, "finalState");
});

testKernel("selectiveScan() refuses shapes that do not fit", async () => {
  const gpu = await testGpu();
  const shape = { batch: 2, time: 5, channels: 4, state: 8 };
  const inputs = tensors(gpu, shape, arrays(shape));
  using wrong = gpu.tensor([2, 5, 7]);
  assertThrows(
    () => selectiveScan(gpu, { ...inputs, b: wrong }),
    RangeError,
    "Cannot run selectiveScan() as b must have shape [2,5,8]: current shape is [2,5,7]",
  );
  const { initialState: state, ...tokens } = inputs;
  assertThrows(
    () => selectiveScanStep(gpu, { ...tokens, state }),
    RangeError,
    "Cannot run selectiveScanStep() as input must have shape [2,1,4]: current shape is [2,5,4]",
  );
});
