import type { Gpu } from "./gpu.ts";

/** How a tensor's elements are stored. */
export type DataType = "f32" | "f16" | "u32";

/** Bytes an element of each data type takes. */
export const BYTES_PER_ELEMENT: Readonly<Record<DataType, number>> = { f32: 4, f16: 2, u32: 4 };

/** A GPU buffer that tensors share; it goes back to its {@linkcode Gpu} when the last one lets go. */
export interface Allocation {
  /** Different for each allocation of a program. */
  readonly id: number;
  /** The buffer. */
  readonly buffer: GPUBuffer;
  /** How large the buffer is, padding included. */
  readonly bytes: number;
  /** Tensors that hold it. */
  references: number;
}

/** The number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, extent) => count * extent, 1);
}

/**
 * A row-major array in GPU memory. V8 does not know how large it is, so dispose of it: with `using`,
 * with `gpu.scope()`, or by calling `tensor[Symbol.dispose]()`.
 */
export class Tensor implements Disposable {
  /** The GPU in whose memory it is. */
  readonly gpu: Gpu;
  /** The extents, the outermost first. */
  readonly shape: readonly number[];
  /** How its elements are stored. */
  readonly dtype: DataType;
  #allocation: Allocation | undefined;

  /** Made by {@linkcode Gpu.tensor} and {@linkcode Gpu.empty}; takes over one reference. */
  constructor(gpu: Gpu, shape: readonly number[], dtype: DataType, allocation: Allocation) {
    this.gpu = gpu;
    this.shape = Object.freeze([...shape]);
    this.dtype = dtype;
    this.#allocation = allocation;
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

  /** Reads the elements back. Waits about 10 ms however small they are: read several with `gpu.read`. */
  async read(): Promise<Float32Array> {
    return (await this.gpu.read([this]))[0] as Float32Array;
  }

  /** As {@linkcode Tensor.read}, for a tensor of unsigned integers. */
  async readIntegers(): Promise<Uint32Array> {
    return (await this.gpu.read([this]))[0] as Uint32Array;
  }

  /** Overwrites the elements, in order with the work already dispatched. */
  write(data: ArrayLike<number>): void {
    this.gpu.write(this, data);
  }

  /**
   * The same memory under another shape of as many elements; disposed of on its own.
   *
   * @throws {RangeError} where the number of elements differs.
   */
  reshape(shape: readonly number[]): Tensor {
    if (elementCount(shape) !== this.size) {
      throw new RangeError(
        `Cannot reshape a tensor to [${shape}] as it has ${this.size} elements: current shape is [${this.shape}]`,
      );
    }
    this.allocation.references++;
    return new Tensor(this.gpu, shape, this.dtype, this.allocation);
  }

  /** Lets go of the memory; a second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#allocation === undefined) return;
    this.gpu.release(this.#allocation);
    this.#allocation = undefined;
  }
}
