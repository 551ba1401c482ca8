import { type Dispatch, type Gpu, results, type Tensor } from "../gpu/mod.ts";
import {
  type Extents,
  type LinearAttentionInputs,
  type LinearAttentionOptions,
  scaleOf,
} from "./problem.ts";
import { LINEAR_ATTENTION } from "./shaders.ts";

const IN_REGISTERS = LINEAR_ATTENTION.kernel("linear_attention_in_registers");
const IN_REGISTERS_BACKWARD = LINEAR_ATTENTION.kernel("linear_attention_in_registers_backward");

/** One SIMD vector of AVX2. */
const WORKGROUP_SIZE = 8;

function dispatchOf(
  { batch, time, heads, keyDim, valueDim }: Extents,
  options: LinearAttentionOptions,
): Pick<Dispatch, "constants" | "uniform" | "workgroups"> {
  return {
    constants: { WORKGROUP_SIZE, KEY_VECTORS: keyDim / 4, VALUE_VECTORS: valueDim / 4 },
    uniform: { sequences: batch, time, heads, scale: scaleOf(options, keyDim) },
    workgroups: Math.ceil(batch * heads / WORKGROUP_SIZE),
  };
}

/** The output, and the final state. */
export function workInRegisters(
  gpu: Gpu,
  extents: Extents,
  { query, key, value, logDecay, initialState }: LinearAttentionInputs,
  options: LinearAttentionOptions,
): { output: Tensor; finalState: Tensor } & Disposable {
  const { batch, heads, keyDim, valueDim } = extents;
  const output = gpu.empty(value.shape);
  const finalState: Tensor = gpu.empty([batch, heads, keyDim, valueDim]);
  gpu.dispatch(IN_REGISTERS, {
    ...dispatchOf(extents, options),
    read: { query, key, value, logDecay, initialState },
    write: { output, finalState },
  });
  return results({ output, finalState });
}

/** The gradients of {@linkcode workInRegisters}; the states are computed anew. */
export function workInRegistersBackward(
  gpu: Gpu,
  extents: Extents,
  inputs: LinearAttentionInputs & {
    readonly outputGradient: Tensor;
    readonly finalStateGradient?: Tensor;
  },
  options: LinearAttentionOptions,
):
  & Record<"queryGradient" | "keyGradient" | "valueGradient" | "logDecayGradient", Tensor>
  & { readonly initialStateGradient?: Tensor }
  & Disposable {
  const { query, key, value, logDecay, initialState } = inputs;
  const { outputGradient, finalStateGradient } = inputs;
  const { batch, time, heads, keyDim, valueDim } = extents;
  const gradients = {
    queryGradient: gpu.empty(query.shape),
    keyGradient: gpu.empty(query.shape),
    valueGradient: gpu.empty(value.shape),
    logDecayGradient: gpu.empty(query.shape),
    ...initialState && { initialStateGradient: gpu.empty(initialState.shape) },
  };
  using history = gpu.empty([batch, heads, time, keyDim, valueDim]);
  gpu.dispatch(IN_REGISTERS_BACKWARD, {
    ...dispatchOf(extents, options),
    read: { query, key, value, logDecay, initialState, outputGradient, finalStateGradient },
    write: { history, ...gradients },
  });
  return results(gradients);
}
