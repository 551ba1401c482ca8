/** GPU time of one kernel, summed over its dispatches. */
export interface KernelTime {
  /** The kernel's label. */
  readonly label: string;
  /** How often it ran. */
  readonly dispatches: number;
  /** GPU time in milliseconds, from timestamp queries. */
  readonly milliseconds: number;
}

/** Timestamps a query set holds; WebGPU allows 4096. */
const CAPACITY = 4096;

interface Batch {
  readonly queries: GPUQuerySet;
  readonly labels: string[];
}

/**
 * Times every dispatch with a pair of timestamp queries. While it runs, each dispatch has a compute
 * pass of its own, so the sum is an upper bound of the time without it.
 */
export class Profiler {
  readonly #device: GPUDevice;
  #batches: Batch[] = [];

  /** Made by `gpu.startProfile()`. */
  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The timestamp pair for the next dispatch of `label`. */
  writes(label: string): GPUComputePassTimestampWrites {
    let batch = this.#batches.at(-1);
    if (batch === undefined || batch.labels.length * 2 === CAPACITY) {
      batch = {
        queries: this.#device.createQuerySet({ type: "timestamp", count: CAPACITY }),
        labels: [],
      };
      this.#batches.push(batch);
    }
    const index = (batch.labels.push(label) - 1) * 2;
    return {
      querySet: batch.queries,
      beginningOfPassWriteIndex: index,
      endOfPassWriteIndex: index + 1,
    };
  }

  /** GPU time by kernel, the longest first, of all dispatches; they must have been submitted. */
  async take(): Promise<KernelTime[]> {
    const totals = new Map<string, { dispatches: number; milliseconds: number }>();
    for (const batch of this.#batches) {
      const times = await this.#resolve(batch);
      batch.queries.destroy();
      batch.labels.forEach((label, index) => {
        const total = totals.get(label) ?? { dispatches: 0, milliseconds: 0 };
        total.dispatches++;
        total.milliseconds += Number(times[index * 2 + 1] - times[index * 2]) / 1e6;
        totals.set(label, total);
      });
    }
    this.#batches = [];
    const times = [...totals].map(([label, total]) => ({ label, ...total }));
    return times.sort((a, b) => b.milliseconds - a.milliseconds);
  }

  async #resolve({ queries, labels }: Batch): Promise<BigUint64Array> {
    const bytes = labels.length * 16;
    const resolved = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const readback = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.#device.createCommandEncoder({ label: "profiler" });
    encoder.resolveQuerySet(queries, 0, labels.length * 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, readback, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
    await readback.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(readback.getMappedRange().slice(0));
    resolved.destroy();
    readback.destroy();
    return times;
  }
}
