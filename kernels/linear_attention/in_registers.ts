import { type Dispatch, type Gpu, LOOP_ITERATIONS, results, type Tensor } from "../gpu/mod.ts";
import {
  type Extents,
  type LinearAttentionInputs,
  type LinearAttentionOptions,
  scaleOf,
} from "./problem.ts";
import { LINEAR_ATTENTION } from "./shaders.ts";

const IN_REGISTERS = LINEAR_ATTENTION.kernel("linear_attention_in_registers");
const IN_REGISTERS_BACKWARD = LINEAR_ATTENTION.kernel("linear_attention_in_registers_backward");

/** What suits a software adapter, whose loads cost as much as 60 multiplications: whole states in registers. */
const SOFTWARE = {
  /** Numbers of a state that an invocation holds: twice as many take four times as long to compile. */
  cells: 256,
  /** Heads of all sequences that keep all cores busy. */
  leastUnits: 16,
  /** What the backward pass may note of states. */
  historyBytes: 32 * 2 ** 20,
  workgroupSize: 8,
};
/** Tensors that the backward kernel binds. */
const BINDINGS = 13;

/**
 * Whether a call is faster token by token with whole states in registers: small states of many sequences
 * that have a decay for each key, on a software adapter.
 */
export function fitsRegisters(
  gpu: Gpu,
  extents: Extents,
  { query, bonus }: LinearAttentionInputs,
  { chunkSize, workspaceBytes, segments }: LinearAttentionOptions,
): boolean {
  const { batch, time, groups, heads, keyDim, valueDim, decay } = extents;
  const historyBytes = 4 * batch * heads * time * keyDim * valueDim;
  return gpu.adapter.software && decay === "key" && bonus === undefined && groups === heads &&
    query.dtype === "f32" && (chunkSize ?? workspaceBytes ?? segments) === undefined &&
    keyDim % 4 === 0 && valueDim % 4 === 0 && keyDim * valueDim > 0 &&
    keyDim * valueDim <= SOFTWARE.cells && batch * heads >= SOFTWARE.leastUnits &&
    2 * time < LOOP_ITERATIONS &&
    historyBytes <= Math.min(SOFTWARE.historyBytes, gpu.bindingLimit) &&
    gpu.device.limits.maxStorageBuffersPerShaderStage >= BINDINGS;
}

function dispatchOf(
  { batch, time, heads, keyDim, valueDim }: Extents,
  options: LinearAttentionOptions,
): Pick<Dispatch, "constants" | "uniform" | "workgroups"> {
  const { workgroupSize: WORKGROUP_SIZE } = SOFTWARE;
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
