import { type Kernel, kernel } from "../gpu/mod.ts";

/** Workgroups of 64 invocations for so many of them. */
export function workgroups(invocations: number): number {
  return Math.ceil(invocations / 64);
}

/** A kernel over 32-bit elements of any kind, and its twin over vec4s of them. */
export interface ElementKernels {
  /** One element an invocation. */
  readonly scalar: Kernel;
  /** Four elements an invocation. */
  readonly vector: Kernel;
}

/** Both forms of a shader that says `alias Element = u32;`. */
export function elementKernels(label: string, source: string): ElementKernels {
  return {
    scalar: kernel(label, source),
    vector: kernel(label, source.replace("alias Element = u32;", "alias Element = vec4u;")),
  };
}
