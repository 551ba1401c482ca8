import { unpackElements } from "./packing.ts";
import type { DataType, Elements, Tensor } from "./tensor.ts";

/** Tensors that share a buffer on their way to the host. */
interface Part<Type extends DataType> {
  readonly buffer: GPUBuffer;
  readonly tensors: readonly { readonly tensor: Tensor<Type>; readonly offset: number }[];
}

/**
 * Copies of tensors on their way to the host. All are in one buffer, or in as few as the device's limit
 * allows: what is mapped costs Deno a call and a wait of 10 ms each.
 */
export class Readback<Type extends DataType> {
  readonly #parts: readonly Part<Type>[];

  /**
   * Has the tensors copied; they may be disposed of at once.
   *
   * @param encoder Gets the copies, which are then to be submitted.
   */
  constructor(device: GPUDevice, encoder: GPUCommandEncoder, tensors: readonly Tensor<Type>[]) {
    this.#parts = shares(tensors, device.limits.maxBufferSize).map((share) => {
      const size = share.reduce((sum, { allocation: { bytes } }) => sum + bytes, 0);
      const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
      const buffer = device.createBuffer({ label: "readback", size, usage });
      let end = 0;
      const placed = share.map((tensor) => {
        const { allocation } = tensor;
        encoder.copyBufferToBuffer(allocation.buffer, 0, buffer, end, allocation.bytes);
        end += allocation.bytes;
        return { tensor, offset: end - allocation.bytes };
      });
      return { buffer, tensors: placed };
    });
  }

  /** Waits for the copies. */
  async arrive(): Promise<void> {
    await Promise.all(this.#parts.map(({ buffer }) => buffer.mapAsync(GPUMapMode.READ)));
  }

  /** What arrived, in the order of the tensors. */
  elements(): Elements<Type>[] {
    return this.#parts.flatMap(({ buffer, tensors }) => {
      const mapped = buffer.getMappedRange();
      return tensors.map(({ tensor: { bytes, dtype }, offset }) =>
        unpackElements(mapped.slice(offset, offset + bytes), dtype)
      );
    });
  }

  /** Frees the copies. */
  [Symbol.dispose](): void {
    for (const { buffer } of this.#parts) buffer.destroy();
  }
}

/** Tensors in their order, in shares of at most so many bytes; a larger one is a share of its own. */
function shares<Type extends DataType>(
  tensors: readonly Tensor<Type>[],
  most: number,
): Tensor<Type>[][] {
  const all: Tensor<Type>[][] = [];
  let left = 0;
  for (const tensor of tensors) {
    const { bytes } = tensor.allocation;
    if (bytes > left) {
      all.push([]);
      left = most;
    }
    all[all.length - 1].push(tensor);
    left -= bytes;
  }
  return all;
}
