/** Every candidate of every tunable, on awkward shapes, gradients included, against float64. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  definedTunables,
  elementCount,
  Gpu,
  matmul,
  openGpu,
  type Tensor,
} from "../../kernels/mod.ts";
import { attentionReference } from "../../kernels/attention/reference.ts";
import { flashAttentionStep } from "../../kernels/attention/mod.ts";
import { matmulReference } from "../../kernels/matmul/reference.ts";
import { MEASURED } from "../../kernels/measured.ts";
import { ADAPTERS } from "./adapters.ts";
import { openDawn } from "../dawn.ts";
import { assertClose, normals, testGpu, uniforms } from "../testing.ts";

/** Inputs of an op and of its gradients by name: shapes, and the kind of values. */
interface Case {
  readonly op: string;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly options?: object;
}

const key = [1, 70, 2, 24];

function matrixState(op: string, decay: readonly number[]): Case {
  const heads = [1, 70, 4, 12];
  const delta = op === "deltaRule";
  const row = delta ? key : [1, 70, 4, 24];
  return {
    op,
    inputs: {
      query: row,
      key: row,
      value: heads,
      logDecay: [1, 70, 4, ...decay],
      ...(delta ? { beta: [1, 70, 4] } : {}),
      initialState: [1, 4, 24, 12],
      outputGradient: heads,
      finalStateGradient: [1, 4, 24, 12],
    },
  };
}

/** States that an invocation of a software adapter holds: 8 by 12. */
function smallState(op: string, decay: readonly number[]): Case {
  const [keys, values] = [[2, 37, 3, 8], [2, 37, 3, 12]];
  return {
    op,
    inputs: {
      query: keys,
      key: keys,
      value: values,
      logDecay: [2, 37, 3, ...decay],
      ...(op === "deltaRule" ? { beta: [2, 37, 3] } : {}),
      initialState: [2, 3, 8, 12],
      outputGradient: values,
      finalStateGradient: [2, 3, 8, 12],
    },
  };
}

/** What the candidates of each tunable are tried on. */
const CASES: Readonly<Record<string, readonly Case[]>> = {
  attention: [
    {
      op: "flashAttention",
      inputs: {
        query: [2, 67, 4, 16],
        key: [2, 67, 2, 16],
        value: [2, 67, 2, 12],
        outputGradient: [2, 67, 4, 12],
      },
      options: { causal: true, window: 21, sinks: 3 },
    },
    {
      op: "flashAttention",
      inputs: {
        query: [1, 90, 1, 24],
        key: [1, 61, 1, 24],
        value: [1, 61, 1, 24],
        outputGradient: [1, 90, 1, 24],
      },
      options: { causal: false },
    },
  ],
  delta_rule: [
    matrixState("deltaRule", []),
    matrixState("deltaRule", [24]),
    smallState("deltaRule", []),
    smallState("deltaRule", [8]),
    {
      op: "rwkv7",
      inputs: Object.fromEntries([
        ...["receptance", "logDecay", "key", "a", "b"].map((name) => [name, [1, 70, 2, 12]]),
        ...["value", "outputGradient"].map((name) => [name, [1, 70, 2, 20]]),
        ...["initialState", "finalStateGradient"].map((name) => [name, [1, 2, 12, 20]]),
      ]),
    },
  ],
  linear_attention: [
    matrixState("linearAttention", []),
    matrixState("linearAttention", [24]),
    smallState("linearAttention", [8]),
  ],
  matmul: [
    { op: "matmul", inputs: { a: [70, 36], b: [36, 100], outputGradient: [70, 100] } },
    { op: "matmul", inputs: { a: [5, 259], b: [259, 7], outputGradient: [5, 7] } },
  ],
  scan: [
    {
      op: "scan",
      inputs: {
        ...Object.fromEntries(
          ["decay", "input", "outputGradient"].map((name) => [name, [2, 300, 12]]),
        ),
        ...Object.fromEntries(
          ["initialState", "finalStateGradient"].map((name) => [name, [2, 12]]),
        ),
      },
    },
    {
      op: "selectiveScan",
      inputs: {
        input: [1, 300, 6],
        delta: [1, 300, 6],
        a: [6, 5],
        b: [1, 300, 5],
        c: [1, 300, 5],
        skip: [6],
        gate: [1, 300, 6],
        deltaBias: [6],
        initialState: [1, 6, 5],
        outputGradient: [1, 300, 6],
        finalStateGradient: [1, 6, 5],
      },
    },
    {
      op: "selectiveScan",
      inputs: {
        ...Object.fromEntries(
          ["input", "delta", "gate", "outputGradient"].map((name) => [name, [2, 37, 8]]),
        ),
        a: [8, 12],
        b: [2, 37, 12],
        c: [2, 37, 12],
        skip: [8],
        deltaBias: [8],
        initialState: [2, 8, 12],
        finalStateGradient: [2, 8, 12],
      },
    },
  ],
};

/** Values of an input: decays between bounds, keys short. */
function valuesOf(name: string, seed: number, size: number): Float32Array {
  if (name === "decay") return uniforms(seed, size, 0.3, 1);
  if (name === "logDecay") return uniforms(seed, size, -0.5, 0);
  if (name === "beta" || name === "delta") return uniforms(seed, size, 0, 1);
  if (name === "a" || name === "b") return normals(seed, size).map((value) => value / 4);
  return normals(seed, size).map((each) => name === "key" ? each / 5 : each);
}

/** Runs a case on a GPU, and holds it to its reference. */
async function check(gpu: Gpu, { op, inputs, options = {} }: Case, message: string): Promise<void> {
  const arrays: Record<string, Float32Array> = {};
  const tensors: Record<string, Tensor> = {};
  using scope = new DisposableStack();
  Object.entries(inputs).forEach(([name, shape], seed) => {
    arrays[name] = valuesOf(name, seed + 1, elementCount(shape));
    if (op === "selectiveScan" && name === "a") {
      arrays[name] = arrays[name].map((each) => -Math.abs(each));
    }
    tensors[name] = scope.use(gpu.tensor(shape, arrays[name]));
  });
  const { run, reference } = ADAPTERS[op];
  const expected = reference(arrays, inputs, options);
  const actual = run(gpu, tensors, options);
  const names = Object.keys(expected).filter((name) => actual[name] !== undefined);
  assert(names.length > 1, message);
  const values = await gpu.read(names.map((name) => actual[name]!));
  names.forEach((name, i) => assertClose(values[i], expected[name], 5e-4, `${message}: ${name}`));
}

const opened: { software?: Gpu; gpu?: Promise<Gpu> } = {};

/** A software adapter, or one that is taken for a GPU and has subgroups. */
async function gpuOf(software: boolean): Promise<Gpu> {
  if (!software) return await (opened.gpu ??= openDawn());
  const { device, adapter } = await testGpu();
  return opened.software ??= new Gpu(device, { ...adapter, software }, {
    poison: true,
    owns: false,
  });
}

for (const tunable of definedTunables()) {
  for (const software of [true, false]) {
    const kind = software ? "software" : "GPU";
    // The first is the default of most: the tests of its family run with it.
    const [, ...others] = Object.keys(tunable.candidates({ adapter: { name: "", software } }));
    for (const candidate of others) {
      Deno.test(`${tunable.name} of a ${kind}, ${candidate}: equals the reference`, async () => {
        const gpu = await gpuOf(software);
        gpu.choices.force(tunable.name, candidate);
        try {
          const noted = await gpu.choices.noteWhile(async () => {
            const [family] = tunable.name.split("/");
            if (tunable.name === "attention/step") return await checkStep(gpu);
            for (const [i, example] of CASES[family].entries()) {
              await check(gpu, example, `case ${i}`);
            }
            if (family === "matmul") await checkProducts(gpu);
          });
          const taken = noted.filter((each) =>
            each.tunable === tunable.name &&
            tunable.fitting(gpu, each.problem).includes(candidate)
          );
          assert(taken.length > 0, "it fits no case");
        } finally {
          gpu.choices.force(tunable.name, undefined);
        }
      });
    }
  }
}

async function checkStep(gpu: Gpu): Promise<void> {
  const shape = {
    batch: 2,
    queryTime: 1,
    keyTime: 700,
    heads: 4,
    keyHeads: 2,
    dim: 20,
    valueDim: 9,
  };
  const rows = { query: [2, 1, 4, 20], key: [2, 700, 2, 20], value: [2, 700, 2, 9] };
  const arrays = Object.fromEntries(
    Object.entries(rows).map(([name, shape], i) => [name, normals(i, elementCount(shape))]),
  ) as Record<keyof typeof rows, Float32Array>;
  const tensor = (name: keyof typeof rows): Tensor => gpu.tensor(rows[name], arrays[name]);
  const inputs = { query: tensor("query"), key: tensor("key"), value: tensor("value") };
  using step = flashAttentionStep(gpu, inputs);
  assertClose(await step.output.read(), attentionReference(arrays, shape).output, 1e-5, "step");
}

/** Batches, a bias, what the output held; a long sum, which is split; and few rows. */
async function checkProducts(gpu: Gpu): Promise<void> {
  for (
    const { batches, rows, columns, reduction, transposeB } of [
      { batches: 3, rows: 9, columns: 19, reduction: 13, transposeB: false },
      { batches: 1, rows: 33, columns: 65, reduction: 1030, transposeB: true },
      { batches: 1, rows: 2, columns: 65, reduction: 130, transposeB: true },
    ]
  ) {
    const a = normals(1, batches * rows * reduction);
    const b = normals(2, reduction * columns);
    const [bias, before] = [normals(3, columns), normals(4, batches * rows * columns)];
    const expected = matmulReference(a, b, {
      batches,
      rows,
      columns,
      reduction,
      transposeB,
      sharedB: true,
    });
    using output = gpu.tensor([batches, rows, columns], before);
    matmul(gpu, {
      a: gpu.tensor([batches, rows, reduction], a),
      b: gpu.tensor(transposeB ? [columns, reduction] : [reduction, columns], b),
      bias: gpu.tensor([columns], bias),
    }, { transposeB, accumulateInto: output });
    const all = expected.map((sum, i) => sum + before[i] + bias[i % columns]);
    assertClose(await output.read(), all, 1e-5, `${rows} × ${columns} × ${reduction}`);
  }
}

Deno.test("every tunable has work that it is measured on, and cases that its candidates run", () => {
  const names = definedTunables().map(({ name }) => name).sort();
  assertEquals(MEASURED.map(({ tunable }) => tunable).sort(), names);
  assertEquals([...new Set(names.map((name) => name.split("/")[0]))], Object.keys(CASES).sort());
});

Deno.test("a tuning chooses by class, and names what there is", async () => {
  const device = (await testGpu()).device;
  const [name] = ["matmul/product"];
  const of = "A B in f32, 8 × 8 × 8";
  const tuning = { [name]: { [of]: "vector" } };
  await using gpu = await openGpu({ device, tuning });
  const problem = { rows: 7, columns: 8, reduction: 6, transposeA: false, transposeB: false };
  const tunable = definedTunables().find((tunable) => tunable.name === name)!;
  const chosen = tunable.choose(gpu, { ...problem, typeB: "f32" });
  assertEquals(chosen, { algorithm: "vector" });
  assertEquals(tunable.choose(gpu, { ...problem, typeB: "f16" }), { algorithm: "register" });
  await using found = await openGpu({ device, tuning: () => Promise.resolve(tuning) });
  assertEquals(tunable.choose(found, { ...problem, typeB: "f32" }), chosen);
  for (
    const [wrong, message] of [
      [{ "matmul/nothing": {} }, "its tuning names matmul/nothing, which is not a tunable"],
      [{ [name]: { [of]: "nothing" } }, `its tuning gives ${name} "nothing" for ${of}`],
    ] as const
  ) await assertRejects(() => openGpu({ device, tuning: wrong }), RangeError, message);
  await assertRejects(
    () => openGpu({ device, tuning: 3 as never }),
    RangeError,
    "tuning must be candidates by tunable",
  );
});
