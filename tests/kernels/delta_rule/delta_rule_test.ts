import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import {
  deltaRule,
  deltaRuleBackward,
  type DeltaRuleInputs,
  type DeltaRuleOptions,
  deltaRuleRecurrent,
  deltaRuleStep,
} from "../../../kernels/delta_rule/mod.ts";
import {
  deltaRuleBackwardReference,
  deltaRuleReference,
} from "../../../kernels/delta_rule/reference.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../../testing.ts";

interface Case {
  batch?: number;
  time: number;
  heads?: number;
  keyHeads?: number;
  keyDim: number;
  valueDim: number;
  /** Log decays are uniform in [decay, 0]. */
  decay?: number;
  perChannel?: boolean;
  segments?: number[];
  fresh?: boolean;
}

type Arrays =
  & Record<
    "query" | "key" | "value" | "beta" | "outputGradient" | "finalStateGradient",
    Float32Array
  >
  & { logDecay?: Float32Array; initialState?: Float32Array };

function make(test: Case): { shapes: Record<string, number[]>; arrays: Arrays; scale: number } {
  const { batch = 1, time, heads = 1, keyHeads = heads, keyDim, valueDim, decay } = test;
  const sequences = test.segments ? test.segments.length - 1 : batch;
  const shapes: Record<string, number[]> = {
    query: [batch, time, keyHeads, keyDim],
    key: [batch, time, keyHeads, keyDim],
    value: [batch, time, heads, valueDim],
    beta: [batch, time, heads],
    logDecay: [batch, time, heads, ...(test.perChannel ? [keyDim] : [])],
    initialState: [sequences, heads, keyDim, valueDim],
    outputGradient: [batch, time, heads, valueDim],
    finalStateGradient: [sequences, heads, keyDim, valueDim],
  };
  const size = (name: string): number => shapes[name].reduce((a, b) => a * b, 1);
  const arrays: Arrays = {
    query: normals(1, size("query")),
    key: unitRows(normals(2, size("key")), keyDim),
    value: normals(3, size("value")),
    beta: uniforms(4, size("beta"), 0, 2),
    outputGradient: normals(5, size("value")),
    finalStateGradient: normals(6, size("finalStateGradient")),
  };
  if (!test.fresh) arrays.initialState = normals(7, size("initialState"));
  if (decay !== undefined) arrays.logDecay = uniforms(8, size("logDecay"), decay, 0);
  return { shapes, arrays, scale: 1 / Math.sqrt(keyDim) };
}

function unitRows(rows: Float32Array, width: number): Float32Array {
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width);
    const length = Math.hypot(...row);
    row.forEach((x, i) => row[i] = x / length);
  }
  return rows;
}

type Tensors = DeltaRuleInputs & { outputGradient: Tensor; finalStateGradient: Tensor };

function upload(gpu: Gpu, { shapes, arrays }: ReturnType<typeof make>): Tensors {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, data]) => [name, gpu.tensor(shapes[name], data)]),
  ) as unknown as Tensors;
}

function release(tensors: Readonly<Record<string, Tensor>> | DeltaRuleInputs): void {
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
}

async function run(
  gpu: Gpu,
  tensors: DeltaRuleInputs,
  options: DeltaRuleOptions = {},
): Promise<{ output: Float32Array; finalState: Float32Array }> {
  const { output, finalState } = deltaRule(gpu, tensors, options);
  const values = await gpu.read([output, finalState]);
  release({ output, finalState });
  return { output: values[0] as Float32Array, finalState: values[1] as Float32Array };
}

const cases: Case[] = [
  { time: 1, keyDim: 8, valueDim: 8 },
  { time: 2, batch: 2, keyDim: 60, valueDim: 7, fresh: true },
  { time: 63, heads: 3, keyDim: 8, valueDim: 60, decay: -1 },
  { time: 64, keyDim: 64, valueDim: 64, decay: -20 },
  { time: 65, heads: 3, keyDim: 64, valueDim: 8, decay: -1, perChannel: true },
  { time: 100, batch: 2, keyDim: 100, valueDim: 128, decay: -20, perChannel: true },
  { time: 100, heads: 4, keyHeads: 2, keyDim: 8, valueDim: 12, decay: -0.1 },
  { time: 257, keyDim: 128, valueDim: 100 },
  { time: 257, heads: 3, keyDim: 8, valueDim: 16, decay: 0, perChannel: true },
  { time: 1000, keyDim: 16, valueDim: 8, decay: -0.01 },
  { time: 15, keyDim: 8, valueDim: 8, segments: [0, 15] },
  { time: 16, heads: 3, keyDim: 8, valueDim: 8, decay: -1, segments: [0, 0, 16] },
  { time: 257, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, segments: [0, 1, 100, 257] },
];

for (const test of cases) {
  testKernel(
    `deltaRule() and its gradients equal the reference for ${JSON.stringify(test)}`,
    async () => {
      const gpu = await testGpu();
      const problem = make(test);
      const tensors = upload(gpu, problem);
      const { segments } = test;
      const shape = { key: problem.shapes.key, value: problem.shapes.value, segments };
      const { output, finalState } = await run(gpu, tensors, { segments });
      const expected = deltaRuleReference(shape, problem.arrays, problem.scale);
      assertClose(output, expected.output, 5e-4, "output");
      assertClose(finalState, expected.finalState, 5e-4, "finalState");

      const gradients = deltaRuleBackward(gpu, tensors, { segments });
      const entries = Object.entries(gradients);
      const values = await gpu.read(entries.map(([, tensor]) => tensor));
      const wanted = deltaRuleBackwardReference(shape, problem.arrays, problem.scale);
      entries.forEach(([name], i) => {
        assertClose(values[i], wanted[name as keyof typeof wanted], 1e-3, name);
      });
      release({ ...gradients });
      release(tensors);
    },
  );
}

testKernel(
  "deltaRule() does not depend on the chunk size or on how much is worked at once",
  async () => {
    const gpu = await testGpu();
    const problem = make({ time: 150, batch: 2, heads: 2, keyDim: 20, valueDim: 12, decay: -1 });
    const tensors = upload(gpu, problem);
    const plain = await run(gpu, tensors);
    const gradients = deltaRuleBackward(gpu, tensors);
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
      const others = deltaRuleBackward(gpu, tensors, options);
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

testKernel("deltaRule() gives the same bits twice", async () => {
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

for (const perChannel of [false, true]) {
  const title = perChannel ? "a decay a channel" : "a decay a head";
  testKernel(
    `segment by segment, step by step and recurrent equal the whole with ${title}`,
    async () => {
      const gpu = await testGpu();
      const shape = {
        time: 40,
        heads: 4,
        keyHeads: 2,
        keyDim: 12,
        valueDim: 8,
        decay: -1,
        perChannel,
      };
      const problem = make(shape);
      const tensors = upload(gpu, problem);
      const whole = await run(gpu, tensors);
      const recurrent = deltaRuleRecurrent(gpu, tensors);
      assertClose(await recurrent.output.read(), whole.output, 1e-5, "recurrent output");
      assertClose(await recurrent.finalState.read(), whole.finalState, 1e-5, "recurrent state");
      release({ ...recurrent });

      let state = gpu.tensor(problem.shapes.initialState, problem.arrays.initialState);
      const outputs: number[] = [];
      for (const [begin, end] of [[0, 17], [17, 37], [37, 38], [38, 39], [39, 40]]) {
        const { initialState: _, ...tokens } = cut(gpu, problem, begin, end, 0);
        const next = end - begin === 1
          ? deltaRuleStep(gpu, { ...tokens, state })
          : deltaRule(gpu, { ...tokens, initialState: state });
        outputs.push(...await next.output.read());
        release({ ...tokens, state, output: next.output });
        state = next.finalState;
      }
      assertClose(outputs, whole.output, 1e-5, "output");
      assertClose(await state.read(), whole.finalState, 1e-5, "finalState");
      release({ state });
      release(tensors);
    },
  );
}

/** Rows [begin, end) of a batch of 1, with the state of one of its sequences. */
function cut(
  gpu: Gpu,
  { shapes, arrays }: ReturnType<typeof make>,
  begin: number,
  end: number,
  sequence: number,
): DeltaRuleInputs {
  const names = ["query", "key", "value", "beta", "logDecay"] as const;
  const tensors = names.filter((name) => arrays[name]).map((name) => {
    const [, time, ...rest] = shapes[name];
    const width = arrays[name]!.length / time;
    return [
      name,
      gpu.tensor([1, end - begin, ...rest], arrays[name]!.subarray(begin * width, end * width)),
    ];
  });
  const [, ...rest] = shapes.initialState;
  const size = rest.reduce((a, b) => a * b, 1);
  const state = arrays.initialState!.subarray(sequence * size, (sequence + 1) * size);
  return { ...Object.fromEntries(tensors), initialState: gpu.tensor([1, ...rest], state) };
}

testKernel("deltaRule() stays right over 65,536 tokens", async () => {
  const gpu = await testGpu();
  const problem = make({ time: 65536, keyDim: 8, valueDim: 4, decay: -0.001 });
  const tensors = upload(gpu, problem);
  const { output, finalState } = await run(gpu, tensors);
  const expected = deltaRuleReference(
    { key: problem.shapes.key, value: problem.shapes.value },
    problem.arrays,
    problem.scale,
  );
  assertClose(output.subarray(-4096), expected.output.subarray(-4096), 5e-4, "the last outputs");
  assertClose(finalState, expected.finalState, 5e-4, "finalState");
  const recurrent = deltaRuleRecurrent(gpu, tensors);
  assertClose(await recurrent.finalState.read(), expected.finalState, 5e-4, "recurrent state");
  release({ ...recurrent });
  release(tensors);
});

testKernel("deltaRule() refuses what does not fit", async () => {
  const gpu = await testGpu();
  const tensors = upload(gpu, make({ time: 4, heads: 3, keyDim: 8, valueDim: 6, decay: -1 }));
  using wrong = gpu.tensor([1, 4, 3]);
  using twoHeads = gpu.tensor([1, 4, 2, 8]);
  const refusals: [Partial<Tensors>, DeltaRuleOptions, string][] = [
    [{ query: wrong }, {}, "query must have shape [1,4,3,8]: current shape is [1,4,3]"],
    [
      { value: wrong },
      {},
      "value must have shape [batch, time, heads, valueDim]: current shape is [1,4,3]",
    ],
    [{ beta: tensors.query }, {}, "beta must have shape [1,4,3]: current shape is [1,4,3,8]"],
    [
      { logDecay: tensors.value },
      {},
      "logDecay must have shape [1,4,3,8]: current shape is [1,4,3,6]",
    ],
    [
      { initialState: wrong },
      {},
      "initialState must have shape [1,3,8,6]: current shape is [1,4,3]",
    ],
    [
      { query: twoHeads, key: twoHeads },
      {},
      "the key heads must divide the 3 heads: current number is 2",
    ],
    [{}, { chunkSize: 24 }, "chunkSize must be a multiple of 16: current value is 24"],
    [{}, { segments: [0, 3, 2, 4] }, "segments must rise from 0 to the time 4 of a batch of 1"],
    [{}, { segments: [0, 5] }, "segments must rise from 0 to the time 4 of a batch of 1"],
  ];
  for (const [inputs, options, message] of refusals) {
    assertThrows(
      () => deltaRule(gpu, { ...tensors, ...inputs }, options),
      RangeError,
      `Cannot run deltaRule() as ${message}`,
    );
  }
  assertThrows(
    () => deltaRuleBackward(gpu, { ...tensors, outputGradient: wrong }),
    RangeError,
    "Cannot run deltaRuleBackward() as outputGradient must have shape [1,4,3,6]",
  );
  const { initialState: state, ...tokens } = tensors;
  assertThrows(
    () => deltaRuleStep(gpu, { ...tokens, state: state! }),
    RangeError,
    "Cannot run deltaRuleStep() as value must have shape [1,1,3,6]: current shape is [1,4,3,6]",
  );
  release(tensors);
});
