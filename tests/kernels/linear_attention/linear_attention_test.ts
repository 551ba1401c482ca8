import { assertEquals, assertThrows } from "@std/assert";
import type { Tensor } from "../../../kernels/gpu/mod.ts";
import {
  linearAttention,
  linearAttentionBackward,
  linearAttentionRecurrent,
  linearAttentionStep,
} from "../../../kernels/linear_attention/mod.ts";
import {
  linearAttentionBackwardReference,
  linearAttentionReference,
  type LinearAttentionShape,
} from "../../../kernels/linear_attention/reference.ts";
import { assertClose, normals, testGpu, testKernel, uniforms } from "../../testing.ts";

/** One call: its extents, and how strongly it decays. */
interface Case {
  batch?: number;
  time: number;
  heads?: number;
  groups?: number;
  keyDim: number;
  valueDim: number;
  decay: "none" | "head" | "key";
  /** Log decays are uniform between these. */
  range?: [number, number];
  bonus?: boolean;
  initial?: boolean;
  chunkSize?: number;
  workspaceBytes?: number;
  segments?: number[];
}

function describe(c: Case): string {
  const shape = `${c.batch ?? 1} × ${c.time} × ${c.heads ?? 1}/${
    c.groups ?? c.heads ?? 1
  } × ${c.keyDim} × ${c.valueDim}`;
  const decay = c.decay === "none" ? "no decay" : `decay a ${c.decay} in [${c.range ?? [-1, 0]}]`;
  return [
    shape,
    decay,
    c.bonus && "bonus",
    c.initial && "initial state",
    c.segments && `segments [${c.segments}]`,
    c.chunkSize && `chunks of ${c.chunkSize}`,
    c.workspaceBytes && `slabs of ${c.workspaceBytes} bytes`,
  ].filter(Boolean).join(", ");
}

type Name =
  | "query"
  | "key"
  | "value"
  | "logDecay"
  | "bonus"
  | "initialState"
  | "outputGradient"
  | "finalStateGradient";
type Optional = "logDecay" | "bonus" | "initialState" | "finalStateGradient";
type Of<Value> =
  & { [N in Exclude<Name, Optional>]: Value }
  & { [N in Optional]: Value | undefined };

/** One call's data. */
interface Inputs {
  shape: LinearAttentionShape;
  arrays: Of<Float32Array>;
  shapes: Record<Name, number[]>;
}

function makeInputs(c: Case): Inputs {
  const { batch = 1, time, heads = 1, groups = heads, keyDim, valueDim, segments } = c;
  const [low, high] = c.range ?? [-1, 0];
  const sequences = segments ? segments.length - 1 : batch;
  const shape = { batch, time, heads, groups, keyDim, valueDim, segments };
  const tokens = batch * time;
  const stateShape = [sequences, heads, keyDim, valueDim];
  const stateSize = sequences * heads * keyDim * valueDim;
  const decaySize = tokens * heads * (c.decay === "key" ? keyDim : 1);
  return {
    shape,
    arrays: {
      query: normals(1, tokens * groups * keyDim),
      key: normals(2, tokens * groups * keyDim),
      value: normals(3, tokens * heads * valueDim),
      logDecay: c.decay === "none" ? undefined : uniforms(4, decaySize, low, high),
      bonus: c.bonus ? normals(5, heads * keyDim) : undefined,
      initialState: c.initial ? normals(6, stateSize) : undefined,
      outputGradient: normals(7, tokens * heads * valueDim),
      finalStateGradient: c.initial ? normals(8, stateSize) : undefined,
    },
    shapes: {
      query: [batch, time, groups, keyDim],
      key: [batch, time, groups, keyDim],
      value: [batch, time, heads, valueDim],
      logDecay: c.decay === "key" ? [batch, time, heads, keyDim] : [batch, time, heads],
      bonus: [heads, keyDim],
      initialState: stateShape,
      outputGradient: [batch, time, heads, valueDim],
      finalStateGradient: stateShape,
    },
  };
}

async function upload({ arrays, shapes }: Inputs): Promise<Of<Tensor>> {
  const gpu = await testGpu();
  return Object.fromEntries(
    Object.entries(arrays).map(([name, data]) => [
      name,
      data && gpu.tensor(shapes[name as Name], data),
    ]),
  ) as Of<Tensor>;
}

async function checkCase(c: Case): Promise<void> {
  const gpu = await testGpu();
  const inputs = makeInputs(c);
  const tensors = await upload(inputs);
  const { segments, chunkSize, workspaceBytes } = c;
  const options = { segments, chunkSize, workspaceBytes };
  const outputs = linearAttention(gpu, tensors, options);
  const gradients = linearAttentionBackward(gpu, tensors, options);
  const recurrent = linearAttentionRecurrent(gpu, tensors, { segments: c.segments });
  const alone = linearAttention(gpu, tensors, { ...options, finalState: false });
  const results: Record<string, Tensor | undefined> = { ...outputs, ...gradients };
  const names = Object.entries(results).flatMap(([name, tensor]) => tensor ? [name] : []);
  const values = await gpu.read(names.map((name) => results[name]!));
  const expected = {
    ...linearAttentionReference(inputs.arrays, inputs.shape),
    ...linearAttentionBackwardReference(inputs.arrays, inputs.shape),
  };
  names.forEach((name, i) => {
    const bound = name === "output" || name === "finalState" ? 1e-4 : 1e-3;
    assertClose(values[i], expected[name as keyof typeof expected], bound, name);
  });
  const tokenByToken = await gpu.read([recurrent.output, recurrent.finalState]);
  assertClose(tokenByToken[0], expected.output, 1e-4, "recurrent output");
  assertClose(tokenByToken[1], expected.finalState, 1e-4, "recurrent finalState");
  const { output, finalState } = alone;
  assertClose(await output.read(), expected.output, 1e-4, "output without a final state");
  for (const tensor of [output, finalState, recurrent.output, recurrent.finalState]) {
    tensor[Symbol.dispose]();
  }
  for (const tensor of [...Object.values(results), ...Object.values(tensors)]) {
    tensor?.[Symbol.dispose]();
  }
}

const CASES: Case[] = [
  { time: 0, heads: 2, keyDim: 8, valueDim: 12, decay: "key", initial: true },
  { time: 1, heads: 3, keyDim: 8, valueDim: 16, decay: "none", initial: true },
  { time: 65, heads: 3, keyDim: 16, valueDim: 8, decay: "none", initial: true },
  { batch: 2, time: 100, heads: 4, groups: 1, keyDim: 8, valueDim: 24, decay: "none" },
  { time: 1, keyDim: 8, valueDim: 8, decay: "head", initial: true },
  { time: 63, heads: 3, keyDim: 16, valueDim: 24, decay: "head", initial: true },
  { batch: 3, time: 64, heads: 4, groups: 2, keyDim: 16, valueDim: 8, decay: "head" },
  {
    batch: 2,
    time: 33,
    heads: 4,
    groups: 1,
    keyDim: 12,
    valueDim: 10,
    decay: "head",
    range: [-20, 0],
  },
  { batch: 2, time: 9, heads: 2, keyDim: 8, valueDim: 8, decay: "head", workspaceBytes: 1 },
  { batch: 2, time: 33, heads: 4, groups: 2, keyDim: 8, valueDim: 8, decay: "none" },
  { time: 60, heads: 2, keyDim: 8, valueDim: 8, decay: "head", segments: [0, 0, 1, 30, 60] },
  // Many sequences with small states: token by token in registers on a software adapter.
  { batch: 8, time: 33, heads: 2, keyDim: 16, valueDim: 16, decay: "key", initial: true },
  { batch: 16, time: 9, keyDim: 4, valueDim: 8, decay: "key", range: [-20, 0] },
  { batch: 17, time: 1, keyDim: 4, valueDim: 12, decay: "key", initial: true },
  { time: 100, keyDim: 128, valueDim: 100, decay: "head", range: [-20, 0], initial: true },
  { time: 257, keyDim: 8, valueDim: 60, decay: "head", range: [-1e-3, 0], initial: true },
  { time: 65, keyDim: 12, valueDim: 8, decay: "head", range: [-20, -20], initial: true },
  { time: 2, heads: 3, keyDim: 8, valueDim: 8, decay: "key", initial: true },
  { batch: 2, time: 65, heads: 3, keyDim: 60, valueDim: 8, decay: "key", initial: true },
  { time: 100, keyDim: 64, valueDim: 60, decay: "key", range: [-20, 0], initial: true },
  { time: 257, heads: 3, keyDim: 8, valueDim: 16, decay: "key", range: [-1e-3, 0], initial: true },
  { time: 1000, heads: 1, keyDim: 8, valueDim: 16, decay: "key", range: [-1, 0], initial: true },
  { time: 1000, heads: 3, keyDim: 16, valueDim: 8, decay: "head", range: [-1, 0], initial: true },
  { time: 100, heads: 4, groups: 2, keyDim: 16, valueDim: 8, decay: "key", initial: true },
  { time: 65, keyDim: 8, valueDim: 8, decay: "key", range: [-20, -20], initial: true },
  { time: 65, keyDim: 8, valueDim: 8, decay: "key", range: [0, 0], initial: true },
  { time: 100, heads: 2, keyDim: 12, valueDim: 8, decay: "key", bonus: true, initial: true },
  { time: 257, heads: 2, groups: 1, keyDim: 8, valueDim: 8, decay: "key", bonus: true },
  { time: 65, heads: 2, keyDim: 12, valueDim: 8, decay: "none", bonus: true, initial: true },
  { time: 15, heads: 2, keyDim: 8, valueDim: 8, decay: "key", segments: [0, 15] },
  {
    time: 16,
    heads: 2,
    keyDim: 8,
    valueDim: 8,
    decay: "none",
    segments: [0, 0, 16],
    initial: true,
  },
  { time: 257, keyDim: 8, valueDim: 16, decay: "head", segments: [0, 1, 100, 257], initial: true },
  {
    time: 257,
    keyDim: 8,
    valueDim: 8,
    decay: "key",
    bonus: true,
    segments: [0, 1, 1, 100, 257],
    initial: true,
  },
  { time: 100, heads: 2, keyDim: 8, valueDim: 8, decay: "head", initial: true, chunkSize: 8 },
  { time: 257, heads: 2, keyDim: 8, valueDim: 8, decay: "key", initial: true, chunkSize: 64 },
  { time: 257, heads: 2, keyDim: 8, valueDim: 8, decay: "none", initial: true, chunkSize: 128 },
  {
    batch: 3,
    time: 100,
    heads: 2,
    keyDim: 8,
    valueDim: 8,
    decay: "key",
    initial: true,
    chunkSize: 16,
    workspaceBytes: 12_288,
  },
  { batch: 2, time: 64, keyDim: 8, valueDim: 8, decay: "none", chunkSize: 16, workspaceBytes: 1 },
  {
    time: 257,
    keyDim: 8,
    valueDim: 8,
    decay: "key",
    bonus: true,
    segments: [0, 0, 1, 100, 100, 257, 257],
    initial: true,
    chunkSize: 16,
    workspaceBytes: 6144,
  },
  {
    time: 257,
    heads: 4,
    groups: 2,
    keyDim: 8,
    valueDim: 8,
    decay: "head",
    segments: [0, 32, 64, 257],
    initial: true,
    chunkSize: 16,
    workspaceBytes: 16_384,
  },
];

for (const c of CASES) {
  testKernel(
    `linearAttention() and its gradients equal the reference: ${describe(c)}`,
    () => checkCase(c),
  );
}

testKernel("linearAttention() fed segment by segment equals the whole, gradients too", async () => {
  const gpu = await testGpu();
  const whole = makeInputs({
    time: 100,
    heads: 2,
    keyDim: 12,
    valueDim: 8,
    decay: "key",
    initial: true,
  });
  const { arrays } = whole;
  const expected = linearAttentionReference(arrays, whole.shape);
  const gradients = linearAttentionBackwardReference(arrays, whole.shape);
  const cuts = [0, 37, 70, 100];
  const rows = { query: 24, key: 24, value: 16, logDecay: 24, outputGradient: 16 };
  const part = (name: keyof typeof rows, s: number): Tensor => {
    const [batch, , ...rest] = whole.shapes[name];
    const data = arrays[name]!.subarray(cuts[s] * rows[name], cuts[s + 1] * rows[name]);
    return gpu.tensor([batch, cuts[s + 1] - cuts[s], ...rest], data);
  };
  const states = [gpu.tensor(whole.shapes.initialState, arrays.initialState)];
  const inputs = [0, 1, 2].map((s) => ({
    query: part("query", s),
    key: part("key", s),
    value: part("value", s),
    logDecay: part("logDecay", s),
  }));
  for (const [s, input] of inputs.entries()) {
    const { output, finalState } = linearAttention(gpu, { ...input, initialState: states[s] });
    states.push(finalState);
    const from = cuts[s] * rows.value;
    assertClose(
      await output.read(),
      expected.output.subarray(from, from + output.size),
      1e-4,
      `output of segment ${s}`,
    );
  }
  assertClose(await states[3].read(), expected.finalState, 1e-4, "finalState");
  let finalStateGradient = gpu.tensor(whole.shapes.initialState, arrays.finalStateGradient);
  for (const s of [2, 1, 0]) {
    const {
      initialStateGradient,
      logDecayGradient,
      keyGradient,
    } = linearAttentionBackward(gpu, {
      ...inputs[s],
      initialState: states[s],
      outputGradient: part("outputGradient", s),
      finalStateGradient,
    });
    finalStateGradient = initialStateGradient!;
    const from = cuts[s] * rows.key;
    const to = cuts[s + 1] * rows.key;
    assertClose(
      await keyGradient.read(),
      gradients.keyGradient.subarray(from, to),
      1e-3,
      `keyGradient of segment ${s}`,
    );
    assertClose(
      await logDecayGradient!.read(),
      gradients.logDecayGradient.subarray(from, to),
      1e-3,
      `logDecayGradient of segment ${s}`,
    );
  }
  assertClose(
    await finalStateGradient.read(),
    gradients.initialStateGradient,
    1e-3,
    "initialStateGradient",
  );
});

for (const decay of ["none", "head", "key"] as const) {
  testKernel(
    `linearAttention() is right at the end of 65,536 tokens, decay a ${decay}`,
    async () => {
      const gpu = await testGpu();
      const c: Case = { time: 65_536, keyDim: 8, valueDim: 8, decay, range: [-0.02, 0] };
      const { shape, shapes, arrays } = makeInputs(c);
      const inputs = {
        query: gpu.tensor(shapes.query, arrays.query),
        key: gpu.tensor(shapes.key, arrays.key),
        value: gpu.tensor(shapes.value, arrays.value),
        logDecay: arrays.logDecay && gpu.tensor(shapes.logDecay, arrays.logDecay),
      };
      const results = linearAttention(gpu, inputs);
      const [output, finalState] = await gpu.read([results.output, results.finalState]);
      const expected = linearAttentionReference(arrays, shape);
      assertClose(output.slice(-8 * 64), expected.output.slice(-8 * 64), 1e-4, "output");
      assertClose(output, expected.output, 1e-4, "output, whole");
      assertClose(finalState, expected.finalState, 1e-4, "finalState");
      for (const tensor of [...Object.values(inputs), ...Object.values(results)]) {
        tensor?.[Symbol.dispose]();
      }
    },
  );
}

testKernel("linearAttention() and its gradients give all their memory back", async () => {
  const gpu = await testGpu();
  const c: Case = { time: 20, keyDim: 6, valueDim: 5, decay: "key", bonus: true, initial: true };
  const tensors = await upload(makeInputs(c));
  const run = (): void => {
    const results = {
      ...linearAttention(gpu, tensors),
      ...linearAttentionBackward(gpu, tensors),
    };
    const recurrent = linearAttentionRecurrent(gpu, tensors);
    for (const tensor of [...Object.values(results), ...Object.values(recurrent)]) {
      tensor?.[Symbol.dispose]();
    }
  };
  run(); // the tables of chunks stay
  const before = gpu.memory.current;
  run();
  assertEquals(gpu.memory.current, before);
  for (const tensor of Object.values(tensors)) tensor?.[Symbol.dispose]();
});

testKernel("linearAttention() refuses shapes that do not fit", async () => {
  const gpu = await testGpu();
  using query = gpu.tensor([1, 4, 2, 8]);
  using value = gpu.tensor([1, 4, 4, 8]);
  using odd = gpu.tensor([1, 4, 3, 8]);
  using logDecay = gpu.tensor([1, 4, 2]);
  const refusals: [() => unknown, string][] = [
    [
      () => linearAttention(gpu, { query, key: odd, value }),
      "Cannot run linearAttention() as key must have shape [1,4,2,8]: current shape is [1,4,3,8]",
    ],
    [
      () => linearAttention(gpu, { query, key: query, value: odd }),
      "Cannot run linearAttention() as the heads of value must be a multiple of the groups of query: current numbers are 3 and 2",
    ],
    [
      () => linearAttention(gpu, { query, key: query, value, logDecay }),
      "Cannot run linearAttention() as logDecay must have shape [1,4,4]: current shape is [1,4,2]",
    ],
    [
      () => linearAttention(gpu, { query, key: query, value }, { chunkSize: 12 }),
      "Cannot run linearAttention() as chunkSize must be a positive multiple of 8: current value is 12",
    ],
    [
      () => linearAttention(gpu, { query, key: query, value }, { segments: [0, 3] }),
      "Cannot run linearAttention() as segments must rise from 0 to 4: current value is [0,3]",
    ],
    [
      () => linearAttentionBackward(gpu, { query, key: query, value, outputGradient: query }),
      "Cannot run linearAttentionBackward() as outputGradient must have shape [1,4,4,8]: current shape is [1,4,2,8]",
    ],
    [
      () => linearAttentionStep(gpu, { query, key: query, value, state: value }),
      "Cannot run linearAttentionStep() as it takes one token: current shape of query is [1,4,2,8]",
    ],
  ];
  for (const [call, message] of refusals) assertThrows(call, RangeError, message);
});

for (const decay of ["none", "head", "key"] as const) {
  testKernel(
    `linearAttentionStep() token by token equals linearAttention(), decay a ${decay}`,
    async () => {
      const gpu = await testGpu();
      const c: Case = {
        batch: 2,
        time: 9,
        heads: 4,
        groups: 2,
        keyDim: 12,
        valueDim: 6,
        decay,
        bonus: decay === "key",
        initial: true,
      };
      const { shape, shapes, arrays } = makeInputs(c);
      const expected = linearAttentionReference(arrays, shape);
      const token = (name: "query" | "key" | "value" | "logDecay", t: number): Tensor => {
        const [batch, time, ...rest] = shapes[name];
        const size = rest.reduce((product, extent) => product * extent, 1);
        const data = new Float32Array(batch * size);
        for (let b = 0; b < batch; b++) {
          const start = (b * time + t) * size;
          data.set(arrays[name]!.subarray(start, start + size), b * size);
        }
        return gpu.tensor([batch, 1, ...rest], data);
      };
      using bonus = arrays.bonus && gpu.tensor(shapes.bonus, arrays.bonus);
      let state = gpu.tensor(shapes.initialState, arrays.initialState);
      const size = 4 * 6;
      const output = new Float64Array(expected.output.length);
      for (let t = 0; t < c.time; t++) {
        using query = token("query", t);
        using key = token("key", t);
        using value = token("value", t);
        using logDecay = decay === "none" ? undefined : token("logDecay", t);
        const inputs = { query, key, value, logDecay, bonus, state };
        const step = linearAttentionStep(gpu, inputs);
        state[Symbol.dispose]();
        state = step.finalState;
        using row = step.output;
        const values = await row.read();
        for (let b = 0; b < 2; b++) {
          output.set(values.subarray(b * size, (b + 1) * size), (b * c.time + t) * size);
        }
      }
      assertClose(output, expected.output, 1e-4, "output");
      assertClose(await state.read(), expected.finalState, 1e-4, "finalState");
      state[Symbol.dispose]();
    },
  );
}
