import { add, sumParts } from "../kernels/arithmetic/mod.ts";
import { type AnyTensor, type DataType, type Gpu, Tensor } from "../kernels/gpu/mod.ts";
import type { Matrix } from "../kernels/storage/mod.ts";

/**
 * A tensor in a computation that a {@linkcode Tape} can differentiate; or a matrix of weights that is
 * quantized, or in several tensors of rows, which `linearMap()` and `embedding()` take.
 */
export class Variable {
  /** Whether a gradient is wanted for it. */
  readonly requiresGradient: boolean;
  /**
   * The loss's gradient, once {@linkcode Tape.backward} has run; of a leaf it belongs to the caller. That
   * of a variable in several blocks is theirs.
   */
  gradient: Tensor | undefined;
  readonly #value: Matrix | readonly Variable[];

  /** A variable over a tensor; a leaf where it is made by hand. Over several: their rows in order. */
  constructor(value: Matrix | readonly Variable[], requiresGradient = false) {
    this.#value = value;
    this.requiresGradient = value instanceof Array
      ? value.some((block) => block.requiresGradient)
      : requiresGradient;
  }

  /** The value. @throws {Error} where it is not one tensor of floats. */
  get tensor(): Tensor {
    if (this.#value instanceof Tensor) return this.#value;
    throw new Error(
      `Cannot use the weights of shape [${this.shape}] as a tensor as they are ${
        this.#value instanceof Array ? "in several" : `in ${this.#value.dtype}`
      }: linearMap() and embedding() take them`,
    );
  }

  /** What it is made of, one block of rows after the other: itself, where it is one. */
  get blocks(): readonly Variable[] {
    return this.#value instanceof Array ? this.#value : [this];
  }

  /** The blocks as kernels take them. */
  get matrices(): readonly Matrix[] {
    return this.#value instanceof Array
      ? this.#value.flatMap((block) => block.matrices)
      : [this.#value];
  }

  /** The extents. */
  get shape(): readonly number[] {
    if (!(this.#value instanceof Array)) return this.#value.shape;
    const rows = this.#value.reduce((sum, { shape }) => sum + shape[0], 0);
    return [rows, ...this.#value[0].shape.slice(1)];
  }

  /** The number of elements. */
  get size(): number {
    return this.matrices.reduce((sum, { size }) => sum + size, 0);
  }

  /** The bytes of the elements. */
  get bytes(): number {
    return this.matrices.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Takes the gradient away, where there is one. */
  dropGradient(): void {
    this.gradient?.[Symbol.dispose]();
    this.gradient = undefined;
  }
}

/** A gradient in parts, `[parts, ...]`, whose sum is taken at the end, with those of other parameters. */
export class Parts {
  /** The parts. */
  readonly tensor: Tensor;

  /** Parts whose sum over the first axis is the gradient. */
  constructor(tensor: Tensor) {
    this.tensor = tensor;
  }
}

/** From the outputs' gradients to the inputs'; undefined if there is none. */
export type Backward = (
  outputGradients: readonly (Tensor | undefined)[],
) => readonly (Tensor | Parts | undefined)[];

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
  /** Whether a token's step may overwrite the state that it is given. */
  readonly inPlace: boolean;
  /** Whether anything continues from the states that sequences leave: else they need not be computed. */
  readonly keepsStates: boolean;
  readonly #owned = new Set<AnyTensor>();
  /** What operations gave: their gradients are wanted before the end. */
  readonly #computed = new Set<Variable>();
  #entries: Entry[] = [];

  /** A new tape. */
  constructor(
    gpu: Gpu,
    options: { recording?: boolean; inPlace?: boolean; keepsStates?: boolean } = {},
  ) {
    this.gpu = gpu;
    this.keepsStates = options.keepsStates ?? true;
    this.inPlace = options.inPlace ?? false;
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
   * @param as The variables that the outputs are the values of. @default new ones
   */
  record(
    inputs: readonly (Variable | undefined)[],
    outputs: readonly Tensor[],
    backward: Backward,
    as?: readonly Variable[],
  ): Variable[] {
    const requiresGradient = this.differentiates(inputs);
    for (const tensor of outputs) this.own(tensor);
    const variables = as
      ? [...as]
      : outputs.map((tensor) => new Variable(tensor, requiresGradient));
    if (!requiresGradient) return variables;
    this.#entries.push({ inputs, outputs: variables, backward });
    for (const variable of variables) this.#computed.add(variable);
    return variables;
  }

  /**
   * Runs the recorded operations backward from the given gradients of outputs. Leaves keep what they
   * receive, added to what they had; all other gradients go as soon as they are used.
   */
  backward(seeds: readonly { variable: Variable; gradient: Tensor }[]): void {
    const pending: { variable: Variable; parts: Tensor }[] = [];
    for (const { variable, gradient } of seeds) {
      variable.tensor; // is recorded here, where nothing has asked for it yet
      this.#accumulate(variable, gradient);
    }
    for (const { inputs, outputs, backward } of this.#entries.reverse()) {
      const outputGradients = outputs.map((output) => output.gradient);
      if (outputGradients.every((gradient) => gradient === undefined)) continue;
      backward(outputGradients).forEach((gradient, index) => {
        const input = inputs[index];
        if (gradient === undefined) return;
        const tensor = gradient instanceof Parts ? gradient.tensor : gradient;
        if (!input?.requiresGradient) tensor[Symbol.dispose]();
        else if (tensor === gradient) this.#accumulate(input, tensor);
        else if (this.#computed.has(input)) this.#sum([{ variable: input, parts: tensor }]);
        else pending.push({ variable: input, parts: tensor });
      });
      for (const output of outputs) output.dropGradient();
    }
    this.#sum(pending);
    this.#entries = [];
    this.#computed.clear();
  }

  /** Frees all that the tape owns. */
  [Symbol.dispose](): void {
    for (const tensor of this.#owned) tensor[Symbol.dispose]();
    this.#owned.clear();
    this.#entries = [];
    this.#computed.clear();
  }

  /** Sums parts up, and frees them. */
  #sum(gradients: readonly { readonly variable: Variable; readonly parts: Tensor }[]): void {
    const { sums } = sumParts(this.gpu, { parts: gradients.map(({ parts }) => parts) });
    gradients.forEach(({ variable, parts }, index) => {
      this.#accumulate(variable, sums[index]);
      parts[Symbol.dispose]();
    });
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
