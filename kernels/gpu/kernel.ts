import type { Shader } from "./shaders.ts";
import type { AnyTensor } from "./tensor.ts";

/** A compute shader: of a family, or a text by itself. */
export type Kernel = Shader | TextKernel;

/** A compute shader as one text whose uniform and bindings are given in their order. */
export interface TextKernel {
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

const DEFINED: TextKernel[] = [];

/** Every kernel named so far, those made for one shape included: what tests hold to each compiler. */
export function definedKernels(): readonly TextKernel[] {
  return DEFINED;
}

/**
 * Names a compute shader. The pipeline is made at its first dispatch, once for each set of constants.
 *
 * @throws {Error} where the source has no entry point of that name.
 */
export function kernel(label: string, source: string): TextKernel {
  if (!source.includes(`fn ${label}(`)) {
    throw new Error(`Cannot define kernel ${label} as its source has no entry point of that name`);
  }
  const defined = { label, source };
  DEFINED.push(defined);
  return defined;
}

/**
 * One dispatch: which tensors are read, which are written, and how many workgroups run. All is given
 * by the names of the shader, whose `snake_case` is `camelCase` here; a name that is missing, that
 * the shader lacks or that is given in the wrong place is an error.
 */
export interface Dispatch {
  /**
   * Values of the shader's `override` and `@link` constants (those left out keep the shader's own), of
   * the conditions of its `@if`s, and types of its `@link` aliases. A condition `HAS_BONUS` where the
   * shader has a binding `bonus` follows from whether that is given.
   */
  constants?: Readonly<Record<string, number | boolean | string>>;
  /** The fields of the shader's uniform; true is 1. */
  uniform?: Readonly<Record<string, number | boolean>> | readonly number[];
  /** Tensors bound `read`; undefined for an optional input that is not there. */
  read?: Readonly<Record<string, AnyTensor | undefined>>;
  /** Tensors bound `read_write`. */
  write: Readonly<Record<string, AnyTensor | undefined>>;
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

/**
 * The bits of a 32-bit float, for a uniform field that the shader reads with `bitcast<f32>`: a float
 * that changes from step to step would cost a new pipeline each time as an `override` constant.
 */
export function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}
