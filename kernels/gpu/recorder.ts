import type { Bindings, Resolved } from "./bindings.ts";
import type { Dispatch } from "./kernel.ts";
import { bufferBytes, type BufferPool } from "./pool.ts";
import type { Command } from "./queue.ts";
import type { Kernel } from "./shaders.ts";
import type { Allocation, AllocationPlan } from "./tensor.ts";

/** What is noted while work is recorded; the buffer of its constants is made at the end. */
type Note =
  | { readonly command: Command }
  | { readonly resolved: Resolved; readonly counts: readonly [number, number, number] }
  | {
    /** What the host fills, from `offset` on. */
    readonly filled: Allocation;
    readonly offset: number;
    readonly constant: Uint8Array<ArrayBuffer>;
  }
  /** What is filled with one word, the same for all. */
  | { readonly poisoned: Allocation };

/**
 * Checks what recorded work gave: that all of it has run.
 *
 * @throws {Error} where it waits for something, or is a generator, of which nothing has run.
 */
export function checkDone(result: unknown): void {
  if (result instanceof Promise) result.catch(() => {}); // what it waits for fails, as this does
  const kind = Object.prototype.toString.call(result);
  const { then } = (result ?? {}) as { then?: unknown };
  if (typeof then === "function" || kind === "[object AsyncGenerator]") {
    throw new Error("Cannot record work that waits for something: read tensors after a replay");
  }
  if (kind === "[object Generator]") {
    throw new Error("Cannot record work that yields as nothing of it has run: use recordParts()");
  }
}

/** Takes down what is queued while work is recorded, and plans its memory. */
export class Recorder implements AllocationPlan {
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #bindings: Bindings;
  readonly #release: (allocation: Allocation) => void;
  /** Of each part, the last of which is under way. */
  readonly #parts: Note[][] = [[]];
  /** Made while recording; the memory of tensors that are done with serves later ones. */
  readonly #planned = new Set<Allocation>();
  readonly #free = new Map<number, Allocation[]>();
  /** Made before, and kept as long as the recording. */
  readonly #kept = new Set<Allocation>();
  /** Filled by the host: their memory serves no other tensor. */
  readonly #filled = new Set<Allocation>();
  /** Written by the work itself. */
  readonly #written = new Set<Allocation>();
  #poison: Uint32Array<ArrayBuffer> = new Uint32Array();
  #constants: GPUBuffer | undefined;

  /** Begins to record. */
  constructor(
    device: GPUDevice,
    pool: BufferPool,
    bindings: Bindings,
    release: (allocation: Allocation) => void,
  ) {
    this.#device = device;
    this.#pool = pool;
    this.#bindings = bindings;
    this.#release = release;
  }

  /** Memory for a tensor. @throws {RangeError} where it is over the device's limit. */
  take(elementBytes: number, shape: readonly number[]): Allocation {
    const free = this.#free.get(bufferBytes(elementBytes))?.pop();
    if (free !== undefined) {
      free.references = 1;
      return free;
    }
    const allocation = this.#pool.take(elementBytes, shape);
    allocation.plan = this;
    this.#planned.add(allocation);
    return allocation;
  }

  /** Takes back the memory of a tensor that was made while recording. */
  give(allocation: Allocation): void {
    if (this.#filled.has(allocation)) return;
    const free = this.#free.get(allocation.bytes);
    if (free) free.push(allocation);
    else this.#free.set(allocation.bytes, [allocation]);
  }

  /** Notes a dispatch. */
  dispatch(kernel: Kernel, dispatch: Dispatch, counts: readonly [number, number, number]): void {
    const resolved = this.#bindings.resolve(kernel, dispatch);
    for (const { allocation, written } of resolved.tensors) this.#use(allocation, written);
    this.#notes.push({ resolved, counts });
  }

  /** Notes a copy; offsets are in bytes. */
  copy(
    [source, sourceOffset]: readonly [Allocation, number],
    [destination, destinationOffset]: readonly [Allocation, number],
    bytes: number,
  ): void {
    this.#use(source, false);
    this.#use(destination, true);
    this.#notes.push({
      command: {
        source: source.buffer,
        sourceOffset,
        destination: destination.buffer,
        destinationOffset,
        bytes,
      },
    });
  }

  /** Notes that memory is zeroed. */
  clear(allocation: Allocation): void {
    this.#use(allocation, true);
    this.#notes.push({ command: { cleared: allocation.buffer } });
  }

  /** Notes that memory is filled by the host, with the same bytes at each replay. */
  fill(allocation: Allocation, offset: number, bytes: Uint8Array<ArrayBuffer>): void {
    // Memory of others may be written between replays, so that it is filled at each.
    this.#use(allocation, allocation.plan !== this);
    this.#filled.add(allocation);
    this.#notes.push({ filled: allocation, offset, constant: bytes.slice() });
  }

  /** Notes that memory is filled with one word, which is the same at each call. */
  poison(allocation: Allocation, word: number): void {
    this.#use(allocation, true);
    const words = allocation.bytes / 4;
    if (this.#poison.length < words) this.#poison = new Uint32Array(words).fill(word);
    this.#notes.push({ poisoned: allocation });
  }

  /** Ends a part: what is noted from here on is the next one's. */
  endPart(): void {
    this.#parts.push([]);
  }

  /**
   * Ends the recording: what it replays, part by part. Work that was queued before must have been
   * submitted.
   */
  finish(): Command[][] {
    // Whoever holds a tensor behind the end may write it between replays.
    for (const allocation of this.#filled) {
      if (allocation.references > 0) this.#written.add(allocation);
    }
    const { buffer, offsets } = this.#makeConstants();
    if (this.#parts.length > 1 && this.#notes.length === 0) this.#parts.pop();
    return this.#parts.map((notes) =>
      notes.flatMap((note) => this.#commands(note, buffer, offsets))
    );
  }

  /** Gives back all memory; what tensors still hold becomes theirs. */
  free(): void {
    for (const allocation of this.#planned) {
      allocation.plan = undefined;
      if (allocation.references === 0) this.#pool.give(allocation);
    }
    for (const allocation of this.#kept) this.#release(allocation);
    this.#constants?.destroy();
    this.#planned.clear();
    this.#kept.clear();
  }

  get #notes(): Note[] {
    return this.#parts[this.#parts.length - 1];
  }

  #commands(note: Note, buffer: GPUBuffer, offsets: ReadonlyMap<object, number>): Command[] {
    if ("command" in note) return [note.command];
    if ("resolved" in note) {
      const { resolved: { label, pipeline, uniform }, counts } = note;
      const words = uniform && { buffer, offset: offsets.get(uniform)!, size: uniform.byteLength };
      const bindGroup = this.#bindings.bindGroup(note.resolved, words);
      return [{ label, pipeline, bindGroup, counts }];
    }
    if ("poisoned" in note) {
      const { buffer: destination, bytes } = note.poisoned;
      const sourceOffset = offsets.get(this.#poison)!;
      return [{ source: buffer, sourceOffset, destination, destinationOffset: 0, bytes }];
    }
    const { filled, offset, constant } = note;
    const sourceOffset = offsets.get(constant);
    if (sourceOffset === undefined) {
      this.#device.queue.writeBuffer(filled.buffer, offset, constant);
      return [];
    }
    const bytes = constant.length;
    const destination = filled.buffer;
    return [{ source: buffer, sourceOffset, destination, destinationOffset: offset, bytes }];
  }

  #use(allocation: Allocation, written: boolean): void {
    if (written) this.#written.add(allocation);
    if (allocation.plan === this || this.#kept.has(allocation)) return;
    allocation.references++;
    this.#kept.add(allocation);
  }

  /** One buffer of all uniform blocks, and of what the host fills although others write it too. */
  #makeConstants(): { buffer: GPUBuffer; offsets: Map<object, number> } {
    const alignment = this.#device.limits.minUniformBufferOffsetAlignment;
    const offsets = new Map<object, number>();
    const constants: Uint8Array[] = [];
    let end = 0;
    const add = (key: Uint8Array | Uint32Array): void => {
      if (offsets.has(key)) return;
      offsets.set(key, end);
      constants.push(new Uint8Array(key.buffer, key.byteOffset, key.byteLength));
      end += Math.ceil(key.byteLength / alignment) * alignment;
    };
    if (this.#poison.length > 0) add(this.#poison);
    for (const note of this.#parts.flat()) {
      if ("resolved" in note && note.resolved.uniform) add(note.resolved.uniform);
      if ("filled" in note && this.#written.has(note.filled)) add(note.constant);
    }
    const buffer = this.#constants = this.#device.createBuffer({
      label: "recording",
      size: Math.max(4, end),
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_SRC,
      mappedAtCreation: true,
    });
    const mapped = new Uint8Array(buffer.getMappedRange());
    let at = 0;
    for (const bytes of constants) {
      mapped.set(bytes, at);
      at += Math.ceil(bytes.length / alignment) * alignment;
    }
    buffer.unmap();
    return { buffer, offsets };
  }
}
