import { assert, assertEquals, assertThrows } from "@std/assert";
import { Gpu } from "../../../kernels/gpu/mod.ts";
import { sumParts } from "../../../kernels/arithmetic/mod.ts";
import {
  matmul,
  type MatmulAlgorithm,
  type MatmulOptions,
  matmulParts,
} from "../../../kernels/matmul/mod.ts";
import { matmulReference } from "../../../kernels/matmul/reference.ts";
import { matmulTiling } from "../../../kernels/matmul/tiling.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

/** Each kernel with the tiling of each kind of adapter that may get it. */
const VARIANTS: readonly { algorithm: MatmulAlgorithm; software: boolean }[] = [
  { algorithm: "register", software: true },
  { algorithm: "workgroup", software: false },
  { algorithm: "vector", software: true },
  { algorithm: "vector", software: false },
];
const BOUND = 1e-5;

/** Under another name, so that it gets the tiling of another adapter; kept with its pipelines. */
const renamed = new Map<string, Gpu>();

/** The test's GPU, as itself or under the name of hardware, so that it gets the tiling of hardware. */
async function gpuAs(software: boolean): Promise<Gpu> {
  const { device, adapter } = await testGpu();
  const name = `${adapter.name} as ${software ? "software" : "hardware"}`;
  const gpu = renamed.get(name) ??
    new Gpu(device, { name, software }, { poison: true, owns: false });
  renamed.set(name, gpu);
  return gpu;
}

interface Case {
  batches?: number[];
  rows: number;
  columns: number;
  reduction: number;
  sharedB?: boolean;
  bias?: boolean;
  accumulate?: boolean;
  addend?: boolean;
}

/** The product of normal values by the kernel and by the reference. */
async function product(
  example: Case,
  options: MatmulOptions,
  software = true,
): Promise<{ actual: Float32Array; expected: Float64Array; shape: readonly number[] }> {
  const gpu = await gpuAs(software);
  const { batches = [], rows, columns, reduction, sharedB = true, bias, accumulate, addend } =
    example;
  const { transposeA, transposeB } = options;
  const count = batches.reduce((total, extent) => total * extent, 1);
  const aValues = normals(1, count * rows * reduction);
  const bValues = normals(2, (sharedB ? 1 : count) * reduction * columns);
  const biasValues = normals(3, columns);
  const before = normals(4, count * rows * columns);
  using a = gpu.tensor(
    [...batches, ...transposeA ? [reduction, rows] : [rows, reduction]],
    aValues,
  );
  using b = gpu.tensor([
    ...sharedB ? [] : batches,
    ...transposeB ? [columns, reduction] : [reduction, columns],
  ], bValues);
  using biasTensor = bias ? gpu.tensor([columns], biasValues) : undefined;
  using accumulateInto = accumulate ? gpu.tensor([...batches, rows, columns], before) : undefined;
  const addedValues = normals(5, before.length);
  using added = addend ? gpu.tensor([...batches, rows, columns], addedValues) : undefined;
  using output = matmul(
    gpu,
    { a, b, bias: biasTensor, addend: added },
    { ...options, accumulateInto },
  ).output;
  if (accumulate) assert(output === accumulateInto);
  const expected = matmulReference(aValues, bValues, {
    batches: count,
    rows,
    columns,
    reduction,
    transposeA,
    transposeB,
    sharedB,
  });
  for (let i = 0; i < expected.length; i++) {
    if (bias) expected[i] += biasValues[i % columns];
    if (accumulate) expected[i] += before[i];
    if (addend) expected[i] += addedValues[i];
  }
  return { actual: await output.read(), expected, shape: output.shape };
}

const SHAPES = [
  [1, 1, 1],
  [1, 64, 64],
  [64, 1, 64],
  [5, 7, 3],
  [8, 16, 4],
  [63, 65, 66],
  [70, 100, 36],
  [130, 33, 257],
  [128, 64, 20], // whole tiles for whole workgroups
];

for (const { algorithm, software } of VARIANTS) {
  const kernel = `${algorithm} on ${software ? "software" : "hardware"}`;

  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      const options = { transposeA, transposeB, algorithm };
      const names = `${transposeA ? "Aᵀ" : "A"} ${transposeB ? "Bᵀ" : "B"}`;
      testKernel(`matmul() by ${kernel} equals the reference for ${names}`, async () => {
        for (const [rows, columns, reduction] of SHAPES) {
          const { actual, expected } = await product(
            { rows, columns, reduction },
            options,
            software,
          );
          assertClose(actual, expected, BOUND, `${rows} × ${columns} × ${reduction}`);
        }
        for (const sharedB of [false, true]) {
          const example = { batches: [2, 3], rows: 9, columns: 18, reduction: 11, sharedB };
          const { actual, expected, shape } = await product(example, options, software);
          assertEquals(shape, [2, 3, 9, 18]);
          assertClose(actual, expected, BOUND, `batches, ${sharedB ? "one b" : "a b each"}`);
        }
      });
    }
  }

  testKernel(`matmul() by ${kernel} adds the bias and what the output held`, async () => {
    for (const [rows, columns, reduction] of [[9, 20, 12], [9, 19, 13], [3, 1, 5], [5, 6, 0]]) {
      for (
        const [bias, accumulate, addend] of [
          [true, false, false],
          [false, true, false],
          [true, true, true],
          [false, false, true],
        ]
      ) {
        const { actual, expected } = await product(
          { batches: [2], rows, columns, reduction, bias, accumulate, addend },
          { algorithm },
          software,
        );
        assertClose(actual, expected, BOUND, `${rows} × ${columns} × ${reduction}`);
      }
    }
  });

  testKernel(`matmul() by ${kernel} adds to the columns of each of several weights`, async () => {
    const gpu = await gpuAs(software);
    const [rows, reduction] = [24, 16];
    for (const counts of [[20, 21], [36, 5, 8], [20, 20]]) {
      const columns = counts.reduce((sum, count) => sum + count);
      const [aValues, bValues] = [normals(1, rows * reduction), normals(2, columns * reduction)];
      const before = normals(3, rows * columns);
      let first = 0;
      using a = gpu.tensor([rows, reduction], aValues);
      const b = counts.map((count) => {
        const start = first;
        first += count * reduction;
        return gpu.tensor([count, reduction], bValues.subarray(start, first));
      });
      using bias = gpu.tensor([columns], normals(4, columns));
      using accumulateInto = gpu.tensor([rows, columns], before);
      const { output } = matmul(gpu, { a, b, bias }, {
        transposeB: true,
        algorithm,
        accumulateInto,
      });
      const extents = { batches: 1, rows, columns, reduction, transposeB: true };
      const offsets = await bias.read();
      const expected = matmulReference(aValues, bValues, extents)
        .map((sum, i) => sum + before[i] + offsets[i % columns]);
      assertClose(await output.read(), expected, BOUND, counts.join(" + "));
      for (const block of b) block[Symbol.dispose]();
    }
  });

  testKernel(
    `matmul() by ${kernel} gives zeros for an empty sum and nothing for an empty output`,
    async () => {
      const empty = await product({ rows: 5, columns: 6, reduction: 0 }, { algorithm }, software);
      assertEquals([...empty.actual], new Array(30).fill(0));
      for (const extents of [{ rows: 0, columns: 6 }, { rows: 5, columns: 0 }]) {
        const { actual } = await product({ ...extents, reduction: 4 }, { algorithm }, software);
        assertEquals(actual.length, 0);
      }
    },
  );
}

testKernel("matmul() chooses the right kernel by itself for few rows and for many", async () => {
  for (const rows of [1, 2, 3, 8, 9, 33]) {
    for (const transposeB of [false, true]) {
      for (const software of [true, false]) {
        const example = { rows, columns: 40, reduction: 48 };
        const { actual, expected } = await product(example, { transposeB }, software);
        assertClose(actual, expected, BOUND, `${rows} rows`);
      }
    }
  }
});

for (const { algorithm, software } of VARIANTS.filter(({ algorithm }) => algorithm !== "vector")) {
  for (const [rows, columns, reduction] of [[32, 48, 2048], [30, 47, 2051]]) {
    testKernel(
      `matmul() by ${algorithm} splits a sum of ${reduction} for ${rows} × ${columns}`,
      async () => {
        const extents = { batches: 1, rows, columns, reduction };
        const { splits } = matmulTiling(software, extents);
        assert(splits > 1, `${splits} splits`);
        for (const [transposeA, transposeB] of [[true, false], [false, true]]) {
          const example = { rows, columns, reduction, accumulate: transposeA, bias: transposeB };
          const options = { transposeA, transposeB };
          const { actual, expected } = await product(example, options, software);
          assertClose(actual, expected, BOUND, `${rows} × ${columns} × ${reduction}`);
          assertEquals((await product(example, options, software)).actual, actual);
        }
      },
    );
  }
}

testKernel("matmulParts() sums up to the product of the transposed first", async () => {
  for (const software of [true, false]) {
    const gpu = await gpuAs(software);
    for (
      const [rows, columns, reduction] of [[32, 32, 2048], [16, 20, 700], [6, 5, 2051], [8, 8, 3]]
    ) {
      using a = gpu.tensor([reduction, rows], normals(1, reduction * rows));
      using b = gpu.tensor([reduction, columns], normals(2, reduction * columns));
      using product = matmulParts(gpu, { a, b });
      const actual = await sumParts(gpu, { parts: [product.parts] }).sums[0].read();
      const extents = { batches: 1, rows, columns, reduction, transposeA: true };
      const expected = matmulReference(await a.read(), await b.read(), extents);
      assertClose(actual, expected, BOUND, `${rows} × ${columns} × ${reduction}`);
    }
  }
});

testKernel("matmul() does not read what lies past its inputs", async () => {
  for (const { algorithm, software } of VARIANTS) {
    const gpu = await gpuAs(software);
    using a = gpu.empty([3, 5]); // poisoned to the end of its padding
    using b = gpu.empty([5, 6]);
    a.write(normals(1, 15));
    b.write(normals(2, 30));
    using output = matmul(gpu, { a, b }, { algorithm }).output;
    const expected = matmulReference(normals(1, 15), normals(2, 30), {
      batches: 1,
      rows: 3,
      columns: 6,
      reduction: 5,
    });
    assertClose(await output.read(), expected, BOUND, algorithm);
  }
});

// SwiftShader takes minutes for so many workgroups.
Deno.test("matmul() runs more batches than a dimension has workgroups", async () => {
  const batches = [70_000];
  for (const { algorithm, software } of VARIANTS) {
    const example = { batches, rows: 1, columns: 4, reduction: 4, sharedB: false };
    const { actual, expected } = await product(example, { algorithm }, software);
    assertClose(actual, expected, BOUND, algorithm);
  }
});

testKernel("matmul() refuses shapes that do not fit", async () => {
  const gpu = await testGpu();
  using a = gpu.tensor([2, 3, 4]);
  using vector = gpu.tensor([4]);
  using narrow = gpu.tensor([5, 6]);
  using fit = gpu.tensor([4, 6]);
  using otherBatches = gpu.tensor([3, 4, 6]);
  const refused: [() => unknown, string][] = [
    [
      () => matmul(gpu, { a: vector, b: fit }),
      "a must have shape [..., M, K]: current shape is [4]",
    ],
    [
      () => matmul(gpu, { a, b: vector }, { transposeB: true }),
      "b must have shape [..., N, K]: current shape is [4]",
    ],
    [() => matmul(gpu, { a, b: narrow }), "b must have shape [4,6]: current shape is [5,6]"],
    [
      () => matmul(gpu, { a, b: otherBatches }),
      "b must have shape [2,4,6]: current shape is [3,4,6]",
    ],
    [
      () => matmul(gpu, { a, b: fit, bias: vector }),
      "bias must have shape [6]: current shape is [4]",
    ],
    [
      () => matmul(gpu, { a, b: fit }, { accumulateInto: fit }),
      "accumulateInto must have shape [2,3,6]: current shape is [4,6]",
    ],
  ];
  for (const [run, message] of refused) {
    assertThrows(run, RangeError, `Cannot run matmul() as ${message}`);
  }
});
