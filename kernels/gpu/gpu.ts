import { Bindings } from "./bindings.ts";
import type { Adapter } from "./device.ts";
import { Faults } from "./faults.ts";
import { type Dispatch, workgroupCounts } from "./kernel.ts";
import { NAN_BITS, packElements } from "./packing.ts";
import { BufferPool, type MemoryUse } from "./pool.ts";
import { type KernelTime, Profiler } from "./profiler.ts";
import { Queue } from "./queue.ts";
import { Readback } from "./readback.ts";
import { checkDone, Recorder } from "./recorder.ts";
import { Recording } from "./recording.ts";
import type { Kernel } from "./shaders.ts";
import {
  type Allocation,
  type AnyTensor,
  BYTES_PER_ELEMENT,
  checkCopied,
  checkLayout,
  checkWrapped,
  checkWritten,
  type DataType,
  elementCount,
  type Elements,
  type FloatType,
  Tensor,
} from "./tensor.ts";
import { Choices, type Tuning } from "./tuning.ts";

/** Bytes that {@linkcode Gpu.write} may write before they are submitted. */
const WRITTEN_PER_SUBMIT = 2 ** 22;

/**
 * A GPU: makes tensors, runs kernels on them, reads them back. Work is only queued by
 * {@linkcode Gpu.dispatch}; an error in it is thrown by the next {@linkcode Gpu.read} or
 * {@linkcode Gpu.sync}.
 */
export class Gpu implements AsyncDisposable {
  /** The device behind it. */
  readonly device: GPUDevice;
  /** The adapter, as results name it. */
  readonly adapter: Adapter;
  /** The most bytes of a tensor that a kernel may have before it. */
  readonly bindingLimit: number;
  /** What the values of its kernels' tunables are chosen by. */
  readonly choices: Choices;
  readonly #poison: boolean;
  readonly #ownsDevice: boolean;
  readonly #memoryLimit: number | undefined;
  readonly #workgroupLimit: number;
  readonly #pool: BufferPool;
  readonly #bindings: Bindings;
  readonly #faults: Faults;
  readonly #queue: Queue;
  #written = 0;
  #recorder: Recorder | undefined;
  readonly #once = new Map<string, Disposable>();

  /** Called by {@linkcode openGpu}. */
  constructor(
    device: GPUDevice,
    adapter: Adapter,
    options: { poison: boolean; owns: boolean; memory?: number; binding?: number; tuning?: Tuning },
  ) {
    this.device = device;
    this.choices = new Choices(options.tuning);
    this.adapter = adapter;
    this.#poison = options.poison;
    this.#ownsDevice = options.owns;
    this.#memoryLimit = options.memory;
    const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
    const { binding = Infinity } = options;
    this.bindingLimit = Math.min(maxBufferSize, maxStorageBufferBindingSize, binding);
    this.#workgroupLimit = device.limits.maxComputeWorkgroupsPerDimension;
    this.#queue = new Queue(device);
    const faults = this.#faults = new Faults(device);
    this.#pool = new BufferPool(device, (refused) => {
      faults.watch(refused.then((error) => {
        if (error) faults.fail(error);
      }));
    });
    this.#bindings = new Bindings(device, this.#pool, faults, {
      limit: this.bindingLimit,
      flush: () => this.flush(),
    });
  }

  /** Whether shaders may store and compute with 16-bit floats. */
  get supportsF16(): boolean {
    return this.device.features.has("shader-f16");
  }

  /** Whether shaders may use subgroup operations. */
  get supportsSubgroups(): boolean {
    return this.device.features.has("subgroups");
  }

  /** GPU memory held by tensors. */
  get memory(): MemoryUse {
    return { current: this.#pool.held, peak: this.#pool.peak, limit: this.#memoryLimit };
  }

  /**
   * Checks that so many more bytes can be held, before any of them is asked for.
   *
   * @param what What takes them, for the error: "load model.safetensors".
   * @param options.otherwise What would take fewer, for the error: "it takes 1024 in f16".
   * @throws {RangeError} with the bytes needed and the limit.
   */
  checkRoom(bytes: number, what: string, options: { otherwise?: string } = {}): void {
    const { current, limit } = this.memory;
    if (limit !== undefined && current + bytes > limit) {
      const held = current === 0 ? "" : ` beside the ${current} that are held`;
      throw new RangeError(
        `Cannot ${what} as it takes ${bytes} bytes of GPU memory${held}: the limit of ${this.adapter.name} is ${limit}${
          options.otherwise === undefined ? "" : `; ${options.otherwise}`
        }`,
      );
    }
  }

  /**
   * Checks that a tensor of so many bytes can be bound, before it is asked for.
   *
   * @param what What binds it, for the error: "load model.safetensors".
   * @param takes Which tensor takes them: "its embedding takes".
   * @throws {RangeError} with the bytes needed and the limit.
   */
  checkBinding(bytes: number, what: string, takes: string): void {
    const { bindingLimit: limit } = this;
    if (bytes > limit) {
      throw new RangeError(
        `Cannot ${what} as ${takes} ${bytes} bytes: ${this.adapter.name} allows ${limit} in one binding (maxStorageBufferBindingSize)`,
      );
    }
  }

  /** Starts measuring the peak of {@linkcode Gpu.memory} anew. */
  resetPeak(): void {
    this.#pool.peak = this.#pool.held;
  }

  /** Gives buffers that no tensor holds back to the driver. */
  trim(): void {
    this.flush();
    this.#bindings.dropBindGroups();
    this.#pool.trim();
  }

  /**
   * A tensor with the given elements, or zeros.
   *
   * @throws {RangeError} where `data` does not fill the shape or the buffer is over the device's limit.
   */
  tensor<Type extends DataType = FloatType>(
    shape: readonly number[],
    data?: ArrayLike<number>,
    dtype: Type = "f32" as Type,
  ): Tensor<Type> {
    const tensor = this.#allocate(shape, dtype);
    if (data !== undefined) {
      this.write(tensor, data);
    } else if (this.#recorder) {
      this.#recorder.clear(tensor.allocation);
    } else {
      this.#queue.add([{ cleared: tensor.allocation.buffer }]);
    }
    return tensor;
  }

  /** A tensor that a kernel will write whole; until then its elements are anything. */
  empty<Type extends DataType = FloatType>(
    shape: readonly number[],
    dtype: Type = "f32" as Type,
  ): Tensor<Type> {
    const tensor = this.#allocate(shape, dtype);
    if (this.#poison && this.#recorder) {
      this.#recorder.poison(tensor.allocation, NAN_BITS);
    } else if (this.#poison) {
      this.flush();
      const poison = new Uint32Array(tensor.allocation.bytes / 4).fill(NAN_BITS);
      this.device.queue.writeBuffer(tensor.allocation.buffer, 0, poison);
    }
    return tensor;
  }

  /**
   * A tensor over a buffer of one's own, without a copy: what another library or a shader of one's own
   * has computed. Disposing of the tensor leaves the buffer as it is; keep it until the work on it is
   * done.
   *
   * @param buffer Of this device, with the usages `STORAGE`, `COPY_SRC` and `COPY_DST`; the elements
   * are at its beginning.
   * @throws {RangeError} where it lacks a usage, is mapped, or is smaller than the shape.
   */
  wrap<Type extends DataType = FloatType>(
    buffer: GPUBuffer,
    shape: readonly number[],
    dtype: Type = "f32" as Type,
  ): Tensor<Type> {
    checkWrapped(buffer, shape, dtype);
    return new Tensor(this, shape, dtype, this.#pool.borrow(buffer));
  }

  /**
   * Overwrites a tensor's elements, in order with the work already dispatched.
   *
   * @param options With `offset`, in elements, `data` may end before the tensor does; both ends of
   * what is written are at whole words of 4 bytes then.
   * @throws {RangeError} where the elements do not fill the tensor, or do not fit in it.
   */
  write(tensor: AnyTensor, data: ArrayLike<number>, options: { offset?: number } = {}): void {
    const at = checkWritten(tensor, data.length, options.offset);
    if (data.length === 0) return;
    const bytes = packElements(data, tensor.dtype);
    if (this.#recorder) {
      this.#recorder.fill(tensor.allocation, at, bytes);
      return;
    }
    this.flush();
    this.device.queue.writeBuffer(tensor.allocation.buffer, at, bytes);
    // WebGPU keeps a copy of what is written until the next submit: 2 GB of writes held 2 GB.
    this.#written += bytes.byteLength;
    if (this.#written >= WRITTEN_PER_SUBMIT) {
      this.#written = 0;
      this.device.queue.submit([]);
    }
  }

  /**
   * Copies elements from one tensor into another of the same data type.
   *
   * @throws {RangeError} where they do not lie within both, or f16 elements not on whole 4 bytes.
   */
  copy(
    source: AnyTensor,
    destination: AnyTensor,
    options: { sourceOffset?: number; destinationOffset?: number; elements?: number } = {},
  ): void {
    const { sourceOffset, destinationOffset, bytes } = checkCopied(source, destination, options);
    if (bytes === 0) return;
    const from = [source.allocation, sourceOffset] as const;
    const to = [destination.allocation, destinationOffset] as const;
    if (this.#recorder) {
      this.#recorder.copy(from, to, bytes);
      return;
    }
    this.#queue.add([{
      source: from[0].buffer,
      sourceOffset: from[1],
      destination: to[0].buffer,
      destinationOffset: to[1],
      bytes,
    }]);
  }

  /**
   * Queues one run of a kernel. Nothing runs where a workgroup count is 0.
   *
   * @throws {KernelError} where a name of the dispatch is not its shader's, one is missing, or a
   * tensor is both read and written.
   * @throws {RangeError} where a binding or a workgroup count is over the adapter's limit.
   * @throws {DeviceLostError} where the device is gone.
   */
  dispatch(kernel: Kernel, dispatch: Dispatch): void {
    this.#faults.throwIfLost();
    const { label } = kernel;
    const counts = workgroupCounts(label, dispatch.workgroups, this.#workgroupLimit);
    if (counts.includes(0)) return;
    if (this.#recorder) {
      this.#recorder.dispatch(kernel, dispatch, counts);
      return;
    }
    const { pipeline, bindGroup } = this.#bindings.prepare(kernel, dispatch);
    this.#queue.add([{ label, pipeline, bindGroup, counts }]);
  }

  /**
   * Records work, to be replayed again and again at what WebGPU itself costs: a list of kernels, bind
   * groups, workgroup counts and copies. Nothing runs until {@linkcode Recording.replay}. The memory of
   * all tensors that `work` makes is planned once, and is the recording's: each replay overwrites it.
   * Values from the host (a uniform's, `gpu.tensor(shape, data)`) are the same at each replay, whatever is
   * written to them in between: what changes is written to a tensor that was made before, by the host
   * between replays or by a kernel.
   *
   * ```ts
   * import { matmul, openGpu } from "@lengthwise/lengthwise";
   *
   * await using gpu = await openGpu();
   * using step = gpu.tensor([2, 2], [0.5, 0.5, 0, 1]);
   * using x = gpu.tensor([1, 2], [4, 0]);
   * using recording = gpu.record(() => {
   *   using next = matmul(gpu, { a: x, b: step }).output;
   *   gpu.copy(next, x);
   * });
   * recording.replay(3);
   * console.log(await x.read()); // 0.5, 3.5
   * ```
   *
   * @param work Queues the work, and returns the tensors that are wanted of it.
   * @throws {Error} where it waits for something, records itself, or reads a tensor.
   * @throws whatever `work` throws; nothing is recorded then.
   */
  record<Result>(work: () => Result): Recording<Result> {
    return this.#recorded(work);
  }

  /**
   * Records work in parts, between which the host may do something else: {@linkcode Recording.replayPart}
   * replays one. A part ends where `work` gives a value, as a generator does that yields; the parts share
   * their memory, so that a part finds what the parts before it left in tensors that are kept for it.
   * What is wanted of a part beyond the next one is copied to a tensor that was made before.
   *
   * @param work Queues a part for each value that it gives.
   * @returns A recording whose result holds all values.
   * @throws as {@linkcode Gpu.record} does.
   */
  recordParts<Result>(work: () => Iterable<Result>): Recording<Result[]> {
    return this.#recorded((recorder) => {
      const values: Result[] = [];
      for (const value of work()) {
        checkDone(value);
        values.push(value);
        recorder.endPart();
      }
      return values;
    });
  }

  /**
   * Makes something that is no part of the recording under way, if there is one: its work runs now, and
   * its memory is not the recording's. For what is made when it is first used and kept, such as a table.
   */
  unrecorded<Made>(make: () => Made): Made {
    const recorder = this.#recorder;
    this.#recorder = undefined;
    try {
      return make();
    } finally {
      this.#recorder = recorder;
    }
  }

  /**
   * What is made when it is first asked for, and kept as long as this: a tensor of constants, a table.
   * Nobody writes it or disposes of it, and it is no part of a recording.
   *
   * @param name Names it among all that are kept.
   */
  once<Kept extends Disposable>(name: string, make: () => Kept): Kept {
    let kept = this.#once.get(name);
    if (kept === undefined) this.#once.set(name, kept = this.unrecorded(make));
    return kept as Kept;
  }

  /** Submits what is queued without waiting for it. */
  flush(): void {
    if (this.#queue.flush()) this.#written = 0;
  }

  /** Waits until all queued work is done. @throws whatever went wrong in it. */
  async sync(): Promise<void> {
    this.#refuse("wait for the GPU");
    this.flush();
    await this.device.queue.onSubmittedWorkDone();
    await this.#faults.throwIfFailed();
  }

  /**
   * Reads tensors back; several cost one wait. They may be written or disposed of as soon as it returns.
   *
   * @throws whatever went wrong in the work before.
   */
  async read<Type extends DataType>(
    tensors: readonly Tensor<Type>[],
  ): Promise<Elements<Type>[]> {
    this.#faults.throwIfLost();
    this.#refuse("read a tensor");
    using readback = new Readback(this.device, this.#queue.encoder(), tensors);
    this.flush();
    try {
      await readback.arrive();
      await this.#faults.throwIfFailed();
      return readback.elements();
    } catch (error) {
      // A lost device makes the mapping fail a moment before it says that it is lost.
      await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, 20))]);
      await this.#faults.throwIfFailed();
      throw error;
    }
  }

  /**
   * Starts timing every dispatch.
   *
   * @throws {Error} where the adapter has no timestamp queries.
   */
  startProfile(): void {
    if (!this.device.features.has("timestamp-query")) {
      throw new Error(
        `Cannot profile as the adapter has no timestamp queries: current adapter is ${this.adapter.name}`,
      );
    }
    this.flush();
    this.#queue.profiler = new Profiler(this.device);
  }

  /** Stops timing dispatches. @returns GPU time by kernel since the start, the longest first. */
  async stopProfile(): Promise<KernelTime[]> {
    this.flush();
    const { profiler } = this.#queue;
    this.#queue.profiler = undefined;
    return await profiler?.take() ?? [];
  }

  /** Takes back the memory of a tensor; called by the tensor's own disposal. */
  release(allocation: Allocation): void {
    if (--allocation.references > 0 || allocation.borrowed) return;
    if (allocation.plan) {
      allocation.plan.give(allocation);
      return;
    }
    this.#pool.give(allocation);
    if (this.#pool.overfull) this.trim();
  }

  /** Waits for the work under way and frees everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#faults.lost) {
      this.flush();
      await this.device.queue.onSubmittedWorkDone();
    }
    for (const kept of this.#once.values()) kept[Symbol.dispose]();
    this.#bindings.drop();
    this.#pool.trim();
    if (this.#ownsDevice) this.device.destroy();
  }

  #recorded<Result>(work: (recorder: Recorder) => Result): Recording<Result> {
    this.#faults.throwIfLost();
    this.#refuse("record work");
    const recorder = new Recorder(
      this.device,
      this.#pool,
      this.#bindings,
      (allocation) => this.release(allocation),
    );
    this.#recorder = recorder;
    try {
      const result = work(recorder);
      checkDone(result);
      this.#recorder = undefined;
      this.flush();
      return new Recording(result, recorder.finish(), (commands) => {
        this.#faults.throwIfLost();
        this.#refuse("replay a recording");
        this.#queue.add(commands, { replayed: true });
      }, () => {
        if (!this.#faults.lost) this.flush(); // the work that uses what goes
        recorder.free();
      });
    } catch (error) {
      recorder.free();
      throw error;
    } finally {
      this.#recorder = undefined;
    }
  }

  #allocate<Type extends DataType>(shape: readonly number[], dtype: Type): Tensor<Type> {
    this.#faults.throwIfLost();
    checkLayout("make a tensor", shape, dtype);
    if (dtype === "f16" && !this.supportsF16) {
      throw new RangeError(
        `Cannot make an f16 tensor as the adapter lacks shader-f16: current adapter is ${this.adapter.name}`,
      );
    }
    const from = this.#recorder ?? this.#pool;
    const allocation = from.take(elementCount(shape) * BYTES_PER_ELEMENT[dtype], shape);
    return new Tensor(this, shape, dtype, allocation);
  }

  /** @throws {Error} while work is recorded. */
  #refuse(what: string): void {
    if (this.#recorder === undefined) return;
    throw new Error(
      `Cannot ${what} while work is recorded: do so before gpu.record(), or after a replay`,
    );
  }
}
