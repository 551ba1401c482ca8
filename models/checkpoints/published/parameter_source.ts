/** Where a checkpoint keeps one of a model's parameters. */
export interface ParameterSource {
  /** The stored tensor's name. */
  readonly name: string;
  /** The stored tensor's shape, where it is not the parameter's. */
  readonly shape?: readonly number[];
  /** From the stored elements to the parameter's; left out, they are the same ones in that order. */
  readonly map?: (values: Float32Array) => Float32Array;
}
