import {
  elementCount,
  type FloatType,
  type Gpu,
  type Tensor,
  type Tunable,
  type TunableValues,
  type TunedProblem,
} from "../gpu/mod.ts";

/** What a tunable's candidates are measured on. */
export interface Measured {
  /** The tunable's name. */
  readonly tunable: string;
  /**
   * Makes the inputs of a problem that was noted.
   *
   * @returns Queues the work, once a call; what candidates are compared in are the tensors that it returns.
   */
  readonly prepare: (gpu: Gpu, problem: never, make: MeasuredInputs) => () => object;
}

/** Says what a tunable is measured on. */
export function measuredOn<Problem extends TunedProblem, Values extends TunableValues>(
  { name }: Tunable<Problem, Values>,
  prepare: (gpu: Gpu, problem: Problem, make: MeasuredInputs) => () => object,
): Measured {
  return { tunable: name, prepare };
}

/** Elements of a pattern before it comes again. */
const PERIOD = 2 ** 18;

/** Inputs of what is measured, which are freed as a whole. */
export class MeasuredInputs implements Disposable {
  readonly #gpu: Gpu;
  readonly #kept = new DisposableStack();

  /** Inputs on a GPU. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Keeps what is freed with the inputs. */
  keep<Kept extends Disposable>(kept: Kept): Kept {
    return this.#kept.use(kept);
  }

  /**
   * A tensor of values between two bounds, which come again after some: the GPU copies them, so that
   * large tensors are made soon. Zeros would be computed at another clock.
   */
  tensor(
    shape: readonly number[],
    low: number = -1,
    high: number = 1,
    dtype: FloatType = "f32",
  ): Tensor {
    const values = new Float32Array(Math.min(PERIOD, elementCount(shape)));
    for (let i = 0, state = 1; i < values.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      values[i] = low + (high - low) * (state / 2 ** 32);
    }
    const tensor = this.keep(this.#gpu.empty(shape, dtype));
    this.fill(tensor, values);
    return tensor;
  }

  /** Fills a tensor with values that come again and again. */
  fill(tensor: Tensor | Tensor<"u32">, values: Float32Array | Uint32Array): void {
    if (tensor.size === 0) return;
    const times = Math.ceil(Math.min(PERIOD, tensor.size) / values.length);
    const period = Math.min(tensor.size, times * values.length);
    const repeated = Array.from({ length: period }, (_, i) => values[i % values.length]);
    using pattern = this.#gpu.tensor([period], repeated, tensor.dtype);
    for (let first = 0; first < tensor.size; first += period) {
      const elements = Math.min(period, tensor.size - first);
      this.#gpu.copy(pattern, tensor, { destinationOffset: first, elements });
    }
  }

  /** Frees them. */
  [Symbol.dispose](): void {
    this.#kept.dispose();
  }
}
