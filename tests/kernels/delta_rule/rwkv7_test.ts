import { assertEquals, assertThrows } from "@std/assert";
import {
  rwkv7,
  rwkv7Backward,
  type Rwkv7BackwardInputs,
  type Rwkv7Inputs,
  type Rwkv7Options,
  rwkv7Recurrent,
  rwkv7Step,
} from "../../../kernels/delta_rule/mod.ts";
import { rwkv7BackwardReference, rwkv7Reference } from "../../../kernels/delta_rule/reference.ts";
import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../../testing.ts";

interface Case {
  batch?: number;
  time: number;
  heads?: number;
  keyDim: number;
  valueDim: number;
  /** Log decays are uniform in [decay, 0]. */
  decay: number;
  scale?: number;
  segments?: number[];
  fresh?: boolean;
}

type Arrays =
  & Record<Exclude<keyof Rwkv7BackwardInputs, "initialState">, Float32Array>
  & { initialState?: Float32Array };

/** a and b as RWKV-7 makes them: the removal key κ, |κ| = 1, negated, and κ times its rate in [0, 1]. */
function make(test: Case): { shapes: Record<string, number[]>; arrays: Arrays } {
  const { batch = 1, time, heads = 1, keyDim, valueDim, decay } = test;
  const sequences = test.segments ? test.segments.length - 1 : batch;
  const keys = [batch, time, heads, keyDim];
  const values = [batch, time, heads, valueDim];
  const states = [sequences, heads, keyDim, valueDim];
  const shapes: Record<string, number[]> = {
    receptance: keys,
    logDecay: keys,
    key: keys,
    value: values,
    a: keys,
    b: keys,
    initialState: states,
    outputGradient: values,
    finalStateGradient: states,
  };
  const size = (name: string): number => shapes[name].reduce((a, b) => a * b, 1);
  const removal = unitRows(normals(9, size("key")), keyDim);
  const rate = uniforms(10, size("key"));
  const arrays: Arrays = {
    receptance: normals(1, size("key"), keyDim ** -0.5),
    logDecay: uniforms(8, size("key"), decay, 0),
    key: normals(2, size("key"), keyDim ** -0.5),
    value: normals(3, size("value")),
    a: removal.map((x) => -x),
    b: removal.map((x, i) => x * rate[i]),
    outputGradient: normals(5, size("value")),
    finalStateGradient: normals(6, size("finalStateGradient")),
  };
  if (!test.fresh) arrays.initialState = normals(7, size("initialState"));
  return { shapes, arrays };
}

function unitRows(rows: Float32Array, width: number): Float32Array {
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width);
    const length = Math.hypot(...row);
    row.forEach((x, i) => row[i] = x / length);
  }
  return rows;
}

type Tensors = Rwkv7Inputs & { outputGradient: Tensor; finalStateGradient: Tensor };

function upload(gpu: Gpu, { shapes, arrays }: ReturnType<typeof make>): Tensors {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, data]) => [name, gpu.tensor(shapes[name], data)]),
  ) as unknown as Tensors;
}

function release(tensors: Readonly<Record<string, Tensor>> | Rwkv7Inputs): void {
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
}

async function run(
  gpu: Gpu,
  tensors: Rwkv7Inputs,
  options: Rwkv7Options = {},
): Promise<{ output: Float32Array; finalState: Float32Array }> {
  const { output, finalState } = rwkv7(gpu, tensors, options);
  const values = await gpu.read([output, finalState]);
  release({ output, finalState });
  return { output: values[0] as Float32Array, finalState: values[1] as Float32Array };
}

const cases: Case[] = [
  { time: 1, keyDim: 8, valueDim: 8, decay: -1 },
  { time: 2, batch: 2, keyDim: 60, valueDim: 7, decay: -1, fresh: true },
  { time: 63, heads: 3, keyDim: 8, valueDim: 60, decay: -1 },
  { time: 64, keyDim: 64, valueDim: 64, decay: -0.5 },
  { time: 65, heads: 3, keyDim: 64, valueDim: 8, decay: -20, scale: 0.5 },
  { time: 100, batch: 2, keyDim: 100, valueDim: 128, decay: -20 },
  { time: 257, keyDim: 128, valueDim: 100, decay: -1 },
  { time: 257, heads: 3, keyDim: 8, valueDim: 16, decay: 0 },
  { time: 1000, keyDim: 16, valueDim: 8, decay: -0.01 },
  { time: 15, keyDim: 8, valueDim: 8, decay: -1, segments: [0, 15] },
  { time: 16, heads: 3, keyDim: 8, valueDim: 8, decay: -1, segments: [0, 0, 16] },
  { time: 257, heads: 2, keyDim: 8, valueDim: 8, decay: -1, segments: [0, 1, 100, 257] },
];

for (const test of cases) {
  testKernel(
    `rwkv7() and its gradients equal the reference for ${JSON.stringify(test)}`,
    async () => {
      const gpu = await testGpu();
      const problem = make(test);
      const tensors = upload(gpu, problem);
      const { segments, scale = 1 } = test;
      const shape = { key: problem.shapes.key, value: problem.shapes.value, segments };
      const { output, finalState } = await run(gpu, tensors, { segments, scale });
      const expected = rwkv7Reference(shape, problem.arrays, scale);
      assertClose(output, expected.output, 5e-4, "output");
      assertClose(finalState, expected.finalState, 5e-4, "finalState");

      const gradients = rwkv7Backward(gpu, tensors, { segments, scale });
      const entries = Object.entries(gradients);
      const values = await gpu.read(entries.map(([, tensor]) => tensor));
      const wanted = rwkv7BackwardReference(shape, problem.arrays, scale);
      entries.forEach(([name], i) => {
        assertClose(values[i], wanted[name as keyof typeof wanted], 1e-3, name);
      });
      release({ ...gradients });
      release(tensors);
    },
  );
}

testKernel(
  "rwkv7() does not depend on the chunk size or on how much is worked at once",
  async () => {
    const gpu = await testGpu();
    const problem = make({ time: 150, batch: 2, heads: 2, keyDim: 20, valueDim: 12, decay: -1 });
    const tensors = upload(gpu, problem);
    const plain = await run(gpu, tensors);
    const gradients = rwkv7Backward(gpu, tensors);
    for (
      const options of [{ chunkSize: 64 }, { workspaceBytes: 1 }, {
        chunkSize: 32,
        workspaceBytes: 1e5,
      }]
    ) {
      const what = JSON.stringify(options);
      const { output, finalState } = await run(gpu, tensors, options);
      assertClose(output, plain.output, 1e-5, `output with ${what}`);
      assertClose(finalState, plain.finalState, 1e-5, `finalState with ${what}`);
      const others = rwkv7Backward(gpu, tensors, options);
      for (const [name, tensor] of Object.entries(gradients)) {
        const other = others[name as keyof typeof others]!;
        assertClose(await other.read(), await tensor.read(), 1e-4, `${name} with ${what}`);
      }
      release({ ...others });
    }
    release({ ...gradients });
    release(tensors);
  },
);

testKernel("rwkv7() gives the same bits twice", async () => {
  const gpu = await testGpu();
  const tensors = upload(gpu, make({ time: 100, heads: 3, keyDim: 8, valueDim: 8, decay: -1 }));
  const once = await run(gpu, tensors);
  const twice = await run(gpu, tensors);
  assertEquals(twice, once);
  release(tensors);
});

testKernel("packed sequences equal each on its own, the empty one its initial state", async () => {
  const gpu = await testGpu();
  const segments = [0, 0, 1, 34, 70];
  const problem = make({ time: 70, heads: 2, keyDim: 12, valueDim: 8, decay: -1, segments });
  const tensors = upload(gpu, problem);
  const packed = await run(gpu, tensors, { segments });
  for (let i = 0; i + 1 < segments.length; i++) {
    const slice = cut(gpu, problem, segments[i], segments[i + 1], i);
    const alone = await run(gpu, slice);
    const rows = packed.output.subarray(segments[i] * 2 * 8, segments[i + 1] * 2 * 8);
    assertClose(rows, alone.output, 1e-6, `output of segment ${i}`);
    const state = packed.finalState.subarray(i * 2 * 12 * 8, (i + 1) * 2 * 12 * 8);
    assertClose(state, alone.finalState, 1e-6, `state of segment ${i}`);
    release(slice);
  }
  assertEquals(packed.finalState.subarray(0, 192), problem.arrays.initialState!.subarray(0, 192));
  release(tensors);
});

testKernel("segment by segment, step by step and recurrent equal the whole", async () => {
  const gpu = await testGpu();
  const problem = make({ time: 40, heads: 3, keyDim: 12, valueDim: 8, decay: -1 });
  const tensors = upload(gpu, problem);
  const whole = await run(gpu, tensors);
  const recurrent = rwkv7Recurrent(gpu, tensors);
  assertClose(await recurrent.output.read(), whole.output, 1e-5, "recurrent output");
  assertClose(await recurrent.finalState.read(), whole.finalState, 1e-5, "recurrent state");
  release({ ...recurrent });

  let state = gpu.tensor(problem.shapes.initialState, problem.arrays.initialState);
  const outputs: number[] = [];
  for (const [begin, end] of [[0, 17], [17, 37], [37, 38], [38, 39], [39, 40]]) {
    const { initialState: _, ...tokens } = cut(gpu, problem, begin, end, 0);
    const next = end - begin === 1
      ? rwkv7Step(gpu, { ...tokens, state })
      : rwkv7(gpu, { ...tokens, initialState: state });
    outputs.push(...await next.output.read());
    release({ ...tokens, state, output: next.output });
    state = next.finalState;
  }
  assertClose(outputs, whole.output, 1e-5, "output");
  assertClose(await state.read(), whole.finalState, 1e-5, "finalState");
  release({ state });
  release(tensors);
});

/** Rows [begin, end) of a batch of 1, with the state of one of its sequences. */
function cut(
  gpu: Gpu,
  { shapes, arrays }: ReturnType<typeof make>,
  begin: number,
  end: number,
  sequence: number,
): Rwkv7Inputs {
  const names = ["receptance", "logDecay", "key", "value", "a", "b"] as const;
  const tensors = names.map((name) => {
    const [, time, ...rest] = shapes[name];
    const width = arrays[name].length / time;
    return [
      name,
      gpu.tensor([1, end - begin, ...rest], arrays[name].subarray(begin * width, end * width)),
    ];
  });
  const [, ...rest] = shapes.initialState;
  const size = rest.reduce((a, b) => a * b, 1);
  const state = arrays.initialState!.subarray(sequence * size, (sequence + 1) * size);
  return { ...Object.fromEntries(tensors), initialState: gpu.tensor([1, ...rest], state) };
}

testKernel("rwkv7() stays right over 65,536 tokens", async () => {
  const gpu = await testGpu();
  const problem = make({ time: 65536, keyDim: 8, valueDim: 4, decay: -0.001 });
  const tensors = upload(gpu, problem);
  const { output, finalState } = await run(gpu, tensors);
  const expected = rwkv7Reference(
    { key: problem.shapes.key, value: problem.shapes.value },
    problem.arrays,
  );
  assertClose(output.subarray(-4096), expected.output.subarray(-4096), 5e-4, "the last outputs");
  assertClose(finalState, expected.finalState, 5e-4, "finalState");
  const recurrent = rwkv7Recurrent(gpu, tensors);
  assertClose(await recurrent.finalState.read(), expected.finalState, 5e-4, "recurrent state");
  release({ ...recurrent });
  release(tensors);
});

testKernel("rwkv7() refuses what does not fit", async () => {
  const gpu = await testGpu();
  const tensors = upload(gpu, make({ time: 4, heads: 3, keyDim: 8, valueDim: 6, decay: -1 }));
  using wrong = gpu.tensor([1, 4, 3]);
  const refusals: [Partial<Tensors>, Rwkv7Options, string][] = [
    [{ receptance: wrong }, {}, "receptance must have shape [1,4,3,8]: current shape is [1,4,3]"],
    [
      { value: wrong },
      {},
      "value must have shape [batch, time, heads, valueDim]: current shape is [1,4,3]",
    ],
    [{ a: tensors.value }, {}, "a must have shape [1,4,3,8]: current shape is [1,4,3,6]"],
    [{ logDecay: wrong }, {}, "logDecay must have shape [1,4,3,8]: current shape is [1,4,3]"],
    [
      { initialState: wrong },
      {},
      "initialState must have shape [1,3,8,6]: current shape is [1,4,3]",
    ],
    [{}, { chunkSize: 24 }, "chunkSize must be a multiple of 16: current value is 24"],
    [{}, { segments: [0, 3, 2, 4] }, "segments must rise from 0 to the time 4 of a batch of 1"],
    [{}, { segments: [0, 5] }, "segments must rise from 0 to the time 4 of a batch of 1"],
  ];
  for (const [inputs, options, message] of refusals) {
    assertThrows(
      () => rwkv7(gpu, { ...tensors, ...inputs }, options),
      RangeError,
      `Cannot run rwkv7() as ${message}`,
    );
  }
  assertThrows(
    () => rwkv7Backward(gpu, { ...tensors, outputGradient: wrong }),
    RangeError,
    "Cannot run rwkv7Backward() as outputGradient must have shape [1,4,3,6]",
  );
  const { initialState: state, ...tokens } = tensors;
  assertThrows(
    () => rwkv7Step(gpu, { ...tokens, state: state! }),
    RangeError,
    "Cannot run rwkv7Step() as value must have shape [1,1,3,6]: current shape is [1,4,3,6]",
  );
  release(tensors);
});
