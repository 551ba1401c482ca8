import { GROUP, type QuantizedMatrix, quantizedWords } from "../common/quantized_matrix.ts";
import {
  checkNames,
  checkOption,
  checkOptions,
  checkRank,
  checkTensor,
  type Gpu,
  integer,
  oneOf,
  type Tensor,
} from "../gpu/mod.ts";
import { STORAGE } from "./shaders.ts";

const CONVERT = STORAGE.kernel("convert");
const QUANTIZE = STORAGE.kernel("quantize");

/** How elements are stored in a file: floats of 32 bits or of 16, or the upper halves of 32. */
export type StoredFloat = "f32" | "f16" | "bf16";

const STORED: readonly StoredFloat[] = ["f32", "f16", "bf16"];
/** Elements in a word of 4 bytes. */
const PER_WORD = { f32: 1, f16: 2, bf16: 2 } as const;

const INPUTS = ["stored", "output", "flags"];
const PLACE = integer(0);
const CONVERT_RULES = { from: oneOf(STORED), elements: PLACE, first: PLACE, flag: PLACE };
const QUANTIZE_RULES = { from: oneOf(STORED), rows: PLACE, firstRow: PLACE, flag: PLACE };

/** What {@linkcode convert} takes. */
export interface ConvertInputs {
  /** Elements as they are stored, in words of 4 bytes; may be longer. */
  readonly stored: Tensor<"u32">;
  /** A part of it is overwritten: f32 or f16. */
  readonly output: Tensor;
  /** Gets a 1 at the place of `flag` where a number is too large for 16 bits: `[flags]`. */
  readonly flags: Tensor<"u32">;
}

/** Options of {@linkcode convert}. */
export interface ConvertOptions {
  /** How they are stored. */
  readonly from: StoredFloat;
  /** How many there are. */
  readonly elements: number;
  /** The first element of the output that is written, a multiple of 8. @default 0 */
  readonly first?: number;
  /** Which of the flags is set. @default 0 */
  readonly flag?: number;
}

/**
 * Writes stored elements into a part of a tensor, rounded to the nearest where that is f16. Of a part
 * that ends within a word of two f16 the second becomes 0.
 *
 * @throws {RangeError} where the elements do not fit, or an option is not what it must be.
 */
export function convert(gpu: Gpu, inputs: ConvertInputs, options: ConvertOptions): void {
  checkNames("convert", inputs, INPUTS);
  const { stored, output, flags } = inputs;
  const { from, elements, first = 0, flag = 0 } = options;
  checkOptions("convert", options, CONVERT_RULES);
  checkOption("convert", "from", from, CONVERT_RULES.from);
  checkOption("convert", "elements", elements, CONVERT_RULES.elements);
  checkStored("convert", stored, from, elements);
  checkTensor("convert", "output", output, output.shape, ["f32", "f16"]);
  checkFlags("convert", flags, flag);
  if (first % 8 !== 0 || first + elements > output.size) {
    throw new RangeError(
      `Cannot run convert() as elements ${first} to ${
        first + elements
      } must lie in the output and begin at a multiple of 8: current output is ${output.dtype}[${output.shape}]`,
    );
  }
  gpu.dispatch(CONVERT, {
    constants: { ...storedAs(from), TO_F16: output.dtype === "f16" },
    uniform: { elements, first, flag },
    read: { stored },
    write: { targetWords: output, flags },
    workgroups: Math.ceil(elements / 8 / 64),
  });
}

/** What {@linkcode quantize} takes. */
export interface QuantizeInputs {
  /** Elements of whole rows as they are stored, in words of 4 bytes; may be longer. */
  readonly stored: Tensor<"u32">;
  /** Some of its rows are overwritten. */
  readonly output: QuantizedMatrix;
  /** Gets a 1 at the place of `flag` where a number is too large for 16 bits: `[flags]`. */
  readonly flags: Tensor<"u32">;
}

/** Options of {@linkcode quantize}. */
export interface QuantizeOptions {
  /** How they are stored. */
  readonly from: StoredFloat;
  /** How many rows there are. */
  readonly rows: number;
  /** The first row of the output that is written. @default 0 */
  readonly firstRow?: number;
  /** Which of the flags is set. @default 0 */
  readonly flag?: number;
}

/**
 * Writes stored rows into a quantized matrix: each group of 32 neighbours becomes integers of 8 or 4 bits
 * and their largest absolute value in 16 bits, by which they are scaled. A group with a NaN or an
 * infinity is NaN.
 *
 * @throws {RangeError} where the rows do not fit, or an option is not what it must be.
 */
export function quantize(gpu: Gpu, inputs: QuantizeInputs, options: QuantizeOptions): void {
  checkNames("quantize", inputs, INPUTS);
  const { stored, output, flags } = inputs;
  const { from, rows, firstRow = 0, flag = 0 } = options;
  checkOptions("quantize", options, QUANTIZE_RULES);
  checkOption("quantize", "from", from, QUANTIZE_RULES.from);
  checkOption("quantize", "rows", rows, QUANTIZE_RULES.rows);
  const [allRows, columns] = output.shape;
  checkStored("quantize", stored, from, rows * columns);
  checkFlags("quantize", flags, flag);
  if (firstRow + rows > allRows) {
    throw new RangeError(
      `Cannot run quantize() as rows ${firstRow} to ${
        firstRow + rows
      } must lie in the output: current shape is [${output.shape}]`,
    );
  }
  const { values, scales, dtype } = output;
  gpu.dispatch(QUANTIZE, {
    constants: {
      ...storedAs(from),
      BITS: dtype === "int8" ? 8 : 4,
      ALIGNED: columns % GROUP === 0,
    },
    uniform: { rows, columns, firstRow, flag },
    read: { stored },
    write: { values, scales, flags },
    workgroups: Math.ceil(rows * quantizedWords(columns, dtype).scaleWords / 64),
  });
}

function storedAs(from: StoredFloat): Record<string, boolean> {
  return { STORED_F16: from === "f16", STORED_BF16: from === "bf16" };
}

function checkStored(
  op: string,
  stored: Tensor<"u32">,
  from: StoredFloat,
  elements: number,
): void {
  checkTensor(op, "stored", stored, stored.shape, "u32");
  if (stored.size * PER_WORD[from] < elements) {
    throw new RangeError(
      `Cannot run ${op}() as stored must hold ${elements} elements of ${from}: current shape is [${stored.shape}]`,
    );
  }
}

function checkFlags(op: string, flags: Tensor<"u32">, flag: number): void {
  checkRank(op, "flags", flags, ["flags"]);
  checkTensor(op, "flags", flags, flags.shape, "u32");
  if (flag < flags.size) return;
  throw new RangeError(
    `Cannot run ${op}() as flag must be one of the ${flags.size} flags: current value is ${flag}`,
  );
}
