import { assertEquals, assertThrows } from "@std/assert";
import {
  causalConvolution,
  causalConvolutionBackward,
  causalConvolutionStep,
  causalConvolutionSteps,
} from "../../../kernels/convolution/mod.ts";
import {
  type CausalConvolutionArrays,
  causalConvolutionBackwardReference,
  causalConvolutionReference,
  type CausalConvolutionShape,
} from "../../../kernels/convolution/reference.ts";
import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import { readSafetensors } from "../../../models/checkpoints/safetensors.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

interface Arrays extends CausalConvolutionArrays {
  outputGradient: ArrayLike<number>;
  finalTailGradient: ArrayLike<number>;
}

function arrays({ batch, time, channels, width }: CausalConvolutionShape): Arrays {
  return {
    x: normals(1, batch * time * channels),
    weight: normals(2, channels * width),
    bias: normals(3, channels),
    initialTail: normals(4, batch * (width - 1) * channels),
    outputGradient: normals(5, batch * time * channels),
    finalTailGradient: normals(6, batch * (width - 1) * channels),
  };
}

const shape = (
  batch: number,
  time: number,
  channels: number,
  width: number,
  activation: "silu" | "none",
): CausalConvolutionShape => ({ batch, time, channels, width, activation });

const SHAPES = [
  shape(1, 1, 1, 1, "none"),
  shape(2, 1, 3, 4, "silu"),
  shape(2, 2, 5, 4, "silu"),
  shape(1, 3, 8, 9, "none"),
  shape(1, 63, 5, 4, "silu"),
  shape(3, 64, 8, 3, "none"),
  shape(1, 65, 100, 2, "silu"),
  shape(2, 257, 60, 4, "silu"),
  shape(2, 0, 3, 4, "none"),
];

async function run(
  gpu: Gpu,
  { batch, time, channels, width, activation }: CausalConvolutionShape,
  values: Arrays,
): Promise<Record<string, Float32Array>> {
  const sequence = (data: ArrayLike<number>): Tensor => gpu.tensor([batch, time, channels], data);
  const tail = (data: ArrayLike<number>): Tensor => gpu.tensor([batch, width - 1, channels], data);
  const inputs = {
    x: sequence(values.x),
    weight: gpu.tensor([channels, width], values.weight),
    bias: gpu.tensor([channels], values.bias),
    initialTail: tail(values.initialTail),
  };
  const results = {
    ...causalConvolution(gpu, inputs, { activation }),
    ...causalConvolutionBackward(gpu, {
      ...inputs,
      outputGradient: sequence(values.outputGradient),
      finalTailGradient: tail(values.finalTailGradient),
    }, { activation }),
  };
  const read = await gpu.read(Object.values(results)) as Float32Array[];
  return Object.fromEntries(Object.keys(results).map((name, i) => [name, read[i]]));
}

function assertResults(
  actual: Record<string, Float32Array>,
  expected: Record<string, ArrayLike<number>>,
  what: string,
): void {
  for (const name of ["output", "finalTail"]) {
    assertClose(actual[name], expected[name], 1e-5, `${what}: ${name}`);
  }
  for (const name of ["xGradient", "weightGradient", "biasGradient", "initialTailGradient"]) {
    assertClose(actual[name], expected[name], 1e-4, `${what}: ${name}`);
  }
}

testKernel("causalConvolution() and its gradients equal the reference", async () => {
  const gpu = await testGpu();
  for (const dims of SHAPES) {
    const values = arrays(dims);
    const expected = {
      ...causalConvolutionReference(values, dims),
      ...causalConvolutionBackwardReference(values, dims),
    };
    assertResults(await run(gpu, dims, values), expected, JSON.stringify(dims));
  }
});

testKernel("causalConvolution() and its gradients equal PyTorch's conv1d", async () => {
  const gpu = await testGpu();
  const path = new URL("../../golden/convolution.safetensors", import.meta.url);
  const { tensors } = readSafetensors(await Deno.readFile(path), "convolution.safetensors");
  const cases = new Set([...tensors.keys()].map((name) => name.replace(/\.\w+$/, "")));
  assertEquals(cases.size, 4);
  for (const name of cases) {
    const values = Object.fromEntries(
      [...tensors].filter(([key]) => key.startsWith(`${name}.`))
        .map(([key, { data }]) => [key.slice(name.length + 1), data]),
    ) as unknown as Arrays & Record<string, Float32Array>;
    const [extents, activation] = name.split(".");
    const [batch, time, channels, width] = extents.split("x").map(Number);
    const dims = shape(batch, time, channels, width, activation as "silu" | "none");
    assertResults(await run(gpu, dims, values), values, name);
  }
});

testKernel("causalConvolution() without bias and tail starts from 0", async () => {
  const gpu = await testGpu();
  const dims = shape(2, 19, 6, 4, "silu");
  const values = arrays(dims);
  const bare = { ...values, bias: new Float64Array(6), initialTail: new Float64Array(2 * 3 * 6) };
  using x = gpu.tensor([2, 19, 6], values.x);
  using weight = gpu.tensor([6, 4], values.weight);
  using outputGradient = gpu.tensor([2, 19, 6], values.outputGradient);
  const { output, finalTail } = causalConvolution(gpu, { x, weight }, { activation: "silu" });
  const gradients = causalConvolutionBackward(gpu, { x, weight, outputGradient }, {
    activation: "silu",
  });
  assertEquals(Object.keys(gradients), ["xGradient", "weightGradient"]);
  const [y, tail, dx, dw] = await gpu.read([
    output,
    finalTail,
    gradients.xGradient,
    gradients.weightGradient,
  ]);
  const forward = causalConvolutionReference(bare, dims);
  const backward = causalConvolutionBackwardReference({
    ...bare,
    outputGradient: values.outputGradient,
    finalTailGradient: new Float64Array(2 * 3 * 6),
  }, dims);
  assertClose(y, forward.output, 1e-5, "output");
  assertClose(tail, forward.finalTail, 1e-5, "finalTail");
  assertClose(dx, backward.xGradient, 1e-4, "xGradient");
  assertClose(dw, backward.weightGradient, 1e-4, "weightGradient");
});

testKernel(
  "causalConvolution() by segments shorter than its width and causalConvolutionStep() equal the whole",
  async () => {
    const gpu = await testGpu();
    const dims = shape(1, 12, 5, 4, "silu");
    const values = arrays(dims);
    using weight = gpu.tensor([5, 4], values.weight);
    using bias = gpu.tensor([5], values.bias);
    const x = values.x as Float32Array;
    let tail = gpu.tensor([1, 3, 5], values.initialTail);
    const outputs: Tensor[] = [];
    for (const [from, to] of [[0, 1], [1, 3], [3, 3], [3, 9], [9, 10], [10, 11], [11, 12]]) {
      const segment = gpu.tensor([1, to - from, 5], x.subarray(from * 5, to * 5));
      const { output, finalTail } = from < 9
        ? causalConvolution(gpu, { x: segment, weight, bias, initialTail: tail }, {
          activation: "silu",
        })
        : causalConvolutionStep(gpu, { x: segment, weight, bias, tail }, { activation: "silu" });
      outputs.push(output);
      tail = finalTail;
    }
    const read = await gpu.read([...outputs, tail]);
    const expected = causalConvolutionReference(values, dims);
    assertClose(read.at(-1)!, expected.finalTail, 1e-6, "finalTail");
    assertClose(read.slice(0, -1).flatMap((data) => [...data]), expected.output, 1e-5, "output");
  },
);

testKernel("causalConvolutionStep() without a bias, of width 1", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([2, 1, 3], [1, 2, 3, 4, 5, 6]);
  using weight = gpu.tensor([3, 1], [10, 100, 1000]);
  using tail = gpu.tensor([2, 0, 3]);
  const { output } = causalConvolutionStep(gpu, { x, weight, tail });
  assertEquals([...await output.read()], [10, 200, 3000, 40, 500, 6000]);
});

testKernel("causalConvolution() refuses shapes that do not fit", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([2, 5, 6]);
  using weight = gpu.tensor([6, 4]);
  using wrong = gpu.tensor([5, 4]);
  using tail = gpu.tensor([2, 4, 6]);
  assertThrows(
    () => causalConvolution(gpu, { x, weight: wrong }),
    RangeError,
    "Cannot run causalConvolution() as weight must have shape [6,4]: current shape is [5,4]",
  );
  assertThrows(
    () => causalConvolution(gpu, { x, weight, initialTail: tail }),
    RangeError,
    "Cannot run causalConvolution() as initialTail must have shape [2,3,6]: current shape is [2,4,6]",
  );
  assertThrows(
    () => causalConvolutionStep(gpu, { x, weight, tail }),
    RangeError,
    "Cannot run causalConvolutionStep() as x must have shape [2,1,6]: current shape is [2,5,6]",
  );
});

for (const activation of ["silu", "none"] as const) {
  testKernel(
    `steps of several convolutions have the bits of steps of one, ${activation}`,
    async () => {
      const gpu = await testGpu();
      using scope = new DisposableStack();
      const make = (seed: number, ...shape: number[]): Tensor =>
        scope.use(gpu.tensor(shape, normals(seed, shape.reduce((a, b) => a * b))));
      const inputs = [5, 64, 3, 130].map((channels, i) => ({
        x: make(i, 2, 1, channels),
        weight: make(10 + i, channels, 4),
        bias: i % 2 === 0 ? make(20 + i, channels) : undefined,
        tail: make(30 + i, 2, 3, channels),
      }));
      for (
        const [index, together] of causalConvolutionSteps(gpu, inputs, { activation }).entries()
      ) {
        using both = together;
        using alone = causalConvolutionStep(gpu, inputs[index], { activation });
        const [a, b, c, d] = await gpu.read([
          both.output,
          alone.output,
          both.finalTail,
          alone.finalTail,
        ]);
        assertEquals([a, c], [b, d]);
      }
      using wide = gpu.tensor([5, 2]);
      using tail = gpu.tensor([2, 1, 5]);
      assertThrows(
        () => causalConvolutionSteps(gpu, [inputs[0], { x: inputs[0].x, weight: wide, tail }]),
        RangeError,
        "must have one batch and one width",
      );
    },
  );
}

Deno.test("gradients of a bias and an initial tail that are not there take no memory", async () => {
  const gpu = await testGpu();
  const [batch, time, channels, width] = [2, 1, 1024, 5];
  using x = gpu.tensor([batch, time, channels]);
  using weight = gpu.tensor([channels, width]);
  using bias = gpu.tensor([channels]);
  using initialTail = gpu.tensor([batch, width - 1, channels]);
  /** Bytes that were held at once besides what is returned. */
  const besides = (optional: { bias?: Tensor; initialTail?: Tensor }): number => {
    gpu.resetPeak();
    using _gradients = causalConvolutionBackward(gpu, {
      ...{ x, weight, outputGradient: x },
      ...optional,
    });
    return gpu.memory.peak - gpu.memory.current;
  };
  assertEquals(besides({}), besides({ bias, initialTail }));
  await gpu.sync();
});
