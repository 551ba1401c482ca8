import { type Gpu, LOOP_ITERATIONS, type Tensor } from "../gpu/mod.ts";
import type { Inputs } from "./chunked.ts";
import type { Plan } from "./plan.ts";
import { DELTA_RULE } from "./shaders.ts";

const RECURRENT = DELTA_RULE.kernel("delta_rule_recurrent");

/**
 * Works token by token: one invocation per column of the state, a dispatch as long as loops may be.
 * `finalState` is the initial state before.
 *
 * @param unitLength Where it is given, queries and keys are divided by their lengths, whose squares this is
 * added to.
 */
export function workTokenByToken(
  gpu: Gpu,
  plan: Plan,
  inputs: Inputs,
  { output, finalState }: { readonly output: Tensor; readonly finalState: Tensor },
  unitLength?: number,
): void {
  const { scale, heads, keyHeads, keyDim, valueDim, workgroupSize, conditions } = plan;
  const { query, key, value, beta, a, b, logDecay } = inputs;
  const [batch, time] = value.shape;
  const slice = Math.max(1, Math.floor(LOOP_ITERATIONS / (3 * keyDim + 7)));
  const most = gpu.device.limits.maxComputeWorkgroupsPerDimension;
  for (let firstSequence = 0; firstSequence < batch; firstSequence += most) {
    const sequences = Math.min(most, batch - firstSequence);
    for (let begin = 0; begin < time; begin += slice) {
      const end = Math.min(begin + slice, time);
      gpu.dispatch(RECURRENT, {
        constants: { ...conditions, UNIT: unitLength !== undefined, WORKGROUP_SIZE: workgroupSize },
        uniform: {
          firstSequence,
          time,
          begin,
          end,
          heads,
          keyHeads,
          keyDim,
          valueDim,
          scale,
          unitEpsilon: unitLength ?? 0,
        },
        read: { query, key, value, beta, a, b, logDecay },
        write: { output, state: finalState },
        workgroups: [sequences, heads, Math.ceil(valueDim / workgroupSize)],
      });
    }
  }
}
