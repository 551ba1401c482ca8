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
const INPUTS = [
  "x",
  "other",
  "frequencies",
  "positions",
  "outputGradient",
  "otherGradient",
];

/** What {@linkcode rotary} takes. */
export interface RotaryInputs {
  /** `[batch, time, heads, dim]`. */
  readonly x: Tensor;
  /** What turns with it, as keys do with queries: `[batch, time, otherHeads, dim]`. @default nothing */
  readonly other?: Tensor;
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
  /** `[batch, time, otherHeads, dim]`, where there is another. */
  readonly other?: Tensor;
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
  return results(run(gpu, "rotary", { x: "x", other: "other" }, inputs, options));
}

/** What {@linkcode rotaryBackward} takes. */
export interface RotaryBackwardInputs extends Omit<RotaryInputs, "x" | "other"> {
  /** `[batch, time, heads, dim]`. */
  readonly outputGradient: Tensor;
  /** `[batch, time, otherHeads, dim]`, where there is another. */
  readonly otherGradient?: Tensor;
}

/** What {@linkcode rotaryBackward} returns. */
export interface RotaryGradients extends Disposable {
  /** `[batch, time, heads, dim]`. */
  readonly xGradient: Tensor;
  /** `[batch, time, otherHeads, dim]`, where there is another. */
  readonly otherGradient?: Tensor;
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
  const { outputGradient, otherGradient, frequencies, positions } = inputs;
  checkOptions("rotaryBackward", options, RULES);
  const names = { x: "outputGradient", other: "otherGradient" };
  const { output, other } = run(
    gpu,
    "rotaryBackward",
    names,
    { x: outputGradient, other: otherGradient, frequencies, positions },
    { ...options, inverse: !options.inverse },
  );
  return results({ xGradient: output, ...other && { otherGradient: other } });
}

function run(
  gpu: Gpu,
  op: string,
  names: { readonly x: string; readonly other: string },
  { x, other, frequencies, positions }: RotaryInputs,
  options: RotaryOptions,
): { output: Tensor; other?: Tensor } {
  checkOptions(op, options, RULES);
  const { offset = 0, interleaved = false, inverse = false } = options;
  checkRank(op, names.x, x, ["batch", "time", "heads", "dim"]);
  checkTensor(op, names.x, x, x.shape);
  const [batch, time, heads, dim] = x.shape;
  const otherHeads = other?.shape[2] ?? 0;
  if (other) checkTensor(op, names.other, other, [batch, time, otherHeads, dim]);
  const [pairs] = frequencies.shape;
  checkTensor(op, "frequencies", frequencies, [pairs, 2], "u32");
  if (2 * pairs > dim) {
    throw new RangeError(
      `Cannot run ${op}() as there must be at most ${
        dim / 2
      } frequencies for ${names.x} of shape [${x.shape}]: current number is ${pairs}`,
    );
  }
  if (positions) checkTensor(op, "positions", positions, [batch, time], "u32");
  const output = gpu.empty(x.shape);
  const otherOutput = other && gpu.empty(other.shape);
  const FOURS = !interleaved && dim % 4 === 0 && pairs % 4 === 0;
  const elements = FOURS ? 4 : 1;
  gpu.dispatch(ROTARY, {
    constants: { FOURS, INTERLEAVED: interleaved, INVERSE: inverse },
    uniform: {
      batch,
      time,
      heads,
      otherHeads,
      dim: dim / elements,
      pairs: pairs / elements,
      offset,
    },
    read: { x, other, frequencies, positions },
    write: { output, otherOutput },
    workgroups: Math.ceil(batch * time * (dim - pairs) / elements / 64),
  });
  return { output, ...otherOutput && { other: otherOutput } };
}
