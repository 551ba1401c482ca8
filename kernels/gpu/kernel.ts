import type { Tensor } from "./tensor.ts";

/** A compute shader: its WGSL, and the entry point's name, which is also its label and its file's name. */
export interface Kernel {
  /** Entry point, label and file name. */
  readonly label: string;
  /** The WGSL text. */
  readonly source: string;
}

/**
 * Iterations that all loops of an invocation may make together in one dispatch. llvmpipe, Mesa's
 * software adapter, silently ends every loop once an invocation has gone round 65,535 times, and
 * counts one or two more each time that a loop ends. Longer work is split over invocations or dispatches.
 */
export const LOOP_ITERATIONS = 65_000;

const DEFINED: Kernel[] = [];

/** Every kernel named so far, those made for one shape included: what tests hold to each compiler. */
export function definedKernels(): readonly Kernel[] {
  return DEFINED;
}

/**
 * Names a compute shader. The pipeline is made at its first dispatch, once for each set of constants.
 *
 * @throws {Error} where the source has no entry point of that name.
 */
export function kernel(label: string, source: string): Kernel {
  if (!source.includes(`fn ${label}(`)) {
    throw new Error(`Cannot define kernel ${label} as its source has no entry point of that name`);
  }
  const defined = { label, source };
  DEFINED.push(defined);
  return defined;
}

/** One dispatch: which tensors are read, which are written, and how many workgroups run. */
export interface Dispatch {
  /** Values of the shader's `override` constants. */
  constants?: Record<string, number | boolean>;
  /** The uniform block at binding 0, as integers in the order of its fields; left out, there is none. */
  uniform?: readonly number[];
  /** Tensors bound `read`, in binding order after the uniform. */
  read?: Readonly<Record<string, Tensor>>;
  /** Tensors bound `read_write`, in binding order after those read. */
  write: Readonly<Record<string, Tensor>>;
  /**
   * Workgroups in x, y, z; or their number alone, which is folded into x and y past 65,535: such a
   * shader takes its index from `workgroup_id.x + workgroup_id.y * num_workgroups.x` and returns
   * where that is past its last.
   */
  workgroups: number | readonly [number, number?, number?];
}

/** The workgroup counts of a dispatch. @throws {RangeError} past the adapter's limit. */
export function workgroupCounts(
  label: string,
  workgroups: Dispatch["workgroups"],
  limit: number,
): [number, number, number] {
  const counts: [number, number, number] = typeof workgroups !== "number"
    ? [workgroups[0], workgroups[1] ?? 1, workgroups[2] ?? 1]
    : workgroups <= limit
    ? [workgroups, 1, 1]
    : [limit, Math.ceil(workgroups / limit), 1];
  for (const count of counts) {
    if (!Number.isInteger(count) || count < 0 || count > limit) {
      throw new RangeError(
        `Cannot run ${label} as it needs ${
          counts.join(" × ")
        } workgroups: the adapter allows ${limit} in a dimension (maxComputeWorkgroupsPerDimension); split the work along its batch`,
      );
    }
  }
  return counts;
}

/** The bytes of a uniform block. @throws {RangeError} where a value is no 32-bit integer. */
export function packUniform(label: string, values: readonly number[]): Uint32Array<ArrayBuffer> {
  const packed = new Uint32Array(Math.ceil(values.length / 4) * 4);
  values.forEach((value, index) => {
    if (!Number.isInteger(value) || value < -(2 ** 31) || value >= 2 ** 32) {
      throw new RangeError(
        `Cannot run ${label} as its shader's field ${index} must be a 32-bit integer: current value is ${value}`,
      );
    }
    packed[index] = value;
  });
  return packed;
}

/**
 * The bits of a 32-bit float, for a uniform field that the shader reads with `bitcast<f32>`: a float
 * that changes from step to step would cost a new pipeline each time as an `override` constant.
 */
export function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}
