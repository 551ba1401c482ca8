import { add } from "../kernels/arithmetic/mod.ts";
import type { AnyTensor, DataType, Gpu, Tensor } from "../kernels/gpu/mod.ts";

/** A tensor in a computation that a {@linkcode Tape} can differentiate. */
export class Variable {
  /** The value. */
  readonly tensor: Tensor;
  /** Whether a gradient is wanted for it. */
  readonly requiresGradient: boolean;
  /** The loss's gradient, once {@linkcode Tape.backward} has run; of a leaf it belongs to the caller. */
  gradient: Tensor | undefined;

  /** A variable over a tensor; a leaf where it is made by hand. */
  constructor(tensor: Tensor, requiresGradient = false) {
    this.tensor = tensor;
    this.requiresGradient = requiresGradient;
  }

  /** The tensor's shape. */
  get shape(): readonly number[] {
    return this.tensor.shape;
  }

  /** Takes the gradient away, where there is one. */
  dropGradient(): void {
    this.gradient?.[Symbol.dispose]();
    this.gradient = undefined;
  }
}

/** From the outputs' gradients to the inputs'; undefined where there is none. */
export type Backward = (
  outputGradients: readonly (Tensor | undefined)[],
) => readonly (Tensor | undefined)[];

interface Entry {
  readonly inputs: readonly (Variable | undefined)[];
  readonly outputs: readonly Variable[];
  readonly backward: Backward;
}

/**
 * Records what is computed, and runs it backward. It owns what it computes: all goes when the tape is
 * disposed of, but for what {@linkcode Tape.keep} took.
 */
export class Tape implements Disposable {
  /** The GPU it computes on. */
  readonly gpu: Gpu;
  /** Whether operations are recorded; a tape that does not record only owns. */
  readonly recording: boolean;
  readonly #owned = new Set<AnyTensor>();
  #entries: Entry[] = [];

  /** A new tape. */
  constructor(gpu: Gpu, options: { recording?: boolean } = {}) {
    this.gpu = gpu;
    this.recording = options.recording ?? false;
  }

  /** Hands a tensor over to the tape. */
  own<Type extends DataType>(tensor: Tensor<Type>): Tensor<Type> {
    this.#owned.add(tensor);
    return tensor;
  }

  /** Takes a computed value out of the tape's care; the caller disposes of it. */
  keep(variable: Variable): Tensor {
    this.#owned.delete(variable.tensor);
    return variable.tensor;
  }

  /** Whether any of the variables asks for a gradient and the tape can give one. */
  differentiates(inputs: readonly (Variable | undefined)[]): boolean {
    return this.recording && inputs.some((input) => input?.requiresGradient);
  }

  /**
   * Adds an operation that was computed: its outputs become variables of the tape.
   *
   * @param backward Returns a gradient for each input, in their order; the tape takes them over.
   */
  record(
    inputs: readonly (Variable | undefined)[],
    outputs: readonly Tensor[],
    backward: Backward,
  ): Variable[] {
    const requiresGradient = this.differentiates(inputs);
    const variables = outputs.map((tensor) => new Variable(this.own(tensor), requiresGradient));
    if (requiresGradient) this.#entries.push({ inputs, outputs: variables, backward });
    return variables;
  }

  /**
   * Runs the recorded operations backward from the given gradients of outputs. Leaves keep what they
   * receive, added to what they had; all other gradients go as soon as they are used.
   */
  backward(seeds: readonly { variable: Variable; gradient: Tensor }[]): void {
    for (const { variable, gradient } of seeds) this.#accumulate(variable, gradient);
    for (const { inputs, outputs, backward } of this.#entries.reverse()) {
      const outputGradients = outputs.map((output) => output.gradient);
      if (outputGradients.every((gradient) => gradient === undefined)) continue;
      backward(outputGradients).forEach((gradient, index) => {
        const input = inputs[index];
        if (gradient === undefined) return;
        if (input?.requiresGradient) this.#accumulate(input, gradient);
        else gradient[Symbol.dispose]();
      });
      for (const output of outputs) output.dropGradient();
    }
    this.#entries = [];
  }

  /** Frees all that the tape owns. */
  [Symbol.dispose](): void {
    for (const tensor of this.#owned) tensor[Symbol.dispose]();
    this.#owned.clear();
    this.#entries = [];
  }

  #accumulate(variable: Variable, gradient: Tensor): void {
    if (variable.gradient === undefined) {
      variable.gradient = gradient;
      return;
    }
    const { output } = add(this.gpu, { a: variable.gradient, b: gradient });
    variable.gradient[Symbol.dispose]();
    gradient[Symbol.dispose]();
    variable.gradient = output;
  }
}
