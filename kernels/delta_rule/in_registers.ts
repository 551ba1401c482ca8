import { type Dispatch, type Gpu, LOOP_ITERATIONS, type Tensor } from "../gpu/mod.ts";
import type { Gradients, Inputs } from "./chunked.ts";
import type { DeltaRuleOptions, Plan } from "./plan.ts";
import { DELTA_RULE } from "./shaders.ts";

const IN_REGISTERS = DELTA_RULE.kernel("delta_rule_in_registers");
const IN_REGISTERS_BACKWARD = DELTA_RULE.kernel("delta_rule_in_registers_backward");

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
const BINDINGS = 15;

/** What the backward pass notes of each token: the state that is written to, and what is written. */
function historyShape({ stateShape }: Plan, time: number): number[] {
  const [sequences, heads, keyDim, valueDim] = stateShape;
  return [sequences, heads, time, keyDim + 1, valueDim];
}

/**
 * Whether a call is faster token by token with whole states in registers: small states of many sequences,
 * on a software adapter.
 */
export function fitsRegisters(
  gpu: Gpu,
  plan: Plan,
  { value }: Inputs,
  { chunkSize, workspaceBytes, segments }: DeltaRuleOptions,
): boolean {
  const { stateShape: [sequences, heads, keyDim, valueDim], keyHeads, conditions } = plan;
  const time = value.shape[1];
  const historyBytes = 4 *
    historyShape(plan, time).reduce((product, extent) => product * extent, 1);
  return gpu.adapter.software && !conditions.LOW_RANK && keyHeads === heads &&
    (chunkSize ?? workspaceBytes ?? segments) === undefined &&
    keyDim % 4 === 0 && valueDim % 4 === 0 && keyDim * valueDim > 0 &&
    keyDim * valueDim <= SOFTWARE.cells && sequences * heads >= SOFTWARE.leastUnits &&
    2 * time < LOOP_ITERATIONS &&
    historyBytes <= Math.min(SOFTWARE.historyBytes, gpu.bindingLimit) &&
    gpu.device.limits.maxStorageBuffersPerShaderStage >= BINDINGS;
}

function dispatchOf(
  plan: Plan,
  { value }: Inputs,
): Pick<Dispatch, "constants" | "uniform" | "workgroups"> {
  const { stateShape: [sequences, heads, keyDim, valueDim], conditions, scale } = plan;
  const { workgroupSize: WORKGROUP_SIZE } = SOFTWARE;
  return {
    constants: {
      DECAYED: conditions.DECAYED,
      PER_CHANNEL: conditions.PER_CHANNEL,
      WORKGROUP_SIZE,
      KEY_VECTORS: keyDim / 4,
      VALUE_VECTORS: valueDim / 4,
    },
    uniform: { sequences, time: value.shape[1], heads, scale },
    workgroups: Math.ceil(sequences * heads / WORKGROUP_SIZE),
  };
}

/** The output, and the final state from the initial one. */
export function workInRegisters(
  gpu: Gpu,
  plan: Plan,
  inputs: Inputs,
  write: { readonly output: Tensor; readonly finalState: Tensor },
): void {
  const { query, key, value, beta, logDecay, initialState } = inputs;
  const read = { query, key, value, beta, logDecay, initialState };
  gpu.dispatch(IN_REGISTERS, { ...dispatchOf(plan, inputs), read, write });
}

/** The gradients of {@linkcode workInRegisters}; the states are computed anew. */
export function workInRegistersBackward(
  gpu: Gpu,
  plan: Plan,
  inputs: Inputs,
  given: { readonly outputGradient: Tensor; readonly finalStateGradient?: Tensor },
  gradients: Omit<Gradients, "state"> & { readonly state?: Tensor },
): void {
  const { query, key, value, beta, logDecay, initialState } = inputs;
  const { outputGradient, finalStateGradient } = given;
  using history = gpu.empty(historyShape(plan, value.shape[1]));
  gpu.dispatch(IN_REGISTERS_BACKWARD, {
    ...dispatchOf(plan, inputs),
    read: { query, key, value, beta, logDecay, initialState, outputGradient, finalStateGradient },
    write: {
      history,
      queryGradient: gradients.query,
      keyGradient: gradients.key,
      valueGradient: gradients.value,
      betaGradient: gradients.beta,
      logDecayGradient: gradients.logDecay,
      initialStateGradient: gradients.state,
    },
  });
}
