import { elementCount, type Gpu, type Tensor } from "../gpu/mod.ts";

/** How the weights of a quantized matrix are stored: as integers of so many bits. */
export type QuantizedType = "int8" | "int4";

/** Every {@linkcode QuantizedType}. */
export const QUANTIZED_TYPES: readonly QuantizedType[] = ["int8", "int4"];

/** Neighbours in a row that have one scale. */
export const GROUP = 32;

/** Bits of an integer. */
const BITS: Readonly<Record<QuantizedType, number>> = { int8: 8, int4: 4 };

/**
 * A matrix in groups of integers along its rows, each group with a scale in 16 bits: see
 * kernels/storage/README.md. `matmul()` takes it as `b`, transposed, and `embedding()` as its weight.
 */
export class QuantizedMatrix implements Disposable {
  /** Rows and columns. */
  readonly shape: readonly number[];
  /** How the weights are stored. */
  readonly dtype: QuantizedType;
  /** The integers, from the lowest bits of a word on; zeros behind a row: `[rows, words]`. */
  readonly values: Tensor<"u32">;
  /** Each group's largest absolute value as an f16, two in a word: `[rows, ⌈groups / 2⌉]`. */
  readonly scales: Tensor<"u32">;

  /** A matrix that `quantize()` will fill. */
  constructor(gpu: Gpu, shape: readonly number[], dtype: QuantizedType) {
    const [rows, columns] = shape;
    const { words, scaleWords } = quantizedWords(columns, dtype);
    this.shape = Object.freeze([rows, columns]);
    this.dtype = dtype;
    this.values = gpu.empty([rows, words], "u32");
    this.scales = gpu.empty([rows, scaleWords], "u32");
  }

  /** The number of weights. */
  get size(): number {
    return elementCount(this.shape);
  }

  /** Bytes of integers and scales. */
  get bytes(): number {
    return this.values.bytes + this.scales.bytes;
  }

  /** Whether the matrix has been disposed of. */
  get disposed(): boolean {
    return this.values.disposed;
  }

  /** Frees the memory. */
  [Symbol.dispose](): void {
    this.values[Symbol.dispose]();
    this.scales[Symbol.dispose]();
  }
}

/** A matrix of weights, however it is stored. */
export type Matrix = Tensor | QuantizedMatrix;

/** Words of 4 bytes that a row of a quantized matrix takes. */
export function quantizedWords(
  columns: number,
  dtype: QuantizedType,
): { words: number; scaleWords: number } {
  const groups = Math.ceil(columns / GROUP);
  return { words: groups * GROUP * BITS[dtype] / 32, scaleWords: Math.ceil(groups / 2) };
}

/** What of a dispatch depends on how a matrix is stored, where it is quantized. */
export function quantizedBits(matrix: Matrix): number {
  return matrix instanceof QuantizedMatrix ? BITS[matrix.dtype] : 8;
}
