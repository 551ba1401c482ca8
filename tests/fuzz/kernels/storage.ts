import { convert, quantize, QuantizedMatrix, type StoredFloat } from "../../../kernels/mod.ts";
import { quantizeReference } from "../../../kernels/storage/reference.ts";
import type { Draws } from "../draws.ts";
import type { KernelCase } from "./compare.ts";

const STORED = ["f32", "f16", "bf16"] as const;
/** Neighbours in a row that have one scale. */
const GROUP = 32;
/** The least 16-bit float of full precision: a GPU may make zeros of smaller ones. */
const LEAST_HALF = 2 ** -14;

/** Elements as a file holds them, with anything behind the last, and the numbers they are. */
function store(
  draws: Draws,
  from: StoredFloat,
  values: Float32Array,
): { words: Uint32Array; exact: Float32Array } {
  const count = values.length;
  const size = Math.ceil(from === "f32" ? count : count / 2) + draws.integer(0, 3);
  const words = draws.integers(size, 0, 2 ** 32 - 1);
  const bits = new Uint32Array(values.slice().buffer);
  if (from === "f32") {
    words.set(bits);
    return { words, exact: values };
  }
  if (from === "f16") {
    const halves = new Float16Array(words.buffer, 0, count);
    halves.set(values);
    return { words, exact: Float32Array.from(halves) };
  }
  new Uint16Array(words.buffer, 0, count).set(bits.map((word) => word >>> 16));
  return { words, exact: new Float32Array(bits.map((word) => word & 0xffff0000).buffer) };
}

/** Numbers of any size, but for those that are too small for 32 bits' full precision. */
function anyBits(draws: Draws, count: number): Float32Array {
  const bits = draws.integers(count, 0, 2 ** 32 - 1);
  return new Float32Array(bits.map((word) => word & 0x7f800000 ? word : word & 0x80000000).buffer);
}

/** Multiples of half the step of 16-bit floats, a power of two times them: ties, and what lies beside. */
function ties(draws: Draws, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => {
    const tie = draws.integer(-4200, 4200) / 2;
    return (tie + draws.choose([0, 0, 2 ** -12, -(2 ** -12)])) * 2 ** draws.integer(-25, 6);
  });
}

function check(name: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  if (actual.length !== expected.length) {
    throw new Error(`${name} has ${actual.length} elements, not ${expected.length}`);
  }
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue;
    throw new Error(`${name} is ${actual[i]} at ${i}, not ${expected[i]}`);
  }
}

/** The flags, of which one is set where a finite number is past the largest of 16 bits. */
function flagsOf(count: number, flag: number, exact: Float32Array): Uint32Array {
  const flags = new Uint32Array(count);
  flags[flag] = Number(exact.some((x) => Number.isFinite(x) && Math.abs(x) >= 65520));
  return flags;
}

/** What a checkpoint's weights go through. */
export const STORAGE: Readonly<Record<string, KernelCase>> = {
  async convert(gpu, draws): Promise<void> {
    const from = draws.option("from", STORED);
    const to = draws.option("to", gpu.supportsF16 ? ["f32", "f16"] as const : ["f32"] as const);
    const elements = draws.size("elements", 700, 0);
    const first = 8 * draws.size("eights before", 9, 0);
    const size = first + elements + draws.size("elements behind", 20, 0);
    const values = draws.option("numbers", [anyBits, ties])(draws, elements);
    draws.poison({ values }, { chance: 0.3 });
    const { words, exact } = store(draws, from, values);
    const round = (x: Float32Array): Float32Array =>
      to === "f16" ? Float32Array.from(new Float16Array(x)) : x;
    const before = round(draws.normals(size));
    const flagCount = draws.size("flags", 5);
    const flag = draws.note("flag", draws.integer(0, flagCount - 1));
    using stored = gpu.tensor([words.length], words, "u32");
    using output = gpu.tensor([size], before, to);
    using flags = gpu.tensor([flagCount], undefined, "u32");
    convert(gpu, { stored, output, flags }, { from, elements, first, flag });
    const expected = before.slice();
    expected.set(round(exact), first);
    // The last word of 16-bit floats is written whole.
    if (to === "f16" && elements % 2 === 1 && first + elements < size) {
      expected[first + elements] = 0;
    }
    check("output", await output.read(), expected);
    const past = to === "f16" ? exact : new Float32Array();
    check("flags", await flags.read(), flagsOf(flagCount, flag, past));
  },

  async quantize(gpu, draws): Promise<void> {
    const from = draws.option("from", STORED);
    const dtype = draws.option("dtype", ["int8", "int4"] as const);
    const bits = dtype === "int8" ? 8 : 4;
    const [allRows, columns] = [draws.size("rows", 40, 0), draws.size("columns", 140, 0)];
    const firstRow = draws.note("firstRow", draws.integer(0, allRows));
    const rows = draws.note("written rows", draws.integer(0, allRows - firstRow));
    const values = draws.normals(
      rows * columns,
      draws.option("magnitude", [1, 1e-3, 1e-5, 1e4, 1e5]),
    );
    for (let i = 0; i < 3; i++) draws.poison({ values });
    if (draws.chance(0.3)) values.fill(0, 0, draws.integer(0, values.length)); // groups of zeros
    const { words, exact } = store(draws, from, values);
    using stored = gpu.tensor([words.length], words, "u32");
    using output = new QuantizedMatrix(gpu, [allRows, columns], dtype);
    using flags = gpu.tensor([1], undefined, "u32");
    const tensors = [output.values, output.scales];
    const before = tensors.map(({ size }) => draws.integers(size, 0, 2 ** 32 - 1));
    tensors.forEach((tensor, i) => tensor.write(before[i]));
    quantize(gpu, { stored, output, flags }, { from, rows, firstRow });
    const read = await gpu.read(tensors);
    const written = read.map((all, i) => {
      const width = tensors[i].shape[1];
      const [start, end] = [firstRow * width, (firstRow + rows) * width];
      check("what is before", all.subarray(0, start), before[i].subarray(0, start));
      check("what is behind", all.subarray(end), before[i].subarray(end));
      return Uint32Array.from(all.subarray(start, end));
    });
    checkRows(written, exact, { rows, columns, bits });
    check("flags", await flags.read(), flagsOf(1, 0, exact));
  },
};

/** Fails where an integer is not the nearest to its weight, or a scale not the largest of its group. */
function checkRows(
  [words, scaleWords]: readonly Uint32Array[],
  exact: Float32Array,
  { rows, columns, bits }: { rows: number; columns: number; bits: number },
): void {
  if (rows * columns === 0) return;
  const groups = Math.ceil(columns / GROUP);
  const most = 2 ** (bits - 1) - 1;
  const { largest } = quantizeReference(exact, { columns, bits, group: GROUP });
  const perRow = groups + groups % 2; // two scales in a word
  const scales = new Float16Array(scaleWords.buffer);
  const wanted = Float64Array.from({ length: rows * perRow }, (_, i) => {
    const scale = i % perRow < groups ? largest[Math.floor(i / perRow) * groups + i % perRow] : 0;
    return scale;
  });
  scales.forEach((scale, i) => {
    // A finite group whose largest is past 16 bits is infinite, one that is not finite NaN.
    if (Number.isFinite(wanted[i]) ? scale === wanted[i] : !Number.isFinite(scale)) return;
    throw new Error(`scale is ${scale} at ${i}, not ${wanted[i]}`);
  });
  for (let i = 0; i < rows * groups * GROUP; i++) {
    const [row, column] = [Math.floor(i / (groups * GROUP)), i % (groups * GROUP)];
    const word = words[Math.floor(i * bits / 32)];
    const integer = word << (32 - bits - i * bits % 32) >> (32 - bits);
    const scale = largest[row * groups + Math.floor(column / GROUP)];
    const isNumber = column < columns && scale > 0 && Number.isFinite(scale);
    const ideal = isNumber ? exact[row * columns + column] * most / scale : 0;
    const nearest = Math.min(most, Math.max(-most, ideal));
    // In 32 bits a number that lies as good as half way may go either way.
    if (Math.abs(integer - nearest) <= (isNumber ? 0.5 + 1e-5 * most : 0)) continue;
    if (scale < LEAST_HALF && integer === 0) continue;
    throw new Error(`integer is ${integer} at ${row}, ${column}, not ${nearest}`);
  }
}
