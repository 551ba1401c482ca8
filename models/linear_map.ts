import { split, sumTo } from "../kernels/arithmetic/mod.ts";
import { results, type Tensor } from "../kernels/gpu/mod.ts";
import { matmul, matmulParts } from "../kernels/matmul/mod.ts";
import { Deferred } from "./deferred.ts";
import { Parts, type Tape, type Variable } from "./tape.ts";

/** What is added to a linear map by its own kernel. */
interface Added {
  readonly bias?: Variable;
  readonly residual?: Variable;
}

/**
 * `x · weightᵀ (+ bias)`, computed when its value is asked for, so that what stands behind it, a bias or
 * the residual stream, is added by its kernel.
 */
export class LinearMap extends Deferred {
  readonly #tape: Tape;
  readonly #x: Variable;
  readonly #weight: Variable;
  readonly #bias: Variable | undefined;

  /** A linear map that is yet to come. */
  constructor(tape: Tape, x: Variable, weight: Variable, bias?: Variable) {
    super(
      [...x.shape.slice(0, -1), weight.shape[0]],
      () => compute(tape, x, weight, { bias }, this).tensor,
      tape.differentiates([x, weight, bias]),
    );
    this.#tape = tape;
    this.#x = x;
    this.#weight = weight;
    this.#bias = bias;
  }

  /** This with a bias, where it may be added by the same kernel. */
  withBias(bias: Variable): LinearMap | undefined {
    const fits = bias.shape.length === 1 && bias.shape[0] === this.#weight.shape[0];
    if (this.isComputed || this.#bias !== undefined || !fits) return undefined;
    return new LinearMap(this.#tape, this.#x, this.#weight, bias);
  }

  /** The sum of this and a residual stream, where the same kernel may add it. */
  plus(residual: Variable): Variable | undefined {
    if (this.isComputed || residual.shape.join() !== this.shape.join()) return undefined;
    if (residual.tensor.dtype !== "f32" || this.#x.tensor.dtype !== "f32") return undefined;
    return compute(this.#tape, this.#x, this.#weight, { bias: this.#bias, residual });
  }
}

/** What other uses of x have left of its gradient, where it may be added to in place. */
export function ownGradient({ gradient }: Variable): Tensor | undefined {
  return gradient?.allocation.references === 1 ? gradient : undefined;
}

/** Computes a linear map, as the value of a variable where there is one. */
function compute(
  tape: Tape,
  x: Variable,
  weight: Variable,
  { bias, residual }: Added,
  as?: LinearMap,
): Variable {
  const { gpu } = tape;
  const [, inputs] = weight.shape;
  const { output } = matmul(gpu, {
    a: x.tensor,
    b: weight.matrices,
    bias: bias?.tensor,
    addend: residual?.tensor,
  }, { transposeB: true });
  as?.resolve(output);
  const rows = x.tensor.size / inputs;
  const all = [x, bias, residual, ...weight.blocks];
  return tape.record(all, [output], ([gradient]) => {
    using xRows = x.tensor.reshape([rows, inputs]);
    using parts = gradientParts(tape, gradient!, weight);
    const before = ownGradient(x);
    let xGradient = before;
    const weightGradients = weight.blocks.map((block, index) => {
      const part = parts.outputs[index];
      if (x.requiresGradient) {
        const options = { accumulateInto: xGradient };
        xGradient = matmul(gpu, { a: part, b: block.tensor }, options).output;
      }
      if (!block.requiresGradient) return undefined;
      using partRows = part.reshape([rows, block.shape[0]]);
      return new Parts(matmulParts(gpu, { a: partRows, b: xRows }).parts);
    });
    return [
      xGradient === before ? undefined : xGradient,
      bias?.requiresGradient
        ? sumTo(gpu, { x: gradient! }, { shape: bias.shape }).output
        : undefined,
      residual?.requiresGradient ? gradient!.reshape(residual.shape) : undefined,
      ...weightGradients,
    ];
  }, as && [as])[0];
}

/** The gradient of a linear map's output, cut as its weight is. */
function gradientParts(
  { gpu }: Tape,
  gradient: Tensor,
  { blocks }: Variable,
): { readonly outputs: readonly Tensor[] } & Disposable {
  if (blocks.length === 1) return results({ outputs: [gradient.reshape(gradient.shape)] });
  return split(gpu, { x: gradient }, { sizes: blocks.map(({ shape }) => shape[0]) });
}
