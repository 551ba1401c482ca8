import {
  BYTES_PER_ELEMENT,
  elementCount,
  type FloatType,
  type Gpu,
  type Tensor,
} from "../kernels/gpu/mod.ts";
import {
  type Matrix,
  QUANTIZED_TYPES,
  type QuantizedType,
  quantizedWords,
} from "../kernels/storage/mod.ts";
import type { ModelConfiguration } from "./configuration.ts";
import { parameterSpecifications } from "./layers.ts";
import { uniformSource } from "./parameters.ts";
import { Variable } from "./tape.ts";

/** How the weights of linear maps and of the embedding are kept on the GPU. */
export type WeightType = FloatType | QuantizedType;

/** Every {@linkcode WeightType}, the exact one first. */
export const WEIGHT_TYPES: readonly WeightType[] = ["f32", "f16", ...QUANTIZED_TYPES];

/** Rows of a block are a multiple of this, so that kernels may take whole vectors and tiles of them. */
const BLOCK_ROWS = 16;
/** Buffers are multiples of this many bytes. */
const BUFFER_BYTES = 256;

/** A parameter, and how it is kept on the GPU. */
export interface KeptParameter {
  /** Its name. */
  readonly name: string;
  /** Its extents. */
  readonly shape: readonly number[];
  /** How it is kept. */
  readonly dtype: WeightType;
}

/**
 * How a model's parameters are kept. What is not a linear map or the embedding is f32; embedding and head
 * have 8 bits where others have 4, as all that is read and said goes through them.
 */
export function keptParameters(
  configuration: ModelConfiguration,
  dtype: WeightType,
): KeptParameter[] {
  return parameterSpecifications(configuration).map(({ name, shape, decays }) => {
    // Those that decay are the linear maps' weights.
    const isMatrix = decays || name === "embedding.weight";
    const isOuter = name === "embedding.weight" || name === "head.weight";
    const own = dtype === "int4" && isOuter ? "int8" : dtype;
    return { name, shape, dtype: isMatrix ? own : "f32" };
  });
}

/** Bytes of a row of a matrix. */
function rowBytes(columns: number, dtype: WeightType): { largest: number; all: number } {
  if (dtype === "f32" || dtype === "f16") {
    const all = columns * BYTES_PER_ELEMENT[dtype];
    // A product may want whole vectors, and pads the rows.
    return { all, largest: Math.ceil(columns / 4) * 4 * BYTES_PER_ELEMENT[dtype] };
  }
  const { words, scaleWords } = quantizedWords(columns, dtype);
  return { all: 4 * (words + scaleWords), largest: 4 * words };
}

/** Bytes that a parameter takes. */
export function keptBytes({ shape, dtype }: Omit<KeptParameter, "name">): number {
  const columns = shape.at(-1) ?? 1;
  return elementCount(shape.slice(0, -1)) * rowBytes(columns, dtype).all;
}

/** Bytes that a model's parameters take. */
export function weightBytes(configuration: ModelConfiguration, dtype: WeightType): number {
  return keptParameters(configuration, dtype).reduce((sum, kept) => sum + keptBytes(kept), 0);
}

/** What a model takes with its weights in each form, and so many bytes besides, for errors. */
export function bytesInForms(configuration: ModelConfiguration, besides: number = 0): string {
  return WEIGHT_TYPES.map((type) => `${weightBytes(configuration, type) + besides} in ${type}`)
    .join(", ");
}

/** The bytes of the largest tensor that one binding can have. */
export function bindingBytes({ bindingLimit }: Gpu): number {
  return bindingLimit - bindingLimit % BUFFER_BYTES;
}

/**
 * The numbers of rows of the blocks that a parameter is cut into, each of which a kernel can have before
 * it; one where it is not a matrix, or small enough.
 *
 * @throws {RangeError} where not even a few rows are.
 */
export function blockRows(gpu: Gpu, { name, shape, dtype }: KeptParameter): number[] {
  const rows = elementCount(shape.slice(0, -1));
  const { largest } = rowBytes(shape.at(-1) ?? 1, dtype);
  const limit = bindingBytes(gpu);
  if (rows * largest <= limit) return [rows];
  const atOnce = Math.floor(limit / largest / BLOCK_ROWS) * BLOCK_ROWS;
  if (shape.length !== 2 || atOnce === 0) {
    throw new RangeError(
      `Cannot keep ${name} of shape [${shape}] as ${BLOCK_ROWS} rows of it take ${
        BLOCK_ROWS * largest
      } bytes: ${gpu.adapter.name} allows ${gpu.bindingLimit} in one binding (maxStorageBufferBindingSize)`,
    );
  }
  const whole = Math.floor(rows / atOnce);
  return [...new Array(whole).fill(atOnce), ...(rows % atOnce === 0 ? [] : [rows % atOnce])];
}

/**
 * Values of a model's parameters: drawn from a seed, or given by name. Those that are on the GPU already
 * are in one tensor, or in several of a matrix's rows.
 */
export type ParameterValues =
  | { readonly seed: number }
  | ReadonlyMap<string, Float32Array | readonly Matrix[]>;

/** A model's parameters by name. Those that are not in f32 are not differentiated. */
export function makeParameters(
  gpu: Gpu,
  configuration: ModelConfiguration,
  values: ParameterValues,
): Map<string, Variable> {
  return new Map(
    parameterSpecifications(configuration).map(({ name, shape, initial }) => {
      const data = "seed" in values
        ? initial(elementCount(shape), uniformSource(values.seed, name))
        : values.get(name);
      const matrices = data === undefined || data instanceof Float32Array
        ? writeBlocks(gpu, { name, shape, dtype: "f32" }, data)
        : data;
      const blocks = matrices.map((matrix) => new Variable(matrix, matrix.dtype === "f32"));
      return [name, blocks.length === 1 ? blocks[0] : new Variable(blocks)];
    }),
  );
}

/** Each block of parameters by its name; those of one in several as `name/0`, `name/1`. */
export function leavesOf(parameters: ReadonlyMap<string, Variable>): Map<string, Variable> {
  return new Map(
    [...parameters].flatMap(([name, variable]) =>
      variable.blocks.map((block, index) =>
        [block === variable ? name : `${name}/${index}`, block] as const
      )
    ),
  );
}

/** A parameter's values on the GPU in f32, in as many blocks of rows as need be; zeros where left out. */
export function writeBlocks(
  gpu: Gpu,
  kept: KeptParameter & { readonly dtype: "f32" },
  values: Float32Array | undefined,
): Tensor[] {
  const { shape } = kept;
  const rows = blockRows(gpu, kept);
  if (rows.length === 1) return [gpu.tensor(shape, values)];
  const [, columns] = shape;
  let first = 0;
  return rows.map((count) => {
    const part = values?.subarray(first * columns, (first + count) * columns);
    first += count;
    return gpu.tensor([count, columns], part);
  });
}

/** Overwrites a parameter in f32, in as many blocks as it is. */
export function overwrite(variable: Variable, values: Float32Array): void {
  let first = 0;
  for (const { tensor } of variable.blocks) {
    tensor.write(values.subarray(first, first + tensor.size));
    first += tensor.size;
  }
}
