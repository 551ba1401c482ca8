import type { Dispatch, Gpu, Tensor } from "../gpu/mod.ts";
import type { Gradients, Inputs } from "./chunked.ts";
import type { Plan } from "./plan.ts";
import { DELTA_RULE } from "./shaders.ts";

const IN_REGISTERS = DELTA_RULE.kernel("delta_rule_in_registers");
const IN_REGISTERS_BACKWARD = DELTA_RULE.kernel("delta_rule_in_registers_backward");

/** What the backward pass notes of each token: the state that is written to, and what is written. */
function historyShape({ stateShape }: Plan, time: number): number[] {
  const [sequences, heads, keyDim, valueDim] = stateShape;
  return [sequences, heads, time, keyDim + 1, valueDim];
}

function dispatchOf(
  plan: Plan,
  { value }: Inputs,
): Pick<Dispatch, "constants" | "uniform" | "workgroups"> {
  const { stateShape: [sequences, heads, keyDim, valueDim], conditions, scale } = plan;
  const { workgroupSize: WORKGROUP_SIZE } = plan;
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
