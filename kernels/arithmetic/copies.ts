import {
  type AnyTensor,
  checkNames,
  checkOption,
  checkOptions,
  checkRank,
  checkTensor,
  type Gpu,
  integer,
  integers,
  type Kernel,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { workgroups } from "./flat.ts";
import { ARITHMETIC } from "./shaders.ts";

const COPY_COLUMNS = ARITHMETIC.kernel("copy_columns");
const GATHER_ROWS = ARITHMETIC.kernel("gather_rows");
const GATHER_ROWS_BACKWARD = ARITHMETIC.kernel("gather_rows_backward");
/** Names of inputs; an op and its gradients may be handed the same. */
const GATHER_INPUTS = ["x", "indices", "outputGradient"];

/** What an invocation copies, by its number of 32-bit elements of any kind. */
const BITS = { 1: "u32", 4: "vec4u" } as const;

/** One matrix's part in a copy: how wide it is, and where the copied columns start. */
interface Columns {
  readonly tensor: Tensor;
  readonly width: number;
  readonly start: number;
}

function copyColumns(
  gpu: Gpu,
  x: Columns,
  output: Columns,
  { rows, columns }: { rows: number; columns: number },
): void {
  const counts = [columns, x.width, x.start, output.width, output.start];
  const elements = counts.every((count) => count % 4 === 0) ? 4 : 1;
  gpu.dispatch(COPY_COLUMNS, {
    constants: { Bits: BITS[elements] },
    uniform: {
      rows,
      columns: columns / elements,
      xColumns: x.width / elements,
      xStart: x.start / elements,
      outputColumns: output.width / elements,
      outputStart: output.start / elements,
    },
    read: { x: x.tensor },
    write: { output: output.tensor },
    workgroups: workgroups(rows * columns / elements),
  });
}

function checkWord(op: string, name: string, { dtype }: Tensor): void {
  if (dtype === "f16") {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must be f32 or u32: current data type is ${dtype}`,
    );
  }
}

function withExtent(shape: readonly number[], axis: number, extent: number): number[] {
  return shape.with(axis, extent);
}

function join(gpu: Gpu, op: string, inputs: readonly Tensor[], axis: number): ConcatenateOutputs {
  if (inputs.length === 0) {
    throw new RangeError(`Cannot run ${op}() as it needs an input: current number is 0`);
  }
  const [first] = inputs;
  const at = axis < 0 ? first.shape.length + axis : axis;
  if (at < 0 || at >= first.shape.length) {
    throw new RangeError(
      `Cannot run ${op}() as its inputs must have axis ${axis}: current shape is [${first.shape}]`,
    );
  }
  inputs.forEach((input, index) => {
    const extent = input.shape[at] ?? 0;
    checkWord(op, `inputs[${index}]`, input);
    checkTensor(op, `inputs[${index}]`, input, withExtent(first.shape, at, extent), first.dtype);
  });
  const total = inputs.reduce((sum, input) => sum + input.shape[at], 0);
  const rows = first.shape.slice(0, at).reduce((count, extent) => count * extent, 1);
  const inner = first.shape.slice(at + 1).reduce((count, extent) => count * extent, 1);
  const output = gpu.empty(withExtent(first.shape, at, total), first.dtype);
  let start = 0;
  for (const tensor of inputs) {
    const columns = tensor.shape[at] * inner;
    const from = { tensor, width: columns, start: 0 };
    copyColumns(gpu, from, { tensor: output, width: total * inner, start }, { rows, columns });
    start += columns;
  }
  return results({ output });
}

/** What {@linkcode split} takes. */
export interface SplitInputs {
  /** `[..., columns]`, f32 or u32. */
  readonly x: Tensor;
}

/** Options of {@linkcode split}. */
export interface SplitOptions {
  /** The extents of the parts; they sum to `columns`. */
  readonly sizes: readonly number[];
}

/** What {@linkcode split} returns. */
export interface SplitOutputs extends Disposable {
  /** One tensor a part: `[..., sizes[i]]`. */
  readonly outputs: Tensor[];
}

/**
 * Cuts `x` along its last axis. Its backward pass is {@linkcode concatenate} of the gradients.
 *
 * @throws {RangeError} where the sizes do not sum to the last axis.
 */
export function split(gpu: Gpu, inputs: SplitInputs, options: SplitOptions): SplitOutputs {
  checkNames("split", inputs, ["x"]);
  const { x } = inputs;
  const { sizes } = options;
  checkOptions("split", options, { sizes: integers() });
  checkOption("split", "sizes", sizes, integers());
  checkWord("split", "x", x);
  const width = x.shape.at(-1) ?? 0;
  if (sizes.reduce((sum, size) => sum + size, 0) !== width || sizes.some((size) => size < 0)) {
    throw new RangeError(
      `Cannot run split() as the sizes [${sizes}] must sum to the last axis of x: current shape is [${x.shape}]`,
    );
  }
  const rows = width === 0 ? 0 : x.size / width;
  let start = 0;
  const outputs = sizes.map((columns) => {
    const tensor = gpu.empty(withExtent(x.shape, x.shape.length - 1, columns), x.dtype);
    const from = { tensor: x, width, start };
    copyColumns(gpu, from, { tensor, width: columns, start: 0 }, { rows, columns });
    start += columns;
    return tensor;
  });
  return results({ outputs });
}

/** What {@linkcode concatenate} and {@linkcode concatenateTime} take. */
export interface ConcatenateInputs {
  /** At least one tensor, of one data type; all axes but the joined one are equal. */
  readonly inputs: readonly Tensor[];
}

/** What {@linkcode concatenate} and {@linkcode concatenateTime} return. */
export interface ConcatenateOutputs extends Disposable {
  /** The joined axis is the sum of those of the inputs. */
  readonly output: Tensor;
}

/**
 * Joins tensors along their last axis. Its backward pass is {@linkcode split} of the gradient.
 *
 * @throws {RangeError} where there is no input or another axis differs.
 */
export function concatenate(gpu: Gpu, inputs: ConcatenateInputs): ConcatenateOutputs {
  checkNames("concatenate", inputs, ["inputs"]);
  return join(gpu, "concatenate", inputs.inputs, -1);
}

/**
 * Joins tensors `[batch, time, ...]` along time: a carried tail or a cache before its segment.
 *
 * @throws {RangeError} where there is no input or another axis differs.
 */
export function concatenateTime(gpu: Gpu, inputs: ConcatenateInputs): ConcatenateOutputs {
  checkNames("concatenateTime", inputs, ["inputs"]);
  return join(gpu, "concatenateTime", inputs.inputs, 1);
}

/** What {@linkcode sliceTime} takes. */
export interface SliceTimeInputs {
  /** `[batch, time, ...]`, f32 or u32. */
  readonly x: Tensor;
}

/** Options of {@linkcode sliceTime}. */
export interface SliceTimeOptions {
  /** The first time step taken. */
  readonly start: number;
  /** How many time steps are taken. */
  readonly length: number;
}

/** What {@linkcode sliceTime} returns. */
export interface SliceTimeOutputs extends Disposable {
  /** `[batch, length, ...]`. */
  readonly output: Tensor;
}

/**
 * The time steps from `start` to `start + length`, as a tensor of its own.
 *
 * @throws {RangeError} where the steps are not all in `x`.
 */
export function sliceTime(
  gpu: Gpu,
  inputs: SliceTimeInputs,
  options: SliceTimeOptions,
): SliceTimeOutputs {
  checkNames("sliceTime", inputs, ["x"]);
  const { x } = inputs;
  const { start, length } = options;
  checkOptions("sliceTime", options, { start: integer(0), length: integer(0) });
  checkOption("sliceTime", "start", start, integer(0));
  checkOption("sliceTime", "length", length, integer(0));
  checkWord("sliceTime", "x", x);
  const [batch, time] = x.shape;
  if (x.shape.length < 2 || start < 0 || length < 0 || start + length > time) {
    throw new RangeError(
      `Cannot run sliceTime() as x must have the time steps ${start} to ${
        start + length
      } on its second axis: current shape is [${x.shape}]`,
    );
  }
  const inner = x.shape.slice(2).reduce((count, extent) => count * extent, 1);
  const output = gpu.empty(withExtent(x.shape, 1, length), x.dtype);
  const columns = length * inner;
  const from = { tensor: x, width: time * inner, start: start * inner };
  const to = { tensor: output, width: columns, start: 0 };
  copyColumns(gpu, from, to, { rows: batch, columns });
  return results({ output });
}

/** What {@linkcode gatherRows} takes. */
export interface GatherRowsInputs {
  /** `[rows, columns]`, f32 or u32. */
  readonly x: Tensor;
  /** `[count]`, u32. */
  readonly indices: Tensor<"u32">;
}

/** What {@linkcode gatherRows} returns. */
export interface GatherRowsOutputs extends Disposable {
  /** `[count, columns]`. */
  readonly output: Tensor;
}

/**
 * `output[i] = x[indices[i]]`; a row of zeros where the index is past the last row.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function gatherRows(gpu: Gpu, inputs: GatherRowsInputs): GatherRowsOutputs {
  checkNames("gatherRows", inputs, GATHER_INPUTS);
  const { x, indices } = inputs;
  checkWord("gatherRows", "x", x);
  checkRank("gatherRows", "x", x, ["rows", "columns"]);
  checkTensor("gatherRows", "indices", indices, [indices.size], "u32");
  const [rows, columns] = x.shape;
  const output = gpu.empty([indices.size, columns], x.dtype);
  moveRows(gpu, GATHER_ROWS, { x, indices }, { output }, rows);
  return results({ output });
}

/** What {@linkcode gatherRowsBackward} takes. */
export interface GatherRowsBackwardInputs {
  /** `[count, columns]`. */
  readonly outputGradient: Tensor;
  /** `[count]`, u32; no two are equal, else which row is kept is left open. */
  readonly indices: Tensor<"u32">;
}

/** Options of {@linkcode gatherRowsBackward}. */
export interface GatherRowsBackwardOptions {
  /** The rows that `x` had. */
  readonly rows: number;
}

/** What {@linkcode gatherRowsBackward} returns. */
export interface GatherRowsGradients extends Disposable {
  /** `[rows, columns]`, zero where no index points. */
  readonly xGradient: Tensor;
}

/**
 * The gradient of {@linkcode gatherRows} where no two indices are equal: zeros, with the rows of
 * `outputGradient` put back. An index past the last row is passed over.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function gatherRowsBackward(
  gpu: Gpu,
  inputs: GatherRowsBackwardInputs,
  options: GatherRowsBackwardOptions,
): GatherRowsGradients {
  checkNames("gatherRowsBackward", inputs, GATHER_INPUTS);
  const { outputGradient, indices } = inputs;
  const { rows } = options;
  checkOptions("gatherRowsBackward", options, { rows: integer(0) });
  checkOption("gatherRowsBackward", "rows", rows, integer(0));
  checkRank("gatherRowsBackward", "outputGradient", outputGradient, ["count", "columns"]);
  const [count, columns] = outputGradient.shape;
  checkTensor("gatherRowsBackward", "outputGradient", outputGradient, [count, columns]);
  checkTensor("gatherRowsBackward", "indices", indices, [count], "u32");
  const xGradient = gpu.tensor([rows, columns]);
  moveRows(gpu, GATHER_ROWS_BACKWARD, { outputGradient, indices }, { xGradient }, rows);
  return results({ xGradient });
}

function moveRows(
  gpu: Gpu,
  kernel: Kernel,
  read: Record<string, AnyTensor>,
  write: Record<string, Tensor>,
  rows: number,
): void {
  const [written] = Object.values(write);
  const columns = written.shape[1];
  const count = read.indices.size;
  const elements = columns % 4 === 0 ? 4 : 1;
  gpu.dispatch(kernel, {
    constants: { Bits: BITS[elements] },
    uniform: { rows, columns: columns / elements, count },
    read,
    write,
    workgroups: workgroups(count * columns / elements),
  });
}
