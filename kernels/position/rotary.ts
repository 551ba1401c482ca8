import {
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  flag,
  type Gpu,
  integer,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { POSITION } from "./shaders.ts";

const ROTARY = POSITION.kernel("rotary");

/** Names of inputs; an op and its gradients may be handed the same. */
const INPUTS = ["x", "frequencies", "positions", "outputGradient"];

/** What {@linkcode rotary} takes. */
export interface RotaryInputs {
  /** `[batch, time, heads, dim]`. */
  readonly x: Tensor;
  /** From `rotaryFrequencies()`: `[pairs, 2]`, u32; elements past `2 · pairs` of a head are copied. */
  readonly frequencies: Tensor<"u32">;
  /** The absolute position of each time step, u32: `[batch, time]`; it overrides `offset`. */
  readonly positions?: Tensor<"u32">;
}

/** Options of {@linkcode rotary}. */
export interface RotaryOptions {
  /** The absolute position of the first time step. @default 0 */
  readonly offset?: number;
  /**
   * Whether pairs are neighbours `(2i, 2i + 1)`, as in the paper and GPT-J; else they are
   * `(i, i + pairs)`, as in GPT-NeoX and Llama. False by default.
   */
  readonly interleaved?: boolean;
  /** Whether to turn back. @default false */
  readonly inverse?: boolean;
}

const RULES = { offset: integer(0, 2 ** 32 - 1), interleaved: flag, inverse: flag };

/** What {@linkcode rotary} returns. */
export interface RotaryOutputs extends Disposable {
  /** `[batch, time, heads, dim]`. */
  readonly output: Tensor;
}

/**
 * Rotary position embedding (Su et al. 2021, eq. 34): each pair of elements of a head turns by
 * `position · frequency`. The angle is reduced in integers, so it is as precise at position
 * 1,000,000 as at 1.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function rotary(
  gpu: Gpu,
  inputs: RotaryInputs,
  options: RotaryOptions = {},
): RotaryOutputs {
  checkNames("rotary", inputs, INPUTS);
  return results({ output: run(gpu, "rotary", "x", inputs, options) });
}

/** What {@linkcode rotaryBackward} takes. */
export interface RotaryBackwardInputs extends Omit<RotaryInputs, "x"> {
  /** `[batch, time, heads, dim]`. */
  readonly outputGradient: Tensor;
}

/** What {@linkcode rotaryBackward} returns. */
export interface RotaryGradients extends Disposable {
  /** `[batch, time, heads, dim]`. */
  readonly xGradient: Tensor;
}

/**
 * The gradient of {@linkcode rotary}, given its options: a rotation's transpose is its inverse, so
 * the gradient turns back by the same angle.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function rotaryBackward(
  gpu: Gpu,
  inputs: RotaryBackwardInputs,
  options: RotaryOptions = {},
): RotaryGradients {
  checkNames("rotaryBackward", inputs, INPUTS);
  const { outputGradient, frequencies, positions } = inputs;
  checkOptions("rotaryBackward", options, RULES);
  const inverse = !options.inverse;
  return results({
    xGradient: run(gpu, "rotaryBackward", "outputGradient", {
      x: outputGradient,
      frequencies,
      positions,
    }, { ...options, inverse }),
  });
}

function run(
  gpu: Gpu,
  op: string,
  name: string,
  { x, frequencies, positions }: RotaryInputs,
  options: RotaryOptions,
): Tensor {
  checkOptions(op, options, RULES);
  const { offset = 0, interleaved = false, inverse = false } = options;
  checkRank(op, name, x, ["batch", "time", "heads", "dim"]);
  checkTensor(op, name, x, x.shape);
  const [batch, time, heads, dim] = x.shape;
  const [pairs] = frequencies.shape;
  checkTensor(op, "frequencies", frequencies, [pairs, 2], "u32");
  if (2 * pairs > dim) {
    throw new RangeError(
      `Cannot run ${op}() as there must be at most ${
        dim / 2
      } frequencies for ${name} of shape [${x.shape}]: current number is ${pairs}`,
    );
  }
  if (positions) checkTensor(op, "positions", positions, [batch, time], "u32");
  const output = gpu.empty(x.shape);
  gpu.dispatch(ROTARY, {
    constants: { INTERLEAVED: interleaved, INVERSE: inverse },
    uniform: { batch, time, heads, dim, pairs, offset },
    read: { x, frequencies, positions },
    write: { output },
    workgroups: Math.ceil(batch * time * (dim - pairs) / 64),
  });
  return output;
}
