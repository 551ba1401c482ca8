/** How a tensor's elements are stored. */
export type DataType = "f32" | "f16" | "u32";

/** The data types of tensors of floating-point numbers. */
export type FloatType = Exclude<DataType, "u32">;

/** What the elements of a tensor are read back as; f16 as f32. */
export type Elements<Type extends DataType> = Type extends "u32" ? Uint32Array : Float32Array;

/** Bytes that an element of each data type takes. */
export const BYTES_PER_ELEMENT: Readonly<Record<DataType, number>> = { f32: 4, f16: 2, u32: 4 };

const DATA_TYPES = Object.keys(BYTES_PER_ELEMENT) as DataType[];

/** A GPU buffer that tensors share; it goes back to its {@linkcode Gpu} when the last one is disposed of. */
export interface Allocation {
  /** Different for each buffer of a program. */
  readonly id: number;
  /** The buffer. */
  readonly buffer: GPUBuffer;
  /** How large the buffer is, padding included. */
  readonly bytes: number;
  /** Tensors that hold it. */
  references: number;
  /** Whether the buffer is the caller's, who destroys it. */
  readonly borrowed?: boolean;
  /** The recording that it belongs to, if any. */
  plan?: AllocationPlan;
}

/** What plans the memory of tensors that are made while work is recorded. */
export interface AllocationPlan {
  /** Takes memory back that no tensor holds any more. */
  give(allocation: Allocation): void;
}

/** What a tensor's memory belongs to: a {@linkcode Gpu}. */
export interface TensorOwner {
  /** Reads tensors back. */
  read<Type extends DataType>(tensors: readonly Tensor<Type>[]): Promise<Elements<Type>[]>;
  /** Overwrites a tensor's elements. */
  write(tensor: Tensor<DataType>, data: ArrayLike<number>): void;
  /** Takes memory back. */
  release(allocation: Allocation): void;
}

/** The number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, extent) => count * extent, 1);
}

/**
 * Checks what a tensor is asked to be.
 *
 * @throws {RangeError} where an extent is not an integer of 0 or more, or there is no such data type.
 */
export function checkLayout(what: string, shape: readonly number[], dtype: DataType): void {
  if (!shape.every((extent) => Number.isInteger(extent) && extent >= 0)) {
    throw new RangeError(
      `Cannot ${what} as its extents must be integers of 0 or more: current shape is [${shape}]`,
    );
  }
  if (!DATA_TYPES.includes(dtype)) {
    throw new RangeError(
      `Cannot ${what} as its data type must be ${DATA_TYPES.join(", ")}: current type is ${dtype}`,
    );
  }
}

/**
 * A row-major array in GPU memory; of floats, unless its type says otherwise: `Tensor<"u32">`. V8 does not know how large it is, so dispose of it: with `using`,
 * with `gpu.scope()`, or by calling `tensor[Symbol.dispose]()`.
 */
export class Tensor<Type extends DataType = FloatType> implements Disposable {
  /** The extents, the outermost first. */
  readonly shape: readonly number[];
  /** How its elements are stored. */
  readonly dtype: Type;
  readonly #owner: TensorOwner;
  #allocation: Allocation | undefined;
  readonly #binding: number;

  /** Made by {@linkcode Gpu.tensor} and {@linkcode Gpu.empty}; takes over one reference. */
  constructor(owner: TensorOwner, shape: readonly number[], dtype: Type, allocation: Allocation) {
    this.#owner = owner;
    this.shape = Object.freeze([...shape]);
    this.dtype = dtype;
    this.#allocation = allocation;
    this.#binding = 4 * allocation.id + DATA_TYPES.indexOf(dtype);
  }

  /** The number of elements. */
  get size(): number {
    return elementCount(this.shape);
  }

  /** Bytes of the elements, without padding. */
  get bytes(): number {
    return this.size * BYTES_PER_ELEMENT[this.dtype];
  }

  /** Whether the tensor has been disposed of. */
  get disposed(): boolean {
    return this.#allocation === undefined;
  }

  /** The memory behind the tensor. @throws {Error} where the tensor has been disposed of. */
  get allocation(): Allocation {
    if (this.#allocation === undefined) {
      throw new Error(
        `Cannot use the tensor of shape [${this.shape}] as it was disposed of: keep it alive until its last use`,
      );
    }
    return this.#allocation;
  }

  /**
   * A number that tensors share whose memory and data type are the same.
   *
   * @throws {Error} where the tensor has been disposed of.
   * @internal
   */
  get binding(): number {
    return this.#allocation === undefined ? this.allocation.id : this.#binding;
  }

  /** Reads the elements back. Waits about 10 ms however small they are: read several with `gpu.read`. */
  async read(): Promise<Elements<Type>> {
    return (await this.#owner.read([this]))[0];
  }

  /** Overwrites the elements, in order with the work already dispatched. */
  write(data: ArrayLike<number>): void {
    this.#owner.write(this, data);
  }

  /**
   * The same memory under another shape of as many elements; disposed of on its own.
   *
   * @throws {RangeError} where the number of elements differs.
   */
  reshape(shape: readonly number[]): Tensor<Type> {
    if (elementCount(shape) !== this.size) {
      throw new RangeError(
        `Cannot reshape a tensor to [${shape}] as it has ${this.size} elements: current shape is [${this.shape}]`,
      );
    }
    this.allocation.references++;
    return new Tensor(this.#owner, shape, this.dtype, this.allocation);
  }

  /** Frees the memory, or its share in it; a second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#allocation === undefined) return;
    this.#owner.release(this.#allocation);
    this.#allocation = undefined;
  }
}

/** A tensor of any data type. */
export type AnyTensor = Tensor<DataType>;

/**
 * Checks what a tensor is overwritten with.
 *
 * @param offset In elements; left out, all of the tensor is written.
 * @returns Where it is written, in bytes.
 * @throws {RangeError} where the elements do not fill the tensor, or do not fit in it.
 */
export function checkWritten(tensor: AnyTensor, count: number, offset: number | undefined): number {
  const { shape, dtype, size } = tensor;
  const start = offset ?? 0;
  const end = start + count;
  if (offset === undefined && end !== size) {
    throw new RangeError(
      `Cannot fill a tensor of shape [${shape}] as it takes ${size} elements: current number is ${count}`,
    );
  }
  const width = BYTES_PER_ELEMENT[dtype];
  const whole = start * width % 4 === 0 && (end * width % 4 === 0 || end === size);
  if (start < 0 || end > size || !whole) {
    throw new RangeError(
      `Cannot write elements ${start} to ${end} of ${dtype}[${shape}]: they must lie inside it, and begin and end at whole words of 4 bytes`,
    );
  }
  return start * width;
}

/**
 * Checks what is copied from one tensor into another.
 *
 * @returns The same in bytes.
 * @throws {RangeError} where it does not lie within both, or f16 elements not on whole 4 bytes.
 */
export function checkCopied(
  source: AnyTensor,
  destination: AnyTensor,
  options: { sourceOffset?: number; destinationOffset?: number; elements?: number },
): { sourceOffset: number; destinationOffset: number; bytes: number } {
  const { sourceOffset = 0, destinationOffset = 0, elements = source.size - sourceOffset } =
    options;
  if (
    source.dtype !== destination.dtype || sourceOffset + elements > source.size ||
    destinationOffset + elements > destination.size
  ) {
    throw new RangeError(
      `Cannot copy ${elements} elements of ${source.dtype}[${source.shape}] from ${sourceOffset} to ${destination.dtype}[${destination.shape}] at ${destinationOffset}`,
    );
  }
  const width = BYTES_PER_ELEMENT[source.dtype];
  const toTheEnd = destinationOffset + elements === destination.size;
  const misaligned = elements > 0 &&
    [sourceOffset, destinationOffset, ...(toTheEnd ? [] : [elements])]
      .some((count) => count * width % 4 !== 0);
  if (misaligned) {
    throw new RangeError(
      `Cannot copy ${elements} elements of ${source.dtype} from ${sourceOffset} to ${destinationOffset} as WebGPU copies whole 4 bytes: use even numbers`,
    );
  }
  return {
    sourceOffset: sourceOffset * width,
    destinationOffset: destinationOffset * width,
    bytes: Math.ceil(elements * width / 4) * 4,
  };
}

/**
 * Checks a buffer that a tensor is to lie over.
 *
 * @throws {RangeError} where it lacks a usage, is mapped, or is smaller than the shape.
 */
export function checkWrapped(buffer: GPUBuffer, shape: readonly number[], dtype: DataType): void {
  checkLayout("wrap a buffer", shape, dtype);
  const bytes = Math.ceil(elementCount(shape) * BYTES_PER_ELEMENT[dtype] / 4) * 4;
  const usages = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  if ((buffer.usage & usages) !== usages || buffer.mapState !== "unmapped") {
    throw new RangeError(
      "Cannot wrap a buffer as it must have the usages STORAGE, COPY_SRC and COPY_DST, and be unmapped",
    );
  }
  if (buffer.size < bytes) {
    throw new RangeError(
      `Cannot wrap a buffer as ${dtype}[${shape}] takes ${bytes} bytes: current size is ${buffer.size}`,
    );
  }
}
