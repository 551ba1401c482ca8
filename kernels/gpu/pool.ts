import type { Allocation } from "./tensor.ts";

/** GPU memory held by tensors, in bytes. */
export interface MemoryUse {
  /** Held now. */
  readonly current: number;
  /** The most held at once since `gpu.resetPeak()`. */
  readonly peak: number;
  /** The most that may be held, where that is known. */
  readonly limit?: number;
}

/** Bytes of the buffer of a tensor. */
export function bufferBytes(elementBytes: number): number {
  return Math.max(1, Math.ceil(elementBytes / 256)) * 256;
}

/** Free bytes kept for reuse; past it they go back to the driver. */
const FREE_BYTES_KEPT = 512 * 2 ** 20;

/**
 * The buffers that tensors live in. A freed buffer is kept and given to the next tensor of its size:
 * a training step asks for the same sizes again and again, and bind groups stay valid.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #onAllocated: (refused: Promise<Error | undefined>) => void;
  readonly #free = new Map<number, Allocation[]>();
  readonly #borrowed = new WeakMap<GPUBuffer, number>();
  #freeBytes = 0;
  #count = 0;
  /** Bytes that tensors hold now. */
  held = 0;
  /** The most bytes that tensors held at once. */
  peak = 0;

  /**
   * A pool on a device.
   *
   * @param onAllocated Told of each new buffer what becomes of it: the error, where the GPU has no
   * memory for it.
   */
  constructor(device: GPUDevice, onAllocated: (refused: Promise<Error | undefined>) => void) {
    this.#device = device;
    this.#onAllocated = onAllocated;
  }

  /** A buffer that is somebody else's. */
  borrow(buffer: GPUBuffer): Allocation {
    // Two tensors over one buffer are one memory: a kernel that writes it must not read it too.
    const id = this.#borrowed.get(buffer) ?? this.#count++;
    this.#borrowed.set(buffer, id);
    return { id, buffer, bytes: buffer.size, references: 1, borrowed: true };
  }

  /** A buffer for a tensor. @throws {RangeError} where it is over the device's limit. */
  take(elementBytes: number, shape: readonly number[]): Allocation {
    const bytes = bufferBytes(elementBytes);
    const limit = this.#device.limits.maxBufferSize;
    if (bytes > limit) {
      throw new RangeError(
        `Cannot make a tensor of shape [${shape}] as it takes ${elementBytes} bytes: the adapter allows ${limit} in a buffer (maxBufferSize)`,
      );
    }
    this.held += bytes;
    this.peak = Math.max(this.peak, this.held);
    const free = this.#free.get(bytes)?.pop();
    if (free !== undefined) {
      this.#freeBytes -= bytes;
      free.references = 1;
      return free;
    }
    const { held } = this;
    this.#device.pushErrorScope("out-of-memory");
    try {
      const buffer = this.#device.createBuffer({
        size: bytes,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
      return { id: this.#count++, buffer, bytes, references: 1 };
    } finally {
      this.#onAllocated(
        this.#device.popErrorScope().then((error) =>
          error === null ? undefined : new RangeError(
            `Cannot make a tensor of shape [${shape}] as the GPU has no memory for its ${bytes} bytes beside the ${
              held - bytes
            } that are held: read fewer tokens at once, or load the model in f16`,
            { cause: error },
          )
        ),
      );
    }
  }

  /** Takes a buffer back that no tensor holds any more. */
  give(allocation: Allocation): void {
    this.held -= allocation.bytes;
    this.#freeBytes += allocation.bytes;
    const free = this.#free.get(allocation.bytes);
    if (free) free.push(allocation);
    else this.#free.set(allocation.bytes, [allocation]);
  }

  /** Whether so much is free that {@linkcode BufferPool.trim} is due. */
  get overfull(): boolean {
    return this.#freeBytes > FREE_BYTES_KEPT;
  }

  /** Gives every free buffer back to the driver; work that uses them must have been submitted. */
  trim(): void {
    for (const free of this.#free.values()) {
      for (const { buffer } of free) buffer.destroy();
    }
    this.#free.clear();
    this.#freeBytes = 0;
  }

  /** A buffer that holds a uniform block; the caller destroys it. */
  uniform(values: Uint32Array<ArrayBuffer>): Allocation {
    const buffer = this.#device.createBuffer({
      size: values.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.#device.queue.writeBuffer(buffer, 0, values);
    return { id: this.#count++, buffer, bytes: values.byteLength, references: 1 };
  }
}
