import { add, linearMap } from "./operations.ts";
import {
  constant,
  free,
  linear,
  type Parameters,
  type ParameterSpecification,
} from "./parameters.ts";
import type { Tape, Variable } from "./tape.ts";

/** The parameters of {@linkcode affine}: `name.weight`, and `name.bias` where it has one. */
export function affineParameters(
  name: string,
  outputs: number,
  inputs: number,
  { bias, gain }: { readonly bias: boolean; readonly gain?: number },
): ParameterSpecification[] {
  return [
    linear(`${name}.weight`, outputs, inputs, gain),
    ...(bias ? [free(`${name}.bias`, [outputs], constant(0))] : []),
  ];
}

/** `x · weightᵀ`, plus the bias where there is one. */
export function affine(
  tape: Tape,
  parameters: Parameters,
  name: string,
  x: Variable,
  { bias }: { readonly bias: boolean },
): Variable {
  const output = linearMap(tape, x, parameters(`${name}.weight`));
  return bias ? add(tape, output, parameters(`${name}.bias`)) : output;
}
