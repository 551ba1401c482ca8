import { type Matrix, quantizedBits, QuantizedMatrix } from "../common/quantized_matrix.ts";
import {
  type AnyTensor,
  anything,
  checkNames,
  checkOptions,
  checkTensor,
  type DataType,
  elementCount,
  flag,
  FLOATS,
  type Gpu,
  oneOf,
  results,
  Tensor,
} from "../gpu/mod.ts";
import { MATMUL as SHADERS } from "./shaders.ts";
import {
  type MatmulAlgorithm,
  type MatmulShape,
  type MatmulTiling,
  matmulTiling,
  PRODUCT,
  type ProductProblem,
  tileWorkgroups,
  vectorTiling,
  type WorkgroupTile,
} from "./tiling.ts";

const MATMUL_PAD = SHADERS.kernel("matmul_pad");
const MATMUL_REGISTER = SHADERS.kernel("matmul_register");
const MATMUL_SUM = SHADERS.kernel("matmul_sum");
const MATMUL_VECTOR = SHADERS.kernel("matmul_vector");
const MATMUL_WORKGROUP = SHADERS.kernel("matmul_workgroup");
/** Invocations of a workgroup of the register kernel, each with a tile of its own. */
const REGISTER_WORKGROUP = 8;
/** Workgroups past which a dispatch is folded, and may have some too many. */
const MOST_WORKGROUPS = 65_535;

/** What {@linkcode matmul} takes. */
export interface MatmulInputs {
  /** `[..., M, K]`, or `[..., K, M]` with `transposeA`; f32 or f16. */
  readonly a: Tensor;
  /**
   * `[K, N]`, or `[N, K]` with `transposeB`: one for all batches; or with the leading axes of `a`; f32 or
   * f16. With `transposeB` also a quantized matrix, or a list: its rows in several tensors, in their
   * order, where they are more than one binding may have.
   */
  readonly b: Matrix | readonly Matrix[];
  /** Added to every row of the product: `[N]`; f32 or f16. */
  readonly bias?: Tensor;
  /** Added to the product, as a residual stream is: `[..., M, N]`, f32. */
  readonly addend?: Tensor;
}

/** Options of {@linkcode matmul}. */
export interface MatmulOptions {
  /** Whether the last two axes of `a` are K and M. */
  readonly transposeA?: boolean;
  /** Whether the last two axes of `b` are N and K. */
  readonly transposeB?: boolean;
  /** A tensor `[..., M, N]` that the product is added to; it is the output then. */
  readonly accumulateInto?: Tensor;
  /** How the output is stored; as `a` is by default, or as `accumulateInto` where there is one. */
  readonly outputType?: "f32" | "f16";
  /** Which kernel computes it; left out, the family's table decides by adapter and shape. */
  readonly algorithm?: MatmulAlgorithm;
}

const RULES = {
  transposeA: flag,
  transposeB: flag,
  accumulateInto: anything,
  outputType: oneOf(FLOATS),
  algorithm: oneOf(["register", "workgroup", "vector"]),
};

/** What {@linkcode matmul} returns. */
export interface MatmulOutputs extends Disposable {
  /** `[..., M, N]`; the tensor of `accumulateInto` where there is one. */
  readonly output: Tensor;
}

/** A product as its kernels take it. */
export interface Product extends MatmulShape {
  readonly a: Tensor;
  readonly b: Matrix;
  readonly bias: Tensor | undefined;
  readonly addend: Tensor | undefined;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Elements from one matrix of `a` to the next. */
  readonly aStride: number;
  /** Elements from one matrix of `b` to the next; 0 where all batches share it. */
  readonly bStride: number;
  readonly accumulate: boolean;
  /** Columns of the output, of which the product's are those from `cFirst` on. */
  readonly cWidth: number;
  readonly cFirst: number;
  /** Whether the output is the parts of a split sum, one after another. @default false */
  readonly inParts?: boolean;
}

/**
 * Matrix product: `output[..., m, n] = Σ_k a[..., m, k] · b[..., k, n] (+ bias[n])`. Its gradients are
 * products too: `aGradient = outputGradient · bᵀ` (`transposeB`), `bGradient = aᵀ · outputGradient`
 * (`transposeA`). Where K is 0 the sum is 0.
 *
 * Each tensor may be stored as f32 or as f16, weights in half the memory (`b`) with activations as they
 * are (`a`) for one; sums are in f32.
 *
 * ```ts
 * import { matmul, openGpu } from "@lengthwise/lengthwise";
 *
 * await using gpu = await openGpu();
 * using a = gpu.tensor([1, 2], [3, 4]);
 * using b = gpu.tensor([2, 1], [5, 6]);
 * using output = matmul(gpu, { a, b }).output;
 * console.log(await output.read()); // 39
 * ```
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function matmul(gpu: Gpu, inputs: MatmulInputs, options: MatmulOptions = {}): MatmulOutputs {
  checkNames("matmul", inputs, ["a", "b", "bias", "addend"]);
  checkOptions("matmul", options, RULES);
  const { a, b, bias, addend } = inputs;
  const { transposeA = false, transposeB = false, accumulateInto } = options;
  checkMatrices("a", a, transposeA ? "K, M" : "M, K");
  const axes = a.shape.slice(0, -2);
  const [rows, reduction] = lastTwo(a, transposeA);
  checkTensor("matmul", "a", a, a.shape, FLOATS);
  const blocks = b instanceof Array ? b : [b];
  blocks.forEach((block, i) =>
    checkB(b === block ? "b" : `b[${i}]`, block, {
      axes,
      reduction,
      transposeB,
      listed: b !== block,
    })
  );
  const columns = blocks.reduce((sum, block) => sum + lastTwo(block, !transposeB)[0], 0);
  const shared = blocks.every(({ shape }) => shape.length === 2);
  if (bias) checkTensor("matmul", "bias", bias, [columns], FLOATS);
  const shape = [...axes, rows, columns];
  if (addend) checkTensor("matmul", "addend", addend, shape);
  if (accumulateInto !== undefined) {
    checkTensor("matmul", "accumulateInto", accumulateInto, shape, options.outputType ?? FLOATS);
  }
  const output = accumulateInto ?? gpu.empty(shape, options.outputType ?? a.dtype);
  if (output.size === 0) return results({ output });

  const batches = elementCount(axes);
  const folded = shared && !transposeA;
  let cFirst = 0;
  for (const block of blocks) {
    const [blockColumns] = lastTwo(block, !transposeB);
    runProduct(
      gpu,
      {
        a,
        b: block,
        bias,
        addend,
        transposeA,
        transposeB,
        batches: folded ? 1 : batches,
        rows: folded ? batches * rows : rows,
        columns: blockColumns,
        reduction,
        aStride: rows * reduction,
        bStride: shared ? 0 : reduction * blockColumns,
        accumulate: accumulateInto !== undefined,
        cWidth: columns,
        cFirst,
      },
      output,
      options.algorithm,
    );
    cFirst += blockColumns;
  }
  return results({ output });
}

/** Runs a product that was checked. */
export function runProduct(
  gpu: Gpu,
  product: Product,
  output: Tensor,
  algorithm: MatmulAlgorithm | undefined,
): void {
  if (product.columns === 0) return;
  const { b, rows, bias, cWidth } = product;
  if (cWidth === 1 && rows > 1 && !bias && !(b instanceof QuantizedMatrix)) {
    product = transposed({ ...product, b });
  }
  const tiling = tilingOf(gpu, product, algorithm);
  if (tiling.algorithm === "register") registerProduct(gpu, product, tiling, output);
  else if (tiling.algorithm === "workgroup") workgroupProduct(gpu, product, tiling, output);
  else vectorProduct(gpu, product, output);
}

/** How a product is cut up, by the kernel asked for or the one that the family's table has. */
export function tilingOf(
  gpu: Gpu,
  product: Product,
  algorithm: MatmulAlgorithm | undefined,
): MatmulTiling {
  const chosen = PRODUCT.choose(gpu, problemOf(product));
  const tile = chosen.algorithm === "workgroup" ? chosen : undefined;
  return matmulTiling(gpu.adapter.software, product, algorithm ?? chosen.algorithm, tile);
}

/** A product as the family's table takes it. */
function problemOf(
  { a, b, batches, rows, columns, reduction, transposeA, transposeB, bStride }: Product,
): ProductProblem {
  const extents = { batches, rows, columns, reduction, transposeA, transposeB };
  return { ...extents, sharedB: bStride === 0, typeA: a.dtype, typeB: b.dtype };
}

/** Checks b, or one of its blocks. @throws {RangeError} where it does not fit. */
function checkB(
  name: string,
  b: Matrix,
  { axes, reduction, transposeB, listed }: {
    readonly axes: readonly number[];
    readonly reduction: number;
    readonly transposeB: boolean;
    readonly listed: boolean;
  },
): void {
  const isQuantized = b instanceof QuantizedMatrix;
  if ((isQuantized || listed) && !transposeB) {
    throw new RangeError(
      `Cannot run matmul() as ${
        isQuantized ? "quantized weights" : "a list of weights"
      } must be [N, K]: set transposeB`,
    );
  }
  if (b instanceof Tensor) checkMatrices(name, b, transposeB ? "N, K" : "K, N");
  const [columns] = lastTwo(b, !transposeB);
  const matrix = transposeB ? [columns, reduction] : [reduction, columns];
  const shape = listed || b.shape.length === 2 ? matrix : [...axes, ...matrix];
  if (!isQuantized) return checkTensor("matmul", name, b, shape, FLOATS);
  if (`${b.shape}` !== `${shape}`) {
    throw new RangeError(
      `Cannot run matmul() as ${name} must have shape [${shape}]: current shape is [${b.shape}]`,
    );
  }
}

function checkMatrices(name: string, { shape }: Tensor, axes: string): void {
  if (shape.length >= 2) return;
  throw new RangeError(
    `Cannot run matmul() as ${name} must have shape [..., ${axes}]: current shape is [${shape}]`,
  );
}

/** The last two extents of a tensor, in the other order where `swap`. */
function lastTwo({ shape }: Matrix, swap: boolean): [number, number] {
  const [first, second] = shape.slice(-2);
  return swap ? [second, first] : [first, second];
}

/** Cᵀ = op(B)ᵀ op(A)ᵀ: a column of C is a row of Cᵀ with the same elements in memory. */
function transposed(product: Product & { readonly b: Tensor }): Product {
  return {
    ...product,
    a: product.b,
    b: product.a,
    transposeA: !product.transposeB,
    transposeB: !product.transposeA,
    rows: product.columns,
    columns: product.rows,
    aStride: product.bStride,
    bStride: product.aStride,
    cWidth: product.rows,
  };
}

function vectorProduct(gpu: Gpu, product: Product, output: Tensor): void {
  const { a, batches, rows, columns, reduction } = product;
  const tiling = vectorTiling(gpu, problemOf(product));
  gpu.dispatch(MATMUL_VECTOR, {
    constants: {
      ...elements(product, output),
      ...tiling,
      ...flags(product),
      ACCUMULATE: product.accumulate,
      ALIGNED: columns % 4 === 0 && reduction % 4 === 0,
    },
    uniform: { ...shapeFields(product), splits: 1, splitLength: reduction },
    read: { a, ...storedB(product.b), ...addends(product) },
    write: { c: output },
    workgroups: batches * rows * Math.ceil(columns / (4 * tiling.GROUPS)),
  });
}

function workgroupProduct(
  gpu: Gpu,
  product: Product,
  tiling: MatmulTiling,
  output: Tensor,
): void {
  const direct = tiling.splits === 1 || product.inParts === true;
  const { batches, rows, columns } = product;
  using partial = direct ? undefined : gpu.empty([tiling.splits, batches, rows, columns]);
  gpu.dispatch(MATMUL_WORKGROUP, {
    constants: {
      ...elements(product, partial ?? output),
      ...flags(product),
      ...tileConstants(tiling.workgroup),
      ALIGNED_A: (product.transposeA ? rows : product.reduction) % 4 === 0,
      ALIGNED_B: (product.transposeB ? product.reduction : columns) % 4 === 0,
      ACCUMULATE: direct && product.accumulate,
    },
    uniform: {
      ...shapeFields(product),
      ...(partial && whole(columns)),
      splits: tiling.splits,
      splitLength: tiling.splitLength,
    },
    read: { a: product.a, ...storedB(product.b), ...(direct && addends(product)) },
    write: { c: partial ?? output },
    workgroups: tileWorkgroups(tiling, product, 1),
  });
  if (partial) sumPartial(gpu, product, partial, output);
}

function registerProduct(
  gpu: Gpu,
  product: Product,
  tiling: MatmulTiling,
  output: Tensor,
): void {
  const { batches, rows, columns, reduction, transposeA, transposeB, cWidth, cFirst } = product;
  const paddedReduction = roundUp4(reduction);
  const paddedColumns = roundUp4(columns);
  const paddedRows = transposeA ? roundUp4(rows) : rows;
  using a = padded(
    gpu,
    product.a,
    product.aStride === 0 ? 1 : batches,
    transposeA ? [reduction, rows] : [rows, reduction],
    transposeA ? [paddedReduction, paddedRows] : [rows, paddedReduction],
  );
  using b = product.b instanceof QuantizedMatrix ? undefined : padded(
    gpu,
    product.b,
    product.bStride === 0 ? 1 : batches,
    transposeB ? [columns, reduction] : [reduction, columns],
    transposeB ? [paddedColumns, paddedReduction] : [paddedReduction, paddedColumns],
  );
  const isAligned = paddedColumns === columns && cWidth % 4 === 0 && cFirst % 4 === 0;
  const isWhole = tiling.splits === 1 || product.inParts === true;
  // What is stored past the columns of a block would be another's.
  const isLast = paddedColumns === columns || columns === cWidth;
  const direct = isWhole && isLast && paddedRows === rows;
  using partial = direct ? undefined : gpu.empty([
    tiling.splits,
    batches,
    paddedRows,
    paddedColumns,
  ]);
  const [tileRows, tileColumns] = tiling.tile;
  const workgroups = tileWorkgroups(tiling, product, REGISTER_WORKGROUP);
  const invocations = workgroups * REGISTER_WORKGROUP;
  gpu.dispatch(MATMUL_REGISTER, {
    constants: {
      ...elements(product, partial ?? output),
      WORKGROUP_SIZE: REGISTER_WORKGROUP,
      ROW_BLOCKS: tileRows / 4,
      COLUMN_BLOCKS: tileColumns / 4,
      GUARDED: invocations * tileRows * tileColumns !==
          tiling.splits * batches * paddedRows * paddedColumns || workgroups > MOST_WORKGROUPS,
      FOURS: isAligned || !direct,
      ...flags(product),
      ACCUMULATE: direct && product.accumulate,
    },
    uniform: {
      batches,
      rows: paddedRows,
      columns: paddedColumns,
      reduction: paddedReduction,
      aStride: product.aStride === 0 ? 0 : paddedRows * paddedReduction,
      bStride: product.bStride === 0 ? 0 : paddedReduction * paddedColumns,
      bWidth: reduction,
      ...(partial ? whole(paddedColumns) : { cWidth, cFirst }),
      splits: tiling.splits,
      splitLength: tiling.splitLength,
    },
    read: { a, ...(b ? { b } : storedB(product.b)), ...(direct && addends(product)) },
    write: { c: partial ?? output },
    workgroups,
  });
  if (partial) sumPartial(gpu, product, partial, output);
}

/** The matrices with larger extents, zeros past the old ones; the same memory where nothing changes. */
function padded(
  gpu: Gpu,
  source: Tensor,
  batches: number,
  [rows, columns]: readonly number[],
  [paddedRows, paddedColumns]: readonly number[],
): Tensor {
  if (rows === paddedRows && columns === paddedColumns) return source.reshape(source.shape);
  const result = gpu.empty([batches, paddedRows, paddedColumns], source.dtype);
  gpu.dispatch(MATMUL_PAD, {
    constants: { Element: source.dtype },
    uniform: { batches, rows, columns, paddedRows, paddedColumns },
    read: { source },
    write: { padded: result },
    workgroups: Math.ceil(result.size / 64),
  });
  return result;
}

/** Second pass of a product whose K is split, or whose extents were padded. */
function sumPartial(gpu: Gpu, product: Product, partial: Tensor, output: Tensor): void {
  const [splits, , partialRows, partialColumns] = partial.shape;
  const { batches, rows, columns, cWidth, cFirst } = product;
  const { ElementBias, ElementC } = elements(product, output);
  const counts = { columns, partialColumns, cWidth, cFirst };
  const FOURS = Object.values(counts).every((count) => count % 4 === 0);
  const elementsOfSum = FOURS ? 4 : 1;
  gpu.dispatch(MATMUL_SUM, {
    constants: { ElementBias, ElementC, FOURS, ACCUMULATE: product.accumulate },
    uniform: {
      splits,
      batches,
      rows,
      columns: columns / elementsOfSum,
      partialRows,
      partialColumns: partialColumns / elementsOfSum,
      cWidth: cWidth / elementsOfSum,
      cFirst: cFirst / elementsOfSum,
    },
    read: { partial, ...addends(product) },
    write: { c: output },
    workgroups: Math.ceil(batches * rows * columns / elementsOfSum / 64),
  });
}

/** How the matrices are stored, for the kernel that writes `written`. */
function elements(
  { a, b, bias }: Product,
  written: Tensor,
): Record<"ElementA" | "ElementB" | "ElementBias" | "ElementC", DataType> & { BITS: number } {
  return {
    ElementA: a.dtype,
    ElementB: b instanceof QuantizedMatrix ? "f32" : b.dtype,
    BITS: quantizedBits(b),
    ElementBias: bias?.dtype ?? "f32",
    ElementC: written.dtype,
  };
}

function flags({ transposeA, transposeB }: Product): Record<string, boolean> {
  return { TRANSPOSE_A: transposeA, TRANSPOSE_B: transposeB };
}

function tileConstants(
  { ROW_FOURS, COLUMN_FOURS, DOWN, ACROSS, STEPS }: WorkgroupTile,
): Record<string, number> {
  return { ROW_FOURS, COLUMN_FOURS, DOWN, ACROSS, STEPS };
}

function shapeFields(product: Product): Record<string, number> {
  const { batches, rows, columns, reduction, aStride, bStride, cWidth, cFirst } = product;
  return { batches, rows, columns, reduction, aStride, bStride, bWidth: reduction, cWidth, cFirst };
}

/** Where a product goes that is the whole of what it is written to. */
function whole(columns: number): { cWidth: number; cFirst: number } {
  return { cWidth: columns, cFirst: 0 };
}

/** What a product's last pass adds. */
function addends({ bias, addend }: Product): Record<"bias" | "addend", Tensor | undefined> {
  return { bias, addend };
}

function storedB(b: Matrix): { b: AnyTensor; scales?: AnyTensor } {
  return b instanceof QuantizedMatrix ? { b: b.values, scales: b.scales } : { b };
}

function roundUp4(extent: number): number {
  return Math.ceil(extent / 4) * 4;
}
