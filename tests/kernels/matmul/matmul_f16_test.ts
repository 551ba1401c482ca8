import { assertEquals, assertThrows } from "@std/assert";
import type { AnyTensor, DataType, Tensor } from "../../../kernels/gpu/mod.ts";
import { matmul, type MatmulOptions } from "../../../kernels/matmul/mod.ts";
import { matmulReference } from "../../../kernels/matmul/reference.ts";
import { matmulTiling } from "../../../kernels/matmul/tiling.ts";
import { assertClose, halves, normals, testGpu, testTilings } from "../../testing.ts";

/** Of the output: what the sum itself costs, or what its rounding to 16 bits does. */
const BOUNDS = { f32: 1e-5, f16: 5e-4 };

interface Case extends MatmulOptions {
  readonly a: "f32" | "f16";
  readonly b: "f32" | "f16";
  readonly bias?: "f32" | "f16";
}

const CASES: readonly Case[] = [
  { a: "f32", b: "f16" },
  { a: "f32", b: "f16", transposeB: true, bias: "f16" },
  { a: "f16", b: "f16", transposeA: true },
  { a: "f16", b: "f16", transposeB: true, bias: "f32", outputType: "f32" },
  { a: "f16", b: "f32" },
];

const SHAPES = [[1, 64, 64], [1, 7, 33], [5, 7, 3], [64, 1, 20], [63, 65, 66], [33, 48, 64]];

function stored(values: Float32Array, type: DataType): Float32Array {
  return type === "f16" ? halves(values) : values;
}

async function check(example: Case, [rows, columns, reduction]: readonly number[]): Promise<void> {
  const { a: aType, b: bType, bias: biasType, ...options } = example;
  const { transposeA, transposeB, outputType = aType } = options;
  for (const [tiling, gpu] of await testTilings()) {
    const aValues = stored(normals(1, rows * reduction), aType);
    const bValues = stored(normals(2, reduction * columns), bType);
    const biasValues = stored(normals(3, columns), biasType ?? "f32");
    using a = gpu.tensor(transposeA ? [reduction, rows] : [rows, reduction], aValues, aType);
    using b = gpu.tensor(transposeB ? [columns, reduction] : [reduction, columns], bValues, bType);
    using bias = biasType && gpu.tensor([columns], biasValues, biasType);
    using output = matmul(gpu, { a, b, bias }, options).output;
    assertEquals(output.dtype, outputType);
    const expected = matmulReference(aValues, bValues, {
      batches: 1,
      rows,
      columns,
      reduction,
      transposeA,
      transposeB,
      sharedB: true,
    });
    if (bias) expected.forEach((_, i) => expected[i] += biasValues[i % columns]);
    const what = `${rows} × ${columns} × ${reduction}, ${tiling}`;
    assertClose(await output.read(), expected, BOUNDS[outputType], what);
  }
}

for (const example of CASES) {
  const { a, b, transposeA, transposeB } = example;
  const names = `${transposeA ? "Aᵀ" : "A"} in ${a}, ${transposeB ? "Bᵀ" : "B"} in ${b}`;
  Deno.test(`matmul() equals the reference for ${names}`, async () => {
    for (const shape of SHAPES) await check(example, shape);
  });
}

Deno.test("matmul() of f16 splits a long sum and stores it once, rounded", async () => {
  for (const shape of [[32, 48, 2048], [30, 47, 2051]]) {
    const [rows, columns, reduction] = shape;
    for (const [, gpu] of await testTilings()) {
      const extents = { batches: 1, rows, columns, reduction };
      assertEquals(matmulTiling(gpu.adapter.software, extents).splits > 1, true);
    }
    await check({ a: "f16", b: "f16" }, shape);
  }
});

Deno.test("matmul() adds a product of f16 to what an f32 output held, and to an f16 output", async () => {
  const [rows, columns, reduction] = [9, 18, 12];
  for (const [tiling, gpu] of await testTilings()) {
    for (const type of ["f32", "f16"] as const) {
      const aValues = halves(normals(1, rows * reduction));
      const bValues = halves(normals(2, reduction * columns));
      const before = halves(normals(3, rows * columns));
      using a = gpu.tensor([rows, reduction], aValues, "f16");
      using b = gpu.tensor([reduction, columns], bValues, "f16");
      using accumulateInto = gpu.tensor([rows, columns], before, type);
      matmul(gpu, { a, b }, { accumulateInto });
      const expected = matmulReference(aValues, bValues, {
        batches: 1,
        rows,
        columns,
        reduction,
        sharedB: true,
      });
      expected.forEach((_, i) => expected[i] += before[i]);
      assertClose(await accumulateInto.read(), expected, BOUNDS[type], `${type}, ${tiling}`);
    }
  }
});

Deno.test("matmul() refuses integers, and an output that is stored otherwise than asked for", async () => {
  const gpu = await testGpu();
  using a = gpu.tensor([2, 2]);
  using integers = gpu.tensor([2, 2], undefined, "u32") as AnyTensor as Tensor;
  using half = gpu.tensor([2, 2], undefined, "f16");
  const refused: [() => unknown, string][] = [
    [() => matmul(gpu, { a: integers, b: a }), "a must be f32 or f16: current data type is u32"],
    [() => matmul(gpu, { a, b: integers }), "b must be f32 or f16: current data type is u32"],
    [
      () => matmul(gpu, { a, b: half }, { accumulateInto: half, outputType: "f32" }),
      "accumulateInto must be f32: current data type is f16",
    ],
  ];
  for (const [run, message] of refused) {
    assertThrows(run, RangeError, `Cannot run matmul() as ${message}`);
  }
});
