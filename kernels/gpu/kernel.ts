import type { AnyTensor } from "./tensor.ts";

/**
 * Iterations that all loops of an invocation may make together in one dispatch. llvmpipe, Mesa's
 * software adapter, silently ends every loop once an invocation has gone round 65,535 times, and
 * counts one or two more each time that a loop ends. Longer work is split over invocations or dispatches.
 */
export const LOOP_ITERATIONS = 65_000;

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
  uniform?: Readonly<Record<string, number | boolean>>;
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
        } workgroups: the adapter allows ${limit} in a dimension (maxComputeWorkgroupsPerDimension); run fewer sequences, time steps or heads at once`,
      );
    }
  }
  return counts;
}
