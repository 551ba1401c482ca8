import { type Call, matchCall, packUniform, type Slot } from "./calls.ts";
import { KernelError } from "./errors.ts";
import type { Faults } from "./faults.ts";
import type { Dispatch } from "./kernel.ts";
import { asWritten } from "./linker/linker.ts";
import type { BufferPool } from "./pool.ts";
import { type Kernel, signed, type Variant } from "./shaders.ts";
import { type Allocation, type AnyTensor, Tensor } from "./tensor.ts";

/** Bind groups, and uniform blocks, that are kept; past it they are all dropped. */
const CACHE_ENTRIES = 8192;

/** What a dispatch sets before it runs. */
export interface Prepared {
  /** The compiled kernel. */
  readonly pipeline: GPUComputePipeline;
  /** Its uniform and its tensors. */
  readonly bindGroup: GPUBindGroup;
}

/** A dispatch that is matched with its shader, for a bind group of its own. */
export interface Resolved {
  /** The kernel's label. */
  readonly label: string;
  /** The compiled kernel. */
  readonly pipeline: GPUComputePipeline;
  /** The uniform block, where the shader has one. */
  readonly uniform: Uint32Array<ArrayBuffer> | undefined;
  /** The number of the uniform. */
  readonly uniformBinding: number | undefined;
  /** The tensors' memory; those that the shader does not use have no number. */
  readonly tensors: readonly (Slot & { readonly allocation: Allocation })[];
}

/**
 * A tree whose branches are names, numbers and flags: a way to look up by many keys in turn that
 * makes no string of them, which would cost more than all the rest of a dispatch.
 */
class Branch<Leaf> {
  readonly #branches = new Map<unknown, Branch<Leaf>>();
  readonly #without = new Map<string, Branch<Leaf>>();
  #next: Branch<Leaf> | undefined;
  leaf: Leaf | undefined;

  at(key: unknown): Branch<Leaf> {
    let branch = this.#branches.get(key);
    if (branch === undefined) this.#branches.set(key, branch = new Branch<Leaf>());
    return branch;
  }

  /** Where a name is given without a value. */
  without(name: string): Branch<Leaf> {
    let branch = this.#without.get(name);
    if (branch === undefined) this.#without.set(name, branch = new Branch<Leaf>());
    return branch;
  }

  /** Where the next part of a dispatch begins. */
  next(): Branch<Leaf> {
    return this.#next ??= new Branch<Leaf>();
  }
}

const MINUS_ZERO = Symbol("-0");

/** A number as a key of a map, where -0 would be 0. */
function keyOf(value: number | boolean | string): unknown {
  return value === 0 && 1 / value < 0 ? MINUS_ZERO : value;
}

/** One way to call a kernel: which names a dispatch has, and the values of its constants. */
interface Site extends Call {
  readonly pipeline: GPUComputePipeline;
  /** By the values of the uniform, in the order of the dispatch. */
  uniforms: Branch<Block>;
}

/** A uniform block, and the bind groups that have it: by the tensors, in the order of the dispatch. */
interface Block {
  readonly allocation: Allocation | undefined;
  groups: Branch<Prepared>;
}

/**
 * A linked shader as the device's compiler wants it, its directives in the first line. Deno's, naga,
 * knows subgroup operations but not the directive that the standard asks for (gfx-rs/wgpu issue 5555);
 * any other's has it.
 */
function codeFor({ directives, code }: Variant, device: GPUDevice): string {
  const isNaga = "Deno" in globalThis && device instanceof GPUDevice;
  const known = directives.filter((directive) => !isNaga || directive !== "enable subgroups;");
  return [...known, code].join(" ");
}

/** The tensors of a dispatch, in its order. */
function tensorsOf({ read, write }: Dispatch): AnyTensor[] {
  return [...Object.values(read ?? {}), ...Object.values(write)]
    .filter((tensor) => tensor !== undefined);
}

/** The compiled kernels, uniform blocks and bind groups of a device, each made once. */
export class Bindings {
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #faults: Faults;
  readonly #flush: () => void;
  readonly #bindingLimit: number;
  readonly #kernels = new Map<Kernel, Branch<Site>>();
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #sites = new Set<Site>();
  readonly #blocks = new Set<Block>();
  #bindGroupCount = 0;

  /**
   * Nothing is made yet.
   *
   * @param options.limit The most bytes in one binding.
   * @param options.flush Submits what is queued, before buffers are freed.
   */
  constructor(
    device: GPUDevice,
    pool: BufferPool,
    faults: Faults,
    { limit, flush }: { readonly limit: number; readonly flush: () => void },
  ) {
    this.#device = device;
    this.#pool = pool;
    this.#faults = faults;
    this.#flush = flush;
    this.#bindingLimit = limit;
  }

  /**
   * The pipeline and the bind group of a dispatch; an error of the compiler is a fault.
   *
   * @throws {KernelError} where the dispatch and the shader do not match.
   * @throws {RangeError} where a binding is over the adapter's limit.
   */
  prepare(kernel: Kernel, dispatch: Dispatch): Prepared {
    const site = this.#site(kernel, dispatch);
    const block = this.#block(kernel.label, site, dispatch.uniform);
    let branch = block.groups;
    const { read, write } = dispatch;
    // What is null leads to no leaf, and from there to an error.
    for (const name in read) {
      const tensor = read[name];
      if (tensor) branch = branch.at(tensor.binding);
    }
    for (const name in write) {
      const tensor = write[name];
      if (tensor) branch = branch.at(tensor.binding);
    }
    return branch.leaf ??= this.#bind(kernel.label, site, block, dispatch);
  }

  /**
   * A dispatch without a bind group, for {@linkcode Bindings.bindGroup}.
   *
   * @throws as {@linkcode Bindings.prepare} does.
   */
  resolve(kernel: Kernel, dispatch: Dispatch): Resolved {
    const { label } = kernel;
    const { pipeline, uniform, fields, slots } = this.#site(kernel, dispatch);
    const tensors = tensorsOf(dispatch);
    this.#checkTensors(label, slots, tensors);
    return {
      label,
      pipeline,
      uniform: uniform === undefined
        ? undefined
        : packUniform(label, fields, Object.values(dispatch.uniform ?? {})),
      uniformBinding: uniform,
      tensors: tensors.map(({ allocation }, at) => ({ ...slots[at], allocation })),
    };
  }

  /** The bind group of a dispatch over these uniform bytes: the caller's, who keeps it. */
  bindGroup(
    { label, pipeline, uniformBinding, tensors }: Resolved,
    uniform: GPUBufferBinding | undefined,
  ): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = tensors.flatMap(({ number, allocation: { buffer } }) =>
      number === undefined ? [] : [{ binding: number, resource: { buffer } }]
    );
    if (uniformBinding !== undefined && uniform !== undefined) {
      entries.push({ binding: uniformBinding, resource: uniform });
    }
    return this.#faults.guard(
      () =>
        this.#device.createBindGroup({ label, layout: pipeline.getBindGroupLayout(0), entries }),
      (error) => new KernelError(`Cannot run ${label}: ${error.message}`),
    );
  }

  /** Follows the names of a dispatch and the values of its constants. */
  #site(kernel: Kernel, dispatch: Dispatch): Site {
    const { constants, uniform, read, write } = dispatch;
    let branch = this.#kernels.get(kernel);
    if (branch === undefined) this.#kernels.set(kernel, branch = new Branch());
    for (const name in constants) branch = branch.at(name).at(keyOf(constants[name]));
    branch = branch.next();
    for (const name in uniform) branch = branch.at(name);
    branch = branch.next();
    for (const name in read) {
      branch = read[name] === undefined ? branch.without(name) : branch.at(name);
    }
    branch = branch.next();
    for (const name in write) {
      branch = write[name] === undefined ? branch.without(name) : branch.at(name);
    }
    return branch.leaf ??= this.#open(kernel, dispatch, branch);
  }

  #open(kernel: Kernel, dispatch: Dispatch, branch: Branch<Site>): Site {
    const call = matchCall(kernel, dispatch);
    const pipeline = this.#pipeline(kernel, call, branch);
    const site = { ...call, pipeline, uniforms: new Branch<Block>() };
    this.#sites.add(site);
    return site;
  }

  #pipeline(
    kernel: Kernel,
    { variant, constants }: Call,
    branch: Branch<Site>,
  ): GPUComputePipeline {
    const { label } = kernel;
    const code = codeFor(variant, this.#device);
    const values = Object.entries(constants).map(([name, value]) => [name, Number(value)] as const);
    const key = JSON.stringify([label, code, values.toSorted()], signed);
    const found = this.#pipelines.get(key);
    if (found !== undefined) return found;
    const { pipeline } = this.#faults.guard(() => {
      const module = this.#device.createShaderModule({ label, code });
      const pipeline = this.#device.createComputePipeline({
        label,
        layout: "auto",
        compute: { module, entryPoint: label, constants: Object.fromEntries(values) },
      });
      return { module, pipeline };
    }, async (error, { module }) => {
      branch.leaf = undefined;
      this.#pipelines.delete(key);
      const { messages } = await module.getCompilationInfo();
      // Without a place, naga says that it is the beginning.
      const text = messages.map(({ message, lineNum, linePos, offset, length }) =>
        lineNum === 0 || offset + length === 0 || message.includes(`:${lineNum}:${linePos}`)
          ? message
          : `:${lineNum}:${linePos} ${message}`
      ).join("\n") || error.message;
      return new KernelError(
        `Cannot compile ${label} with ${JSON.stringify(constants)}:\n${
          asWritten(text, variant, label)
        }`,
      );
    });
    this.#pipelines.set(key, pipeline);
    return pipeline;
  }

  /** Follows the values of the uniform. */
  #block(label: string, site: Site, uniform: Dispatch["uniform"]): Block {
    let branch = site.uniforms;
    const values = uniform as Record<string, number | boolean> | undefined;
    for (const name in values) branch = branch.at(keyOf(values[name]));
    return branch.leaf ?? this.#fill(label, site, uniform);
  }

  #fill(label: string, site: Site, uniform: Dispatch["uniform"]): Block {
    const values = Object.values(uniform ?? {});
    const packed = site.uniform === undefined ? undefined : packUniform(label, site.fields, values);
    if (this.#blocks.size >= CACHE_ENTRIES) this.drop();
    const block = {
      allocation: packed && this.#pool.uniform(packed),
      groups: new Branch<Prepared>(),
    };
    let branch = site.uniforms;
    for (const value of values) branch = branch.at(keyOf(value));
    this.#blocks.add(block);
    return branch.leaf = block;
  }

  #bind(label: string, site: Site, block: Block, dispatch: Dispatch): Prepared {
    const tensors = tensorsOf(dispatch);
    this.#checkTensors(label, site.slots, tensors);
    if (++this.#bindGroupCount > CACHE_ENTRIES) this.dropBindGroups();
    const { pipeline, uniform, slots } = site;
    const bindGroup = this.bindGroup({
      label,
      pipeline,
      uniform: undefined,
      uniformBinding: uniform,
      tensors: tensors.map(({ allocation }, at) => ({ ...slots[at], allocation })),
    }, block.allocation && { buffer: block.allocation.buffer });
    const prepared = { pipeline, bindGroup };
    let branch = block.groups;
    for (const { binding } of tensors) branch = branch.at(binding);
    return branch.leaf = prepared;
  }

  #checkTensors(label: string, slots: readonly Slot[], tensors: readonly AnyTensor[]): void {
    const seen = new Map<number, Slot>();
    tensors.forEach((tensor: unknown, at) => {
      const slot = slots[at];
      if (!(tensor instanceof Tensor)) {
        throw new KernelError(
          `Cannot run ${label} as ${slot.name} must be a tensor, or undefined where it may be left out: current value is ${tensor}`,
        );
      }
      const { allocation, dtype }: AnyTensor = tensor;
      if (slot.dtype !== undefined && slot.dtype !== dtype) {
        throw new KernelError(
          `Cannot run ${label} as its shader takes ${slot.name} as ${slot.dtype}: current data type is ${dtype}`,
        );
      }
      if (allocation.bytes > this.#bindingLimit) {
        throw new RangeError(
          `Cannot run ${label} as ${slot.name} takes ${allocation.bytes} bytes in one binding: the adapter allows ${this.#bindingLimit} (maxStorageBufferBindingSize); run fewer sequences, time steps or heads at once`,
        );
      }
      const other = seen.get(allocation.id);
      if (other !== undefined && (other.written || slot.written)) {
        throw new KernelError(
          `Cannot run ${label} as ${other.name} and ${slot.name} are one tensor, which is written: give it one that is not read or written elsewhere`,
        );
      }
      seen.set(allocation.id, slot);
    });
  }

  /** Drops bind groups, which hold on to the buffers of tensors. */
  dropBindGroups(): void {
    this.#bindGroupCount = 0;
    for (const block of this.#blocks) block.groups = new Branch();
  }

  /** Drops uniform blocks and bind groups. */
  drop(): void {
    if (!this.#faults.lost) this.#flush();
    this.#bindGroupCount = 0;
    for (const { allocation } of this.#blocks) allocation?.buffer.destroy();
    this.#blocks.clear();
    for (const site of this.#sites) site.uniforms = new Branch();
  }
}
