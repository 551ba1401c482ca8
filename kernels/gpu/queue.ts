import type { Profiler } from "./profiler.ts";

/** One run of a kernel. */
export interface Run {
  /** The kernel's label. */
  readonly label: string;
  /** The compiled kernel. */
  readonly pipeline: GPUComputePipeline;
  /** Its uniform and its tensors. */
  readonly bindGroup: GPUBindGroup;
  /** Workgroups in x, y, z. */
  readonly counts: readonly [number, number, number];
}

/** One copy from buffer to buffer; offsets and length are in bytes. */
export interface Copy {
  /** Read. */
  readonly source: GPUBuffer;
  /** Where it is read. */
  readonly sourceOffset: number;
  /** Written. */
  readonly destination: GPUBuffer;
  /** Where it is written. */
  readonly destinationOffset: number;
  /** How much. */
  readonly bytes: number;
}

/** A buffer that is zeroed. */
export interface Clear {
  /** All of it. */
  readonly cleared: GPUBuffer;
}

/** What a queue takes. */
export type Command = Run | Copy | Clear;

/** Dispatches are submitted in batches of this many: a submit costs as much as forty of them. */
const RUNS_PER_SUBMIT = 64;
/** Those of recordings: a millisecond of the host's, after which there is work enough for a GPU to begin. */
const REPLAYED_PER_SUBMIT = 256;

/** Work on its way to the device: encoded as it comes, submitted in batches. */
export class Queue {
  readonly #device: GPUDevice;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #queued = 0;
  /** Times every kernel, where it is there. */
  profiler: Profiler | undefined;

  /** A queue that is empty. */
  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * Queues commands, each after what came before it.
   *
   * @param options.replayed Whether they are a recording's, which are queued faster. @default false
   */
  add(commands: readonly Command[], { replayed = false }: { replayed?: boolean } = {}): void {
    const atOnce = replayed ? REPLAYED_PER_SUBMIT : RUNS_PER_SUBMIT;
    let current: GPUComputePipeline | undefined;
    for (const command of commands) {
      if ("pipeline" in command) {
        const { pipeline, counts } = command;
        if (this.#pass === undefined || this.profiler) current = undefined;
        const pass = this.profiler ? this.#timedPass(command.label, this.profiler) : this.#open();
        if (pipeline !== current) pass.setPipeline(current = pipeline);
        pass.setBindGroup(0, command.bindGroup);
        pass.dispatchWorkgroups(counts[0], counts[1], counts[2]);
        if (++this.#queued >= atOnce) this.flush();
      } else if ("cleared" in command) {
        this.encoder().clearBuffer(command.cleared);
      } else {
        const { source, sourceOffset, destination, destinationOffset, bytes } = command;
        this.encoder()
          .copyBufferToBuffer(source, sourceOffset, destination, destinationOffset, bytes);
      }
    }
  }

  /** The encoder behind what is queued, for commands other than kernels. */
  encoder(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    return this.#encoder ??= this.#device.createCommandEncoder();
  }

  /** Submits what is queued. @returns whether there was anything. */
  flush(): boolean {
    if (this.#encoder === undefined) return false;
    const encoder = this.encoder();
    this.#encoder = undefined;
    this.#queued = 0;
    this.#device.queue.submit([encoder.finish()]);
    return true;
  }

  #open(): GPUComputePassEncoder {
    return this.#pass ??= (this.#encoder ??= this.#device.createCommandEncoder())
      .beginComputePass();
  }

  #timedPass(label: string, profiler: Profiler): GPUComputePassEncoder {
    const timestampWrites = profiler.writes(label);
    return this.#pass = this.encoder().beginComputePass({ label, timestampWrites });
  }
}
