import { forCompiler } from "./elements.ts";
import { KernelError } from "./errors.ts";
import type { Faults } from "./faults.ts";
import { type Dispatch, type Kernel, packUniform } from "./kernel.ts";
import type { BufferPool } from "./pool.ts";
import type { Allocation } from "./tensor.ts";

/** A compiled kernel. */
export interface Pipeline {
  /** Different for each kernel and its constants. */
  readonly id: number;
  /** The pipeline. */
  readonly pipeline: GPUComputePipeline;
}

/** Bind groups and uniform blocks kept; past it they are all let go. */
const CACHE_ENTRIES = 8192;

/** The compiled kernels, uniform blocks and bind groups of a device, each made once. */
export class Bindings {
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #faults: Faults;
  readonly #flush: () => void;
  readonly #pipelines = new Map<Kernel, Map<string, Pipeline>>();
  readonly #uniforms = new Map<string, Allocation>();
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  #pipelineCount = 0;

  /**
   * Nothing is made yet.
   *
   * @param flush Submits what is queued, before buffers are let go.
   */
  constructor(device: GPUDevice, pool: BufferPool, faults: Faults, flush: () => void) {
    this.#device = device;
    this.#pool = pool;
    this.#faults = faults;
    this.#flush = flush;
  }

  /** A kernel's pipeline with these constants; an error in it is a fault. */
  pipeline(kernel: Kernel, constants: Record<string, number | boolean>): Pipeline {
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
    for (const [name, value] of Object.entries(constants)) {
      if (!Number.isFinite(Number(value))) {
        throw new RangeError(
          `Cannot run ${label} as its constant ${name} must be a finite number: current value is ${value}`,
        );
      }
    }
    return this.#faults.guard(() => {
      const module = this.#device.createShaderModule({
        label,
        code: forCompiler(source, this.#device),
      });
      const pipeline = this.#device.createComputePipeline({
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
      return { module, pipeline };
    }, async (error, { module }) => {
      this.#pipelines.delete(kernel);
      const { messages } = await module.getCompilationInfo();
      const text = messages.map((message) => message.message).join("\n") || error.message;
      return new KernelError(
        `Cannot compile ${label} with ${JSON.stringify(constants)}:\n${text}`,
      );
    }).pipeline;
  }

  /**
   * The bind group of a dispatch.
   *
   * @throws {RangeError} where a binding is over the adapter's limit.
   */
  bindGroup(label: string, pipeline: Pipeline, dispatch: Dispatch): GPUBindGroup {
    const buffers: Allocation[] = [];
    if (dispatch.uniform) buffers.push(this.#uniform(label, dispatch.uniform));
    const limit = this.#device.limits.maxStorageBufferBindingSize;
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
      group = this.#faults.guard(() =>
        this.#device.createBindGroup({
          label,
          layout: pipeline.pipeline.getBindGroupLayout(0),
          entries: buffers.map(({ buffer }, binding) => ({ binding, resource: { buffer } })),
        }), (error) => new KernelError(`Cannot run ${label}: ${error.message}`));
      this.#bindGroups.set(key, group);
    }
    return group;
  }

  #uniform(label: string, values: readonly number[]): Allocation {
    const key = values.join(",");
    let uniform = this.#uniforms.get(key);
    if (uniform === undefined) {
      if (this.#uniforms.size >= CACHE_ENTRIES) this.drop();
      const packed = packUniform(label, values);
      uniform = this.#pool.uniform(packed);
      this.#uniforms.set(key, uniform);
    }
    return uniform;
  }

  /** Lets go of bind groups, which hold on to the buffers of tensors. */
  dropBindGroups(): void {
    this.#bindGroups.clear();
  }

  /** Lets go of uniform blocks and bind groups. */
  drop(): void {
    if (!this.#faults.lost) this.#flush();
    for (const { buffer } of this.#uniforms.values()) buffer.destroy();
    this.#uniforms.clear();
    this.#bindGroups.clear();
  }
}
