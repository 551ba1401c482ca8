import { type Adapter, describeAdapter, requestDevice } from "./device.ts";
import { forCompiler } from "./elements.ts";
import { type Dispatch, type Kernel, packUniform, workgroupCounts } from "./kernel.ts";
import { BufferPool } from "./pool.ts";
import { type KernelTime, Profiler } from "./profiler.ts";
import {
  type Allocation,
  BYTES_PER_ELEMENT,
  type DataType,
  elementCount,
  Tensor,
} from "./tensor.ts";

/** How {@linkcode openGpu} opens the GPU. */
export interface GpuOptions {
  /** A device to share; left out, the machine's adapter is opened with all the limits it has. */
  device?: GPUDevice;
  /** Which adapter to prefer where there are several; `"high-performance"` unless told. */
  powerPreference?: GPUPowerPreference;
  /**
   * Bytes that tensors may take in all; left out, what the machine has free where the adapter computes
   * in its memory (a software adapter), and no limit else, as WebGPU does not tell a GPU's memory.
   */
  memory?: number;
  /** Fill every output with NaN before its kernel runs, so that a missing write shows. For tests. */
  poison?: boolean;
}

/** GPU memory held by tensors, in bytes. */
export interface MemoryUse {
  /** Held now. */
  readonly current: number;
  /** The most held at once since {@linkcode Gpu.resetPeak}. */
  readonly peak: number;
  /** The most that may be held, where that is known. */
  readonly limit?: number;
}

/** A shader that does not compile, or a dispatch that the device refuses. */
export class KernelError extends Error {
  /** The error's name. */
  override readonly name = "KernelError";
}

/** The GPU is gone: a driver reset, a machine that sleeps, a device destroyed. */
export class DeviceLostError extends Error {
  /** The error's name. */
  override readonly name = "DeviceLostError";
}

interface Pipeline {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
}

/** Dispatches are submitted in batches of this many: a submit costs as much as forty of them. */
const DISPATCHES_PER_SUBMIT = 64;
/** Bind groups and uniform blocks kept; past it they are all let go. */
const CACHE_ENTRIES = 8192;
/** Bytes that {@linkcode Gpu.write} may write before they are submitted. */
const WRITTEN_PER_SUBMIT = 2 ** 22;
/** Not a number as an f32, and in both halves as an f16. */
const NAN_BITS = 0x7fc07fc0;

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
  readonly #poison: boolean;
  readonly #ownsDevice: boolean;
  readonly #memoryLimit: number | undefined;
  readonly #pool: BufferPool;
  readonly #pipelines = new Map<Kernel, Map<string, Pipeline>>();
  readonly #uniforms = new Map<string, Allocation>();
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #checks = new Set<Promise<void>>();
  #pipelineCount = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #queued = 0;
  #written = 0;
  #error: Error | undefined;
  #lost: string | undefined;
  #profiler: Profiler | undefined;

  /** Called by {@linkcode openGpu}. */
  constructor(
    device: GPUDevice,
    adapter: Adapter,
    options: { poison: boolean; owns: boolean; memory?: number },
  ) {
    this.device = device;
    this.adapter = adapter;
    this.#poison = options.poison;
    this.#ownsDevice = options.owns;
    this.#memoryLimit = options.memory;
    this.#pool = new BufferPool(device, (refused) => {
      this.#watch(refused.then((error) => {
        if (error) this.#fail(error);
      }));
    });
    device.lost.then((info) => this.#lost = info.message || info.reason);
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#fail(new KernelError(event.error.message));
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
   * @throws {RangeError} with the bytes needed and the limit.
   */
  checkRoom(bytes: number, what: string): void {
    const { current, limit } = this.memory;
    if (limit !== undefined && current + bytes > limit) {
      const held = current === 0 ? "" : ` beside the ${current} that are held`;
      throw new RangeError(
        `Cannot ${what} as it takes ${bytes} bytes of GPU memory${held}: the limit of ${this.adapter.name} is ${limit}`,
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
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
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
    this.#bindGroups.clear();
    this.#pool.trim();
  }

  /**
   * A tensor with the given elements, or zeros.
   *
   * @throws {RangeError} where `data` does not fill the shape or the buffer is over the device's limit.
   */
  tensor(shape: readonly number[], data?: ArrayLike<number>, dtype: DataType = "f32"): Tensor {
    const tensor = this.#allocate(shape, dtype);
    if (data !== undefined) {
      this.write(tensor, data);
    } else if (tensor.allocation.bytes > 0) {
      this.#endPass().clearBuffer(tensor.allocation.buffer);
    }
    return tensor;
  }

  /** A tensor that a kernel will write whole; until then its elements are anything. */
  empty(shape: readonly number[], dtype: DataType = "f32"): Tensor {
    const tensor = this.#allocate(shape, dtype);
    if (this.#poison) {
      this.flush();
      const poison = new Uint32Array(tensor.allocation.bytes / 4).fill(NAN_BITS);
      this.device.queue.writeBuffer(tensor.allocation.buffer, 0, poison);
    }
    return tensor;
  }

  /**
   * Overwrites a tensor's elements, in order with the work already dispatched.
   *
   * @param options With `offset`, in elements, `data` may end before the tensor does; both ends of
   * what is written are at whole words of 4 bytes then.
   */
  write(tensor: Tensor, data: ArrayLike<number>, options: { offset?: number } = {}): void {
    const { offset = 0 } = options;
    const end = offset + data.length;
    if (options.offset === undefined && end !== tensor.size) {
      throw new RangeError(
        `Cannot fill a tensor of shape [${tensor.shape}] as it takes ${tensor.size} elements: current number is ${data.length}`,
      );
    }
    const width = BYTES_PER_ELEMENT[tensor.dtype];
    const whole = offset * width % 4 === 0 && (end * width % 4 === 0 || end === tensor.size);
    if (offset < 0 || end > tensor.size || !whole) {
      throw new RangeError(
        `Cannot write elements ${offset} to ${end} of ${tensor.dtype}[${tensor.shape}]: they must lie inside it, and begin and end at whole words of 4 bytes`,
      );
    }
    if (data.length === 0) return;
    this.flush();
    const bytes = packElements(data, tensor.dtype);
    this.device.queue.writeBuffer(tensor.allocation.buffer, offset * width, bytes);
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
    source: Tensor,
    destination: Tensor,
    options: { sourceOffset?: number; destinationOffset?: number; elements?: number } = {},
  ): void {
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
    if (elements === 0) return;
    const width = BYTES_PER_ELEMENT[source.dtype];
    const toTheEnd = destinationOffset + elements === destination.size;
    const misaligned = [sourceOffset, destinationOffset, ...(toTheEnd ? [] : [elements])]
      .some((count) => count * width % 4 !== 0);
    if (misaligned) {
      throw new RangeError(
        `Cannot copy ${elements} elements of ${source.dtype} from ${sourceOffset} to ${destinationOffset} as WebGPU copies whole 4 bytes: use even numbers`,
      );
    }
    this.#endPass().copyBufferToBuffer(
      source.allocation.buffer,
      sourceOffset * width,
      destination.allocation.buffer,
      destinationOffset * width,
      Math.ceil(elements * width / 4) * 4,
    );
  }

  /**
   * Queues one run of a kernel. Nothing runs where a workgroup count is 0.
   *
   * @throws {RangeError} where a binding or a workgroup count is over the adapter's limit.
   * @throws {DeviceLostError} where the device is gone.
   */
  dispatch(kernel: Kernel, dispatch: Dispatch): void {
    this.#throwIfLost();
    const { label } = kernel;
    const counts = workgroupCounts(
      label,
      dispatch.workgroups,
      this.device.limits.maxComputeWorkgroupsPerDimension,
    );
    if (counts.includes(0)) return;
    const pipeline = this.#pipeline(kernel, dispatch.constants ?? {});
    const bindGroup = this.#bindGroup(label, pipeline, dispatch);
    const pass = this.#profiler ? this.#timedPass(label, this.#profiler) : this.#openPass();
    pass.setPipeline(pipeline.pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...counts);
    if (++this.#queued >= DISPATCHES_PER_SUBMIT) this.flush();
  }

  /** Submits what is queued without waiting for it. */
  flush(): void {
    if (this.#encoder === undefined) return;
    const encoder = this.#endPass();
    this.#encoder = undefined;
    this.#queued = 0;
    this.#written = 0;
    this.device.queue.submit([encoder.finish()]);
  }

  /** Waits until all queued work is done. @throws whatever went wrong in it. */
  async sync(): Promise<void> {
    this.flush();
    await this.device.queue.onSubmittedWorkDone();
    await this.#throwIfFailed();
  }

  /** Reads tensors back; several cost one wait. @throws whatever went wrong in the work before. */
  async read(tensors: readonly Tensor[]): Promise<(Float32Array | Uint32Array)[]> {
    this.#throwIfLost();
    const encoder = this.#endPass();
    const readbacks = tensors.map((tensor) => {
      const { buffer, bytes } = tensor.allocation;
      const readback = this.device.createBuffer({
        label: "readback",
        size: bytes,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      encoder.copyBufferToBuffer(buffer, 0, readback, 0, bytes);
      return readback;
    });
    this.flush();
    try {
      await Promise.all(readbacks.map((readback) => readback.mapAsync(GPUMapMode.READ)));
      await this.#throwIfFailed();
      return readbacks.map((readback, index) =>
        unpackElements(
          readback.getMappedRange().slice(0, tensors[index].bytes),
          tensors[index].dtype,
        )
      );
    } catch (error) {
      // A lost device makes the mapping fail a moment before it says that it is lost.
      await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, 20))]);
      await this.#throwIfFailed();
      throw error;
    } finally {
      for (const readback of readbacks) readback.destroy();
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
    this.#profiler = new Profiler(this.device);
  }

  /** Stops timing dispatches. @returns GPU time by kernel since the start, the longest first. */
  async stopProfile(): Promise<KernelTime[]> {
    this.flush();
    const profiler = this.#profiler;
    this.#profiler = undefined;
    return await profiler?.take() ?? [];
  }

  /** Takes back the memory of a tensor; called by the tensor's own disposal. */
  release(allocation: Allocation): void {
    if (--allocation.references > 0) return;
    this.#pool.give(allocation);
    if (this.#pool.overfull) this.trim();
  }

  /** Waits for the work under way and frees everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#lost === undefined) {
      this.flush();
      await this.device.queue.onSubmittedWorkDone();
    }
    this.#dropCaches();
    this.#pool.trim();
    if (this.#ownsDevice) this.device.destroy();
  }

  #allocate(shape: readonly number[], dtype: DataType): Tensor {
    this.#throwIfLost();
    if (!shape.every((extent) => Number.isInteger(extent) && extent >= 0)) {
      throw new RangeError(
        `Cannot make a tensor as its extents must be whole numbers: current shape is [${shape}]`,
      );
    }
    if (dtype === "f16" && !this.supportsF16) {
      throw new RangeError(
        `Cannot make an f16 tensor as the adapter lacks shader-f16: current adapter is ${this.adapter.name}`,
      );
    }
    const allocation = this.#pool.take(elementCount(shape) * BYTES_PER_ELEMENT[dtype], shape);
    return new Tensor(this, shape, dtype, allocation);
  }

  #openPass(): GPUComputePassEncoder {
    return this.#pass ??= this.#openEncoder().beginComputePass();
  }

  #timedPass(label: string, profiler: Profiler): GPUComputePassEncoder {
    return this.#pass = this.#endPass().beginComputePass({
      label,
      timestampWrites: profiler.writes(label),
    });
  }

  #openEncoder(): GPUCommandEncoder {
    return this.#encoder ??= this.device.createCommandEncoder();
  }

  #endPass(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    return this.#openEncoder();
  }

  #pipeline(kernel: Kernel, constants: Record<string, number | boolean>): Pipeline {
    let variants = this.#pipelines.get(kernel);
    if (variants === undefined) this.#pipelines.set(kernel, variants = new Map());
    const key = JSON.stringify(constants);
    let pipeline = variants.get(key);
    if (pipeline === undefined) {
      pipeline = { id: this.#pipelineCount++, pipeline: this.#compile(kernel, constants) };
      variants.set(key, pipeline);
    }
    return pipeline;
  }

  #compile(kernel: Kernel, constants: Record<string, number | boolean>): GPUComputePipeline {
    const { label, source } = kernel;
    this.device.pushErrorScope("validation");
    const module = this.device.createShaderModule({
      label,
      code: forCompiler(source, this.device),
    });
    const pipeline = this.device.createComputePipeline({
      label,
      layout: "auto",
      compute: {
        module,
        entryPoint: label,
        constants: Object.fromEntries(
          Object.entries(constants).map(([name, value]) => [name, Number(value)]),
        ),
      },
    });
    const scope = this.device.popErrorScope();
    const check = (async () => {
      const error = await scope;
      if (error === null) return;
      const { messages } = await module.getCompilationInfo();
      const text = messages.map((message) => message.message).join("\n") || error.message;
      this.#fail(
        new KernelError(`Cannot compile ${label} with ${JSON.stringify(constants)}:\n${text}`),
      );
      this.#pipelines.delete(kernel);
    })();
    this.#watch(check);
    return pipeline;
  }

  #bindGroup(label: string, pipeline: Pipeline, dispatch: Dispatch): GPUBindGroup {
    const buffers: Allocation[] = [];
    if (dispatch.uniform) buffers.push(this.#uniform(label, dispatch.uniform));
    const limit = this.device.limits.maxStorageBufferBindingSize;
    for (const bindings of [dispatch.read ?? {}, dispatch.write]) {
      for (const [name, { allocation }] of Object.entries(bindings)) {
        if (allocation.bytes > limit) {
          throw new RangeError(
            `Cannot run ${label} as ${name} takes ${allocation.bytes} bytes in one binding: the adapter allows ${limit} (maxStorageBufferBindingSize); split the batch or the sequence`,
          );
        }
        buffers.push(allocation);
      }
    }
    const key = `${pipeline.id}:${buffers.map((buffer) => buffer.id).join(",")}`;
    let group = this.#bindGroups.get(key);
    if (group === undefined) {
      if (this.#bindGroups.size >= CACHE_ENTRIES) this.#bindGroups.clear();
      this.device.pushErrorScope("validation");
      group = this.device.createBindGroup({
        label,
        layout: pipeline.pipeline.getBindGroupLayout(0),
        entries: buffers.map(({ buffer }, binding) => ({ binding, resource: { buffer } })),
      });
      const scope = this.device.popErrorScope();
      const check = scope.then((error) => {
        if (error) this.#fail(new KernelError(`Cannot run ${label}: ${error.message}`));
      });
      this.#watch(check);
      this.#bindGroups.set(key, group);
    }
    return group;
  }

  #uniform(label: string, values: readonly number[]): Allocation {
    const key = values.join(",");
    let uniform = this.#uniforms.get(key);
    if (uniform === undefined) {
      if (this.#uniforms.size >= CACHE_ENTRIES) this.#dropCaches();
      const packed = packUniform(label, values);
      uniform = this.#pool.uniform(packed);
      this.#uniforms.set(key, uniform);
    }
    return uniform;
  }

  #dropCaches(): void {
    if (this.#lost === undefined) this.flush();
    for (const { buffer } of this.#uniforms.values()) buffer.destroy();
    this.#uniforms.clear();
    this.#bindGroups.clear();
  }

  /** Has the next wait for the GPU wait for a check too. */
  #watch(check: Promise<void>): void {
    this.#checks.add(check);
    check.finally(() => this.#checks.delete(check));
  }

  #fail(error: Error): void {
    // A pipeline that does not compile, or a buffer that is not there, makes every dispatch after it
    // invalid: the first error says why.
    if (this.#error === undefined || error.message.startsWith("Cannot compile")) {
      this.#error = error;
    }
  }

  #throwIfLost(): void {
    if (this.#lost !== undefined) {
      throw new DeviceLostError(
        `Cannot go on as the GPU was lost (${this.#lost}): open it again; a sweep goes on with --resume`,
      );
    }
  }

  async #throwIfFailed(): Promise<void> {
    await Promise.all(this.#checks);
    this.#throwIfLost();
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
  }
}

/**
 * Opens the machine's GPU, or shares one that is open.
 *
 * ```ts
 * import { openGpu } from "@lengthwise/lengthwise";
 *
 * await using gpu = await openGpu();
 * using ones = gpu.tensor([2, 2], [1, 1, 1, 1]);
 * console.log(await ones.read());
 * ```
 *
 * @throws {Error} where there is no adapter, saying how to get one.
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const { device, powerPreference = "high-performance", poison = false } = options;
  const owns = device === undefined;
  const opened = device
    ? { device, adapter: describeAdapter(device.adapterInfo) }
    : await requestDevice({ powerPreference });
  const { memory = opened.adapter.software ? freeMemory() : undefined } = options;
  return new Gpu(opened.device, opened.adapter, { poison, owns, memory });
}

/** What the machine has free, where the program may ask for it (--allow-sys). */
function freeMemory(): number | undefined {
  try {
    return Deno.systemMemoryInfo().available;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

function packElements(data: ArrayLike<number>, dtype: DataType): Uint8Array<ArrayBuffer> {
  if (isPacked(data, dtype) && data.byteLength % 4 === 0) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  const bytes = new Uint8Array(Math.ceil(data.length * BYTES_PER_ELEMENT[dtype] / 4) * 4);
  const view = dtype === "u32"
    ? new Uint32Array(bytes.buffer)
    : dtype === "f32"
    ? new Float32Array(bytes.buffer)
    : new Float16Array(bytes.buffer);
  view.set(data);
  return bytes;
}

/** Whether elements lie in memory as the GPU wants them. */
function isPacked(
  data: ArrayLike<number>,
  dtype: DataType,
): data is (Float32Array | Float16Array | Uint32Array) & { buffer: ArrayBuffer } {
  const array = { f32: Float32Array, f16: Float16Array, u32: Uint32Array }[dtype];
  return data instanceof array && data.buffer instanceof ArrayBuffer;
}

function unpackElements(bytes: ArrayBuffer, dtype: DataType): Float32Array | Uint32Array {
  if (dtype === "u32") return new Uint32Array(bytes);
  return dtype === "f32" ? new Float32Array(bytes) : Float32Array.from(new Float16Array(bytes));
}
