/**
 * What a library must do to be compared: the same operation, from the same inputs, on the same adapter.
 *
 * @module
 */
import type { Gpu, Tensor } from "../../kernels/gpu/mod.ts";

/** An operation that libraries are compared in; the names are those of the ONNX graphs here. */
export type Form =
  | "matmul"
  | "attention"
  | "linear"
  | "gated"
  | "gated_by_key"
  | "delta"
  | "gated_delta"
  | "gated_delta_by_key";

/** What a library is asked to do. */
export interface Problem {
  readonly form: Form;
  /**
   * `a` and `b` of `matmul`; `query`, `key` and `value` `[1, time, heads, dim]` of the others, with
   * `decay` and `beta` where the form has them. A scale is 1/√dim, attention is causal.
   */
  readonly inputs: Readonly<Record<string, Tensor>>;
}

/** A problem made ready to run. */
export interface PeerWork {
  /** Queues the work once, by the time a promise settles where it returns one. */
  readonly run: () => void | Promise<void>;
  /** Runs once more and reads the output, in the inputs' layout. */
  readonly output: () => Promise<Float32Array>;
}

/** Another library that runs on WebGPU in Deno. */
export interface Peer {
  /** With its version. */
  readonly name: string;
  /** Whose queue its work goes to. */
  readonly gpu: Gpu;
  /**
   * Whether its dispatches cannot be seen, as it is native code; it must refuse then to compute elsewhere
   * than on the adapter.
   */
  readonly isNative?: boolean;
  /** Makes a problem ready; undefined where the library has no such operation. */
  prepare(problem: Problem): Promise<PeerWork | undefined>;
}
