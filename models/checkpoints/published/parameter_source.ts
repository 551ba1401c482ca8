/** Where a checkpoint keeps one of a model's parameters. */
export interface ParameterSource {
  /** The stored tensor's name. */
  readonly name: string;
  /** The stored tensor's shape, where it is not the parameter's. */
  readonly shape?: readonly number[];
  /** Which of the stored elements are the parameter's, from one to before another; left out, all. */
  readonly range?: readonly [from: number, to: number];
  /** From those elements to the parameter's; left out, they are the same ones in that order. */
  readonly map?: (values: Float32Array) => Float32Array;
}
