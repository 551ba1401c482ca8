import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import { matmul, type MatmulAlgorithm } from "../../../kernels/matmul/mod.ts";
import { matmulReference } from "../../../kernels/matmul/reference.ts";
import { matmulTiling } from "../../../kernels/matmul/tiling.ts";
import { quantize, QuantizedMatrix, type QuantizedType } from "../../../kernels/storage/mod.ts";
import { quantizeReference } from "../../../kernels/storage/reference.ts";
import { assertClose, normals, testGpu, testKernel, testTilings } from "../../testing.ts";

const ALGORITHMS: readonly MatmulAlgorithm[] = ["register", "workgroup", "vector"];
const BITS = { int8: 8, int4: 4 } as const;
/** As the bound of products of floats: what the integers stand for is the same on both sides. */
const BOUND = 1e-5;

function quantized(
  gpu: Gpu,
  values: Float32Array,
  rows: number,
  dtype: QuantizedType,
): QuantizedMatrix {
  using stored = gpu.tensor([values.length], new Uint32Array(values.buffer), "u32");
  using flags = gpu.tensor([1], undefined, "u32");
  const output = new QuantizedMatrix(gpu, [rows, values.length / rows], dtype);
  quantize(gpu, { stored, output, flags }, { from: "f32", rows });
  return output;
}

/** Rows, columns and inputs, which are not always whole groups. */
const SHAPES = [
  [1, 64, 64],
  [1, 7, 33],
  [5, 7, 3],
  [64, 1, 20],
  [63, 65, 66],
  [33, 48, 64],
  [70, 100, 36],
  [18, 33, 257],
  [17, 20, 1030],
];

for (const dtype of ["int8", "int4"] as const) {
  for (const algorithm of ALGORITHMS) {
    testKernel(`matmul() by ${algorithm} with ${dtype} equals the reference`, async () => {
      for (const [rows, columns, reduction] of SHAPES) {
        const aValues = normals(1, rows * reduction);
        const bValues = normals(2, columns * reduction);
        const biasValues = normals(3, columns);
        const bits = BITS[dtype];
        const { values } = quantizeReference(bValues, { columns: reduction, bits, group: 32 });
        const expected = matmulReference(aValues, values, {
          batches: 1,
          rows,
          columns,
          reduction,
          transposeB: true,
          sharedB: true,
        });
        for (const [tiling, gpu] of await testTilings()) {
          const what = `${rows} × ${columns} × ${reduction}, ${tiling}`;
          using a = gpu.tensor([rows, reduction], aValues);
          using b = quantized(gpu, bValues, columns, dtype);
          using bias = gpu.tensor([columns], biasValues);
          const options = { transposeB: true, algorithm };
          using output = matmul(gpu, { a, b }, options).output;
          assertEquals(output.shape, [rows, columns]);
          assertClose(await output.read(), expected, BOUND, what);
          using accumulateInto = gpu.tensor([rows, columns], expected);
          matmul(gpu, { a, b, bias }, { ...options, accumulateInto });
          const doubled = expected.map((value, i) => 2 * value + biasValues[i % columns]);
          assertClose(await accumulateInto.read(), doubled, BOUND, `${what}, added`);
        }
      }
    });
  }

  testKernel(`matmul() with ${dtype} splits a long sum`, async () => {
    const [rows, columns, reduction] = [30, 47, 2051];
    const aValues = normals(1, rows * reduction);
    const bValues = normals(2, columns * reduction);
    const bits = BITS[dtype];
    const { values } = quantizeReference(bValues, { columns: reduction, bits, group: 32 });
    const extents = { batches: 1, rows, columns, reduction };
    const expected = matmulReference(aValues, values, { ...extents, transposeB: true });
    for (const [tiling, gpu] of await testTilings()) {
      assert(matmulTiling(gpu.adapter.software, extents).splits > 1);
      using a = gpu.tensor([rows, reduction], aValues);
      using b = quantized(gpu, bValues, columns, dtype);
      using output = matmul(gpu, { a, b }, { transposeB: true }).output;
      assertClose(await output.read(), expected, BOUND, tiling);
    }
  });
}

/** Cuts rows where they fit no tile and no vec4, where they do, and into one and none. */
const CUTS = [[16, 32, 17], [5, 60], [64, 0, 1]];

for (const algorithm of ALGORITHMS) {
  testKernel(
    `matmul() by ${algorithm} of rows in several tensors has the bits of one`,
    async () => {
      for (const [rows, reduction] of [[1, 40], [19, 33]]) {
        const bValues = normals(2, 65 * reduction);
        for (const [tiling, gpu] of await testTilings()) {
          using a = gpu.tensor([1, rows, reduction], normals(1, rows * reduction));
          using b = gpu.tensor([65, reduction], bValues);
          using bias = gpu.tensor([65], normals(3, 65));
          for (const biased of [false, true]) {
            const options = { transposeB: true, algorithm };
            const inputs = { a, ...biased && { bias } };
            using whole = matmul(gpu, { ...inputs, b }, options).output;
            const expected = await whole.read();
            for (const cut of CUTS) {
              const what = `${rows} × ${reduction}, cut ${cut}, ${tiling}`;
              const blocks = cutRows(gpu, bValues, reduction, cut);
              using output = matmul(gpu, { ...inputs, b: blocks }, options).output;
              assertEquals(output.shape, [1, rows, 65]);
              // Another number of splits adds in another order.
              assertClose(await output.read(), expected, BOUND, what);
              using accumulateInto = gpu.tensor([1, rows, 65], normals(4, rows * 65));
              matmul(gpu, { ...inputs, b: blocks }, { ...options, accumulateInto });
              const before = normals(4, rows * 65);
              const sum = expected.map((value, i) => value + before[i]);
              assertClose(await accumulateInto.read(), sum, BOUND, `${what}, added`);
              for (const block of blocks) block[Symbol.dispose]();
            }
          }
        }
      }
    },
  );
}

function cutRows(gpu: Gpu, values: Float32Array, columns: number, cut: number[]): Tensor[] {
  let first = 0;
  return cut.map((rows) => {
    const part = values.subarray(first * columns, (first + rows) * columns);
    first += rows;
    return gpu.tensor([rows, columns], part);
  });
}

Deno.test("matmul() takes rows in several tensors with transposeB alone, and of one width", async () => {
  const gpu = await testGpu();
  using a = gpu.tensor([2, 4]);
  using b = gpu.tensor([4, 4]);
  using narrow = gpu.tensor([4, 3]);
  using integers = new QuantizedMatrix(gpu, [4, 4], "int8");
  using short = new QuantizedMatrix(gpu, [4, 3], "int8");
  const refused: [() => unknown, string][] = [
    [() => matmul(gpu, { a, b: [b, b] }), "a list of weights must be [N, K]: set transposeB"],
    [() => matmul(gpu, { a, b: integers }), "quantized weights must be [N, K]: set transposeB"],
    [
      () => matmul(gpu, { a, b: [b, narrow] }, { transposeB: true }),
      "b[1] must have shape [4,4]: current shape is [4,3]",
    ],
    [
      () => matmul(gpu, { a, b: short }, { transposeB: true }),
      "b must have shape [4,4]: current shape is [4,3]",
    ],
  ];
  for (const [run, message] of refused) {
    assertThrows(run, RangeError, `Cannot run matmul() as ${message}`);
  }
});
