import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import {
  convert,
  quantize,
  QuantizedMatrix,
  type StoredFloat,
} from "../../../kernels/storage/mod.ts";
import { quantizeReference } from "../../../kernels/storage/reference.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

const BITS = { int8: 8, int4: 4 } as const;

/** Values as a file stores them, in words; and what they are then. */
function store(
  gpu: Gpu,
  values: Float32Array,
  from: StoredFloat,
): { stored: Tensor<"u32">; exact: Float32Array } {
  const words = new Uint32Array(values.length + 2);
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  let exact = Float32Array.from(values);
  if (from === "f32") {
    words.set(bits);
  } else if (from === "f16") {
    const halves = new Float16Array(words.buffer, 0, values.length);
    halves.set(values);
    exact = Float32Array.from(halves);
  } else {
    new Uint16Array(words.buffer).set(bits.map((word) => word >>> 16));
    exact = new Float32Array(bits.map((word) => word & 0xffff0000).buffer);
  }
  return { stored: gpu.tensor([words.length], words, "u32"), exact };
}

/** Numbers at which a format changes: its least, its largest, ties, and none at all. */
const EDGES = [0, -0, 2 ** -24, -(2 ** -24), 3 * 2 ** -26, 2 ** -25, 1.5 * 2 ** -24, 2 ** -15]
  .concat([2 ** -14, 1 + 2 ** -11, 1 + 3 * 2 ** -11, -1 - 2 ** -10, 65504, 65519, -65519])
  .concat([Infinity, -Infinity, NaN, 6.103e-5, 1023 * 2 ** -24, 1 / 3]);

for (const from of ["f32", "f16", "bf16"] as const) {
  for (const to of ["f32", "f16"] as const) {
    const test = to === "f16" ? Deno.test : testKernel; // SwiftShader has no f16
    test(`convert() from ${from} to ${to} is exact, or rounds to the nearest`, async () => {
      const gpu = await testGpu();
      const values = Float32Array.from([...EDGES, ...normals(1, 1000)]);
      const { stored, exact } = store(gpu, values, from);
      using flags = gpu.tensor([3], undefined, "u32");
      using output = gpu.tensor([values.length + 11], undefined, to);
      const elements = values.length;
      convert(gpu, { stored, output, flags }, { from, elements, first: 8, flag: 1 });
      const read = await output.read();
      const expected = to === "f32" ? exact : new Float16Array(exact);
      assertEquals([...read.subarray(8, 8 + elements)], [...expected]);
      assertEquals([...read.subarray(0, 8), ...read.subarray(9 + elements)].filter(Boolean), []);
      assertEquals([...await flags.read()], [0, 0, 0]);
      stored[Symbol.dispose]();
    });
  }
}

Deno.test("convert() to f16 tells of finite numbers that are too large", async () => {
  const gpu = await testGpu();
  const { stored } = store(gpu, Float32Array.of(1, -65520, 2), "f32");
  using flags = gpu.tensor([2], undefined, "u32");
  using output = gpu.empty([3], "f16");
  convert(gpu, { stored, output, flags }, { from: "f32", elements: 3, flag: 1 });
  assertEquals([...await output.read()], [1, -Infinity, 2]);
  assertEquals([...await flags.read()], [0, 1]);
  stored[Symbol.dispose]();
});

/** The integers of a quantized matrix, from its words. */
async function integersOf({ values, dtype, shape }: QuantizedMatrix): Promise<Int8Array> {
  const words = await values.read();
  const bits = BITS[dtype];
  const perRow = values.shape[1] * 32 / bits;
  return Int8Array.from({ length: shape[0] * shape[1] }, (_, i) => {
    const place = Math.floor(i / shape[1]) * perRow + i % shape[1];
    const word = words[Math.floor(place * bits / 32)];
    return word << (32 - bits - place * bits % 32) >> (32 - bits);
  });
}

for (const dtype of ["int8", "int4"] as const) {
  for (const from of ["f32", "f16", "bf16"] as const) {
    testKernel(
      `quantize() of ${from} to ${dtype} equals the reference, row by row too`,
      async () => {
        const gpu = await testGpu();
        for (const [rows, columns] of [[1, 1], [3, 32], [5, 33], [4, 64], [7, 100], [70, 129]]) {
          const values = normals(columns, rows * columns);
          values.fill(0, 0, Math.min(columns, 32)); // a group of zeros
          const { stored, exact } = store(gpu, values, from);
          using flags = gpu.tensor([1], undefined, "u32");
          using output = new QuantizedMatrix(gpu, [rows, columns], dtype);
          quantize(gpu, { stored, output, flags }, { from, rows });
          const expected = quantizeReference(exact, { columns, bits: BITS[dtype], group: 32 });
          const integers = await integersOf(output);
          integers.forEach((integer, i) => {
            const group = Math.floor(i / columns) * Math.ceil(columns / 32) +
              Math.floor(i % columns / 32);
            const most = 2 ** (BITS[dtype] - 1) - 1;
            const wanted = exact[i] * most / expected.largest[group];
            // In 32 bits a number that lies as good as half way may go either way.
            const isHalfWay = Math.abs(Math.abs(wanted % 1) - 0.5) < 1e-5 * most;
            if (from === "f32" && isHalfWay) assert(Math.abs(integer - wanted) < 0.51);
            else assertEquals(integer, expected.integers[i], `${rows} × ${columns}, ${i}`);
          });
          const scales = await output.scales.read();
          const halves = new Float16Array(scales.buffer);
          const groups = Math.ceil(columns / 32);
          const perRow = 2 * output.scales.shape[1];
          const read = Array.from(
            { length: rows * groups },
            (_, i) => halves[Math.floor(i / groups) * perRow + i % groups],
          );
          assertEquals(read, [...expected.largest]);
          assertEquals([...await flags.read()], [0]);

          using parts = new QuantizedMatrix(gpu, [rows, columns], dtype);
          const half = Math.floor(rows / 2);
          for (const [first, last] of [[half, rows], [0, half]]) {
            const part = store(gpu, values.subarray(first * columns, last * columns), from);
            const options = { from, rows: last - first, firstRow: first };
            quantize(gpu, { stored: part.stored, output: parts, flags }, options);
            part.stored[Symbol.dispose]();
          }
          assertEquals(await integersOf(parts), integers, "in two parts");
          assertEquals(await parts.scales.read(), scales);
          stored[Symbol.dispose]();
        }
      },
    );
  }

  testKernel(
    `quantize() to ${dtype} tells of what no scale holds; NaN stays in its group`,
    async () => {
      const gpu = await testGpu();
      const values = normals(1, 3 * 64);
      [values[3], values[70], values[140]] = [NaN, Infinity, 1e6];
      const { stored } = store(gpu, values, "f32");
      using flags = gpu.tensor([1], undefined, "u32");
      using output = new QuantizedMatrix(gpu, [3, 64], dtype);
      quantize(gpu, { stored, output, flags }, { from: "f32", rows: 3 });
      const halves = new Float16Array((await output.scales.read()).buffer);
      assertEquals([...halves].map(Number.isFinite), [false, true, false, true, false, true]);
      assertEquals([halves[0], halves[2]], [NaN, NaN]);
      assertEquals([...await flags.read()], [1]);
      stored[Symbol.dispose]();

      for (const beside of [Infinity, -Infinity, NaN, 1]) {
        using group = gpu.tensor([2], new Uint32Array(Float32Array.of(beside, 1e5).buffer), "u32");
        using told = gpu.tensor([1], undefined, "u32");
        using matrix = new QuantizedMatrix(gpu, [1, 2], dtype);
        quantize(gpu, { stored: group, output: matrix, flags: told }, { from: "f32", rows: 1 });
        assertEquals([...await told.read()], [1], `1e5 beside ${beside}`);
      }
    },
  );
}

Deno.test("a group's error is half a step at most, and 8 bits take a quarter of 32", async () => {
  const gpu = await testGpu();
  const values = normals(1, 64 * 512);
  for (const [dtype, share] of [["int8", 8.5 / 32], ["int4", 4.5 / 32]] as const) {
    using output = new QuantizedMatrix(gpu, [64, 512], dtype);
    assertEquals(output.bytes, share * 4 * values.length);
    const bits = BITS[dtype];
    const { values: approximate } = quantizeReference(values, { columns: 512, bits, group: 32 });
    values.forEach((value, i) => {
      const group = values.subarray(i - i % 32, i - i % 32 + 32);
      const step = group.reduce((most, each) => Math.max(most, Math.abs(each)), 0) /
        (2 ** (bits - 1) - 1);
      assert(Math.abs(value - approximate[i]) <= step * 0.51 + 1e-3 * Math.abs(value));
    });
    assertClose(approximate, values, bits === 8 ? 0.01 : 0.12, dtype);
  }
});

Deno.test("convert() and quantize() refuse what does not fit", async () => {
  const gpu = await testGpu();
  using stored = gpu.tensor([10], undefined, "u32");
  using flags = gpu.tensor([1], undefined, "u32");
  using output = gpu.tensor([20]);
  using halves = gpu.tensor([20], undefined, "f16");
  using matrix = new QuantizedMatrix(gpu, [2, 5], "int8");
  const into = { stored, output, flags };
  const refused: [() => void, string][] = [
    [
      () => convert(gpu, into, { from: "f32", elements: 11 }),
      "stored must hold 11 elements of f32",
    ],
    [() => convert(gpu, into, { from: "bf16", elements: 20, first: 1 }), "must lie in the output"],
    [
      () => convert(gpu, { ...into, output: halves }, { from: "f16", elements: 2, first: 1 }),
      "begin at a multiple of 8",
    ],
    [() => convert(gpu, into, { from: "f32", elements: 1, flag: 1 }), "flag must be one of the 1"],
    [
      () => quantize(gpu, { stored, output: matrix, flags }, { from: "f32", rows: 2, firstRow: 1 }),
      "rows 1 to 3 must lie in the output",
    ],
    [
      () => quantize(gpu, { stored, output: matrix, flags }, { from: "f32", rows: 3 }),
      "stored must hold 15 elements",
    ],
  ];
  for (const [run, message] of refused) assertThrows(run, RangeError, message);
});
