import { assertEquals, assertThrows } from "@std/assert";
import { ACTIVATION_REFERENCE } from "../../../kernels/activation/reference.ts";
import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import { type Gpu, openGpu, type Tensor } from "../../../kernels/gpu/mod.ts";
import { project } from "../../../kernels/matmul/mod.ts";
import { projectReference } from "../../../kernels/matmul/reference.ts";
import { quantize, QuantizedMatrix, type QuantizedType } from "../../../kernels/storage/mod.ts";
import { quantizeReference } from "../../../kernels/storage/reference.ts";
import { assertClose, halves, normals, testGpu, testKernel, testTilings } from "../../testing.ts";

interface Case {
  rows: number;
  reduction: number;
  sizes: number[];
  norm?: boolean;
  addend?: boolean;
  biases?: boolean[];
  kinds?: (ActivationKind | undefined)[];
  factor?: number;
  f16?: boolean;
}

const CASES: Case[] = [
  { rows: 1, reduction: 4, sizes: [1] },
  { rows: 1, reduction: 64, sizes: [64, 32, 33, 1, 130, 7], norm: true },
  { rows: 3, reduction: 100, sizes: [5, 250], addend: true, biases: [false, true], factor: 0.25 },
  {
    rows: 2,
    reduction: 260,
    sizes: [40, 3, 9],
    norm: true,
    addend: true,
    biases: [true, true, false],
    kinds: ["log_sigmoid", undefined, "softplus"],
    factor: 1 / 16,
  },
  { rows: 1, reduction: 1028, sizes: [12, 12], norm: true, biases: [true, false], f16: true },
];

for (
  const { rows, reduction, sizes, norm, addend, biases = [], kinds = [], factor, f16 } of CASES
) {
  const name = `${rows} × ${reduction} × [${sizes}]${norm ? ", normed" : ""}${f16 ? ", f16" : ""}`;
  testKernel(`project() equals the reference for ${name}`, async () => {
    for (const [tiling, gpu] of await testTilings()) {
      if (f16 && !gpu.supportsF16) continue;
      const round = (values: Float32Array): Float32Array => f16 ? halves(values) : values;
      const dtype = f16 ? "f16" : "f32";
      const data = normals(1, rows * reduction).map((value) => 3 * value);
      const weights = sizes.map((size, i) => round(normals(10 + i, size * reduction)));
      const biasData = sizes.map((size, i) => biases[i] ? round(normals(20 + i, size)) : undefined);
      const normData = norm ? normals(2, reduction) : undefined;
      const addendData = addend ? normals(3, rows * sizes[0]) : undefined;
      using x = gpu.tensor([rows, 1, reduction], data);
      using scope = new DisposableStack();
      using projected = project(gpu, {
        x,
        projections: sizes.map((size, i) => {
          const bias = biasData[i] && scope.use(gpu.tensor([size], biasData[i], dtype));
          const weight = scope.use(gpu.tensor([size, reduction], weights[i], dtype));
          return { weight, bias, activation: kinds[i] };
        }),
        normWeight: normData && scope.use(gpu.tensor([reduction], normData)),
        addend: addendData && scope.use(gpu.tensor([rows, 1, sizes[0]], addendData)),
      }, { factor, epsilon: 1e-3 });
      const outputs = await gpu.read(projected.outputs);
      outputs.forEach((output, i) => {
        const expected = projectReference(
          {
            x: data,
            weight: weights[i],
            bias: biasData[i],
            normWeight: normData,
            addend: i === 0 ? addendData : undefined,
          },
          { rows, columns: sizes[i], reduction },
          { epsilon: 1e-3, factor, activation: kinds[i] && ACTIVATION_REFERENCE[kinds[i]] },
        );
        assertClose(output, expected, 1e-6, `output ${i}, ${tiling}`);
      });
    }
  });
}

for (const kind of ["silu", "gelu"] as const) {
  testKernel(
    `project() multiplies one projection by the other where ${kind} gates it`,
    async () => {
      for (const [tiling, gpu] of await testTilings()) {
        const [rows, reduction, columns] = [2, 36, 70];
        const data = normals(1, rows * reduction);
        const [gateData, upData] = [
          normals(2, columns * reduction),
          normals(3, columns * reduction),
        ];
        const biasData = normals(4, columns);
        const normData = normals(5, reduction);
        using x = gpu.tensor([rows, reduction], data);
        using gate = gpu.tensor([columns, reduction], gateData);
        using up = gpu.tensor([columns, reduction], upData);
        using bias = gpu.tensor([columns], biasData);
        using normWeight = gpu.tensor([reduction], normData);
        using projected = project(gpu, {
          x,
          normWeight,
          projections: [{ weight: gate, bias, activation: kind }, { weight: up, bias }],
        }, { gated: true });
        const extents = { rows, columns, reduction };
        const shared = { x: data, normWeight: normData, bias: biasData };
        const activation = ACTIVATION_REFERENCE[kind];
        const gates = projectReference({ ...shared, weight: gateData }, extents, { activation });
        const ups = projectReference({ ...shared, weight: upData }, extents);
        const expected = gates.map((value, i) => value * ups[i]);
        assertClose(await projected.outputs[0].read(), expected, 1e-6, tiling);
      }
    },
  );
}

/** A weight in blocks of so many rows, and what it stands for. */
function stored(
  gpu: Gpu,
  scope: DisposableStack,
  values: Float32Array,
  { reduction, rows, dtype }: { reduction: number; rows: number[]; dtype: QuantizedType | "f32" },
): { weight: (Tensor | QuantizedMatrix)[]; values: ArrayLike<number> } {
  let first = 0;
  const weight = rows.map((count) => {
    const part = values.slice(first * reduction, (first += count) * reduction);
    if (dtype === "f32") return scope.use(gpu.tensor([count, reduction], part));
    const output = scope.use(new QuantizedMatrix(gpu, [count, reduction], dtype));
    using elements = gpu.tensor([part.length], new Uint32Array(part.buffer), "u32");
    using flags = gpu.tensor([1], undefined, "u32");
    quantize(gpu, { stored: elements, output, flags }, { from: "f32", rows: count });
    return output;
  });
  if (dtype === "f32") return { weight, values };
  const bits = dtype === "int8" ? 8 : 4;
  return {
    weight,
    values: quantizeReference(values, { columns: reduction, bits, group: 32 }).values,
  };
}

/** What is projected, and how much of it there is. */
const STORED: { rows: number; reduction: number; blocks: number[][] }[] = [
  { rows: 1, reduction: 4, blocks: [[3]] },
  { rows: 2, reduction: 36, blocks: [[16, 5], [9], [33]] },
  { rows: 3, reduction: 260, blocks: [[16, 16, 3]] },
];

async function checkStored(gpu: Gpu, tiling: string): Promise<void> {
  for (const dtype of ["f32", "int8", "int4"] as const) {
    for (const { rows, reduction, blocks } of STORED) {
      using scope = new DisposableStack();
      const data = normals(1, rows * reduction);
      const normWeight = normals(2, reduction);
      const sizes = blocks.map((rows) => rows.reduce((sum, count) => sum + count));
      const addend = normals(3, rows * sizes[0]);
      const products = blocks.map((rows, i) => ({
        ...stored(gpu, scope, normals(10 + i, sizes[i] * reduction), { reduction, rows, dtype }),
        bias: normals(20 + i, sizes[i]),
      }));
      using x = gpu.tensor([rows, reduction], data);
      const inputs = {
        x,
        normWeight: scope.use(gpu.tensor([reduction], normWeight)),
        addend: scope.use(gpu.tensor([rows, sizes[0]], addend)),
        projections: products.map(({ weight, bias }) => ({
          weight: weight.length === 1 ? weight[0] : weight,
          bias: scope.use(gpu.tensor([bias.length], bias)),
          activation: "silu" as const,
        })),
      };
      const expected = (i: number, activation?: (value: number) => number): Float64Array =>
        projectReference(
          {
            x: data,
            weight: products[i].values,
            bias: products[i].bias,
            normWeight,
          },
          { rows, columns: sizes[i], reduction },
          { factor: activation && 0.5, activation },
        );
      const [first] = inputs.projections;
      const what = `${rows} × ${reduction} × [${sizes}] in ${dtype}, ${tiling}`;
      using projected = project(gpu, inputs, { factor: 0.5 });
      const up = { weight: first.weight, bias: first.bias };
      using gated = project(gpu, { ...inputs, projections: [first, up] }, {
        gated: true,
        factor: 0.5,
      });
      const outputs = await gpu.read([...projected.outputs, ...gated.outputs]);
      const silu = products.map((_, i) => expected(i, ACTIVATION_REFERENCE.silu));
      silu.forEach((values, i) => {
        const sums = values.map((value, j) => value + (i === 0 ? addend[j] : 0));
        assertClose(outputs[i], sums, 1e-6, `output ${i} of ${what}`);
      });
      const ups = expected(0);
      const times = silu[0].map((value, j) => value * ups[j] + addend[j]);
      assertClose(outputs.at(-1)!, times, 1e-6, `gated, ${what}`);
    }
  }
}

testKernel("project() takes weights in integers and in blocks of rows", async () => {
  for (const [tiling, gpu] of await testTilings()) await checkStored(gpu, tiling);
});

Deno.test("project() takes them where a dispatch has no more bindings than every device allows", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter!.requestDevice();
  assertEquals(device.limits.maxStorageBuffersPerShaderStage, 8);
  {
    await using gpu = await openGpu({ device, poison: true });
    await checkStored(gpu, "8 bindings");
  }
  device.destroy();
});

testKernel(
  "project() of rows of a weight has the bits of those rows as weights of their own",
  async () => {
    for (const [, gpu] of await testTilings()) {
      const [reduction, sizes] = [36, [5, 70, 3]];
      const all = sizes.reduce((sum, size) => sum + size);
      const weightData = normals(1, all * reduction);
      const biasData = normals(2, all);
      for (const dtype of ["f32", "int8", "int4"] as const) {
        using scope = new DisposableStack();
        const x = scope.use(gpu.tensor([2, reduction], normals(3, 2 * reduction)));
        const put = (first: number, count: number): [Tensor | QuantizedMatrix, Tensor] => {
          const part = weightData.slice(first * reduction, (first + count) * reduction);
          const { weight } = stored(gpu, scope, part, { reduction, rows: [count], dtype });
          const bias = gpu.tensor([count], biasData.slice(first, first + count));
          return [weight[0], scope.use(bias)];
        };
        const [weight, bias] = put(0, all);
        let first = 0;
        const cuts = sizes.map((count) => [(first += count) - count, count] as const);
        const activation = "silu" as const;
        const windows = cuts.map((rows) => ({ weight, bias, rows, activation }));
        const parts = cuts.map((rows) => {
          const [weight, bias] = put(...rows);
          return { weight, bias, activation };
        });
        const [expected, actual] = [parts, windows].map((projections) =>
          scope.use(project(gpu, { x, projections })).outputs
        );
        const wanted = await gpu.read(expected);
        assertEquals(await gpu.read(actual), wanted, dtype);
        // The same in blocks, whose ends are not those of the parts.
        const { weight: blocks } = stored(gpu, scope, weightData, {
          reduction,
          rows: [16, 48, all - 64],
          dtype,
        });
        const cut = scope.use(project(gpu, {
          x,
          projections: windows.map((each) => ({ ...each, weight: blocks })),
        }));
        (await gpu.read(cut.outputs)).forEach((values, i) =>
          assertClose(values, wanted[i], 1e-6, `${dtype}, output ${i} of blocks`)
        );
        const bySecond = [windows[2], {
          ...windows[0],
          rows: [2, 3] as const,
          activation: undefined,
        }];
        const [[whole], [inBlocks]] = [
          bySecond,
          bySecond.map((each) => ({ ...each, weight: blocks })),
        ]
          .map((projections) =>
            scope.use(project(gpu, { x, projections }, { gated: true })).outputs
          );
        assertClose(await inBlocks.read(), await whole.read(), 1e-6, `${dtype}, gated, in blocks`);
        const [same, gated] = [parts[1], windows[1]].map((gate) => {
          const projections = [gate, { ...gate, activation: undefined }];
          return scope.use(project(gpu, { x, projections }, { gated: true })).outputs[0];
        });
        assertEquals(await gated.read(), await same.read(), `${dtype}, gated`);
      }
    }
  },
);

testKernel("project() refuses what does not fit", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([1, 8]);
  using odd = gpu.tensor([1, 6]);
  using weight = gpu.tensor([3, 8]);
  using other = gpu.tensor([2, 8]);
  const refuse = (inputs: Parameters<typeof project>[1], message: string, gated = false): void => {
    assertThrows(() => project(gpu, inputs, { gated }), RangeError, message);
  };
  refuse({ x: odd, projections: [{ weight: odd }] }, "must be a multiple of 4");
  refuse({ x, projections: [] }, "there must be 1 to 6 projections");
  refuse({ x, projections: [{ weight }] }, "there must be 2 projections", true);
  refuse({ x, projections: [{ weight }, { weight: other }] }, "must have shape [3,8]", true);
  refuse(
    { x, projections: [{ weight }, { weight, activation: "silu" }] },
    "with gated where projections[1] has an activation: current activation is silu",
    true,
  );
  for (const rows of [[1, 3], [-1, 2], [0.5, 1], [0, -1]] as const) {
    refuse(
      { x, projections: [{ weight, rows }] },
      `projections[0].rows must be the first and the number of some of 3 rows: current value is [${
        rows.join(", ")
      }]`,
    );
  }
  refuse({ x, projections: [{ weight: [weight, weight], rows: [4, 3] }] }, "some of 6 rows");
  refuse(
    { x, projections: [{ weight }, { weight, rows: [0, 2] }] },
    "with gated where projections have 3 and 2 rows: give both as many",
    true,
  );
  refuse({ x, projections: [{ weight: odd }] }, "projections[0].weight must have shape [1,8]");
  refuse({ x, projections: [{ weight }], addend: x }, "addend must have shape [1,3]");
  using integers = new QuantizedMatrix(gpu, [3, 8], "int8");
  using wide = new QuantizedMatrix(gpu, [3, 12], "int8");
  using bias = gpu.tensor([3]);
  using integerBias = gpu.tensor([3], undefined, "u32");
  refuse(
    { x, projections: [{ weight }, { weight: integers }] },
    "projections[1].weight must be f32, as the first is: current data type is int8",
  );
  refuse({ x, projections: [{ weight: wide }] }, "projections[0].weight must have shape [3,8]");
  refuse({ x, projections: [{ weight: [] }] }, "projections[0].weight must be in a block or more");
  refuse(
    { x, projections: [{ weight: [weight, weight] }, { weight: [weight] }] },
    "projections[1].weight must be in 2 blocks, as the first is: current number is 1",
    true,
  );
  refuse(
    { x, projections: [{ weight: [weight, other] }, { weight: [other, weight] }] },
    "projections[1].weight[0] must have shape [3,8]: current shape is [2,8]",
    true,
  );
  refuse(
    { x, projections: [{ weight, bias }, { weight, bias: integerBias as unknown as Tensor }] },
    "projections[1].bias must be f32: current data type is u32",
  );
});
