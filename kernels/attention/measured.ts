import { type Measured, type MeasuredInputs, measuredOn } from "../common/measured.ts";
import type { FloatType } from "../gpu/mod.ts";
import { flashAttention, flashAttentionBackward } from "./flash_attention.ts";
import { flashAttentionStep } from "./flash_attention_step.ts";
import type { AttentionInputs, AttentionOptions } from "./options.ts";
import { ATTENTION_PASSES, ATTENTION_STEP, type AttentionProblem } from "./tiling.ts";

/** What the family's tunables are measured on. */
export const ATTENTION_MEASURED: readonly Measured[] = [
  measuredOn(ATTENTION_PASSES.forward, (gpu, problem, make) => {
    const inputs = inputsOf(problem, make);
    return () => flashAttention(gpu, inputs, optionsOf(problem));
  }),
  ...[ATTENTION_PASSES.query_gradient, ATTENTION_PASSES.key_gradient].map((tunable) =>
    measuredOn(tunable, (gpu, problem, make) => {
      const inputs = inputsOf(problem, make);
      const { batch, queryTime, heads, valueDim, dtype } = problem;
      const outputGradient = make.tensor(
        [batch, queryTime, heads, valueDim],
        -1,
        1,
        dtype as FloatType,
      );
      const given = { ...inputs, outputGradient };
      const options = optionsOf(problem);
      const { output, logSumExp } = make.keep(flashAttention(gpu, inputs, options));
      return () => flashAttentionBackward(gpu, { ...given, output, logSumExp }, options);
    })
  ),
  measuredOn(ATTENTION_STEP, (gpu, problem, make) => {
    const inputs = inputsOf(problem, make);
    const { window } = optionsOf(problem);
    return () => flashAttentionStep(gpu, inputs, { window });
  }),
];

function inputsOf(problem: AttentionProblem, make: MeasuredInputs): AttentionInputs {
  const { batch, queryTime, heads, dim, keyTime, keyHeads, valueDim } = problem;
  const dtype = problem.dtype as FloatType;
  return {
    query: make.tensor([batch, queryTime, heads, dim], -1, 1, dtype),
    key: make.tensor([batch, keyTime, keyHeads, dim], -1, 1, dtype),
    value: make.tensor([batch, keyTime, keyHeads, valueDim], -1, 1, dtype),
  };
}

function optionsOf({ causal, window, keyTime }: AttentionProblem): AttentionOptions {
  return { causal, ...(causal && window < keyTime ? { window } : {}) };
}
