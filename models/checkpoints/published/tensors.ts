import { elementCount } from "../../../kernels/gpu/mod.ts";
import type { Weights } from "../weights.ts";
import type { ParameterSource } from "./parameter_source.ts";

/**
 * A checkpoint's tensors by their names and shapes, read with checks: what does not say what it is
 * asked for is an error that names the file and the tensor. No element is read.
 */
export class CheckpointTensors {
  readonly #weights: Pick<Weights, "path" | "files" | "tensors">;

  /** Over opened weights. */
  constructor(weights: Pick<Weights, "path" | "files" | "tensors">) {
    this.#weights = weights;
  }

  /** The file, or the folder where there are several, for errors. */
  get source(): string {
    const { files, path } = this.#weights;
    return files.length === 1 ? files[0] : path;
  }

  /** Whether there is a tensor of that name. */
  has(name: string): boolean {
    return this.#weights.tensors.has(name);
  }

  /** The extents of a tensor of so many axes. @throws {Error} if there is none. */
  shape(name: string, axes: number): readonly number[] {
    const shape = this.#weights.tensors.get(name)?.shape;
    if (shape === undefined) return this.fail(`it lacks ${name}`);
    if (shape.length === axes) return shape;
    return this.fail(`${name} must have ${axes} axes: current shape is [${shape}]`);
  }

  /** How many there are of what a pattern's first group numbers. */
  count(pattern: RegExp): number {
    const names = [...this.#weights.tensors.keys()];
    return new Set(names.map((name) => pattern.exec(name)?.[1])).difference(new Set([undefined]))
      .size;
  }

  /** A vector, which may be stored with axes of one element before it. */
  vector(name: string, size: number): ParameterSource {
    const shape = this.#weights.tensors.get(name)?.shape;
    const isVector = shape?.at(-1) === size && elementCount(shape) === size;
    return { name, shape: isVector ? shape : [size] };
  }

  /** @throws {Error} always: the file cannot be read, and why. */
  fail(reason: string): never {
    throw new Error(`Cannot read ${this.source}: ${reason}`);
  }
}
