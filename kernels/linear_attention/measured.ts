import { type Measured, type MeasuredInputs, measuredOn } from "../common/measured.ts";
import type { FloatType, Tensor } from "../gpu/mod.ts";
import { linearAttention } from "./linear_attention.ts";
import { linearAttentionBackward } from "./linear_attention_backward.ts";
import type { LinearAttentionInputs } from "./problem.ts";
import { LINEAR_ATTENTION_PASSES, type LinearAttentionProblem } from "./tiling.ts";

/** What the family's tunables are measured on. */
export const LINEAR_ATTENTION_MEASURED: readonly Measured[] = [
  measuredOn(LINEAR_ATTENTION_PASSES.forward, (gpu, problem, make) => {
    const inputs = inputsOf(problem, make);
    return () => linearAttention(gpu, inputs);
  }),
  measuredOn(LINEAR_ATTENTION_PASSES.backward, (gpu, problem, make) => {
    const inputs = inputsOf(problem, make);
    return () => linearAttentionBackward(gpu, { ...inputs, outputGradient: inputs.value });
  }),
];

function inputsOf(
  { batch, time, groups, heads, keyDim, valueDim, decay, bonus, dtype }: LinearAttentionProblem,
  make: MeasuredInputs,
): LinearAttentionInputs {
  const type = dtype as FloatType;
  const small = 1 / Math.sqrt(Math.max(1, keyDim));
  const logDecay: { logDecay?: Tensor } = decay === "none" ? {} : {
    logDecay: make.tensor([batch, time, heads, ...(decay === "key" ? [keyDim] : [])], -0.1, 0),
  };
  return {
    query: make.tensor([batch, time, groups, keyDim], -1, 1, type),
    key: make.tensor([batch, time, groups, keyDim], -small, small, type),
    value: make.tensor([batch, time, heads, valueDim], -1, 1, type),
    ...logDecay,
    ...(bonus ? { bonus: make.tensor([heads, keyDim]) } : {}),
  };
}
