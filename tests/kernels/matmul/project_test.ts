import { assertThrows } from "@std/assert";
import { ACTIVATION_REFERENCE } from "../../../kernels/activation/reference.ts";
import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import { project } from "../../../kernels/matmul/mod.ts";
import { projectReference } from "../../../kernels/matmul/reference.ts";
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
        const expected = projectReference(data, { rows, columns: sizes[i], reduction }, {
          weight: weights[i],
          bias: biasData[i],
          normWeight: normData,
          addend: i === 0 ? addendData : undefined,
        }, { epsilon: 1e-3, factor, activation: kinds[i] && ACTIVATION_REFERENCE[kinds[i]] });
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
        const shared = { normWeight: normData, bias: biasData };
        const activation = ACTIVATION_REFERENCE[kind];
        const gates = projectReference(data, extents, { ...shared, weight: gateData }, {
          activation,
        });
        const ups = projectReference(data, extents, { ...shared, weight: upData }, {});
        const expected = gates.map((value, i) => value * ups[i]);
        assertClose(await projected.outputs[0].read(), expected, 1e-6, tiling);
      }
    },
  );
}

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
  refuse({ x, projections: [{ weight: odd }] }, "projections[0].weight must have shape [1,8]");
  refuse({ x, projections: [{ weight }], addend: x }, "addend must have shape [1,3]");
});
