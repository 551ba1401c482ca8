import { type Measured, type MeasuredInputs, measuredOn } from "../common/measured.ts";
import { deltaRule, deltaRuleBackward, type DeltaRuleInputs } from "./delta_rule.ts";
import { rwkv7, rwkv7Backward, type Rwkv7Inputs } from "./rwkv7.ts";
import { DELTA_RULE_PASSES, type DeltaRuleProblem } from "./tiling.ts";

/** What the family's tunables are measured on. */
export const DELTA_RULE_MEASURED: readonly Measured[] = [
  measuredOn(DELTA_RULE_PASSES.forward, (gpu, problem, make) => {
    if (problem.rule === "rwkv7") {
      const inputs = rwkv7Of(problem, make);
      return () => rwkv7(gpu, inputs);
    }
    const inputs = deltaOf(problem, make);
    return () => deltaRule(gpu, inputs);
  }),
  measuredOn(DELTA_RULE_PASSES.backward, (gpu, problem, make) => {
    if (problem.rule === "rwkv7") {
      const inputs = rwkv7Of(problem, make);
      return () => rwkv7Backward(gpu, { ...inputs, outputGradient: inputs.value });
    }
    const inputs = deltaOf(problem, make);
    return () => deltaRuleBackward(gpu, { ...inputs, outputGradient: inputs.value });
  }),
];

function deltaOf(problem: DeltaRuleProblem, make: MeasuredInputs): DeltaRuleInputs {
  const { batch, time, heads, keyHeads, keyDim, valueDim, decay } = problem;
  const unit = Math.sqrt(3 / Math.max(1, keyDim)); // keys of length about 1
  return {
    query: make.tensor([batch, time, keyHeads, keyDim]),
    key: make.tensor([batch, time, keyHeads, keyDim], -unit, unit),
    value: make.tensor([batch, time, heads, valueDim]),
    beta: make.tensor([batch, time, heads], 0, 1),
    ...(decay === "none" ? {} : {
      logDecay: make.tensor([batch, time, heads, ...(decay === "key" ? [keyDim] : [])], -0.1, 0),
    }),
  };
}

function rwkv7Of(
  { batch, time, heads, keyDim, valueDim }: DeltaRuleProblem,
  make: MeasuredInputs,
): Rwkv7Inputs {
  const unit = Math.sqrt(3 / Math.max(1, keyDim));
  const keys = [batch, time, heads, keyDim];
  return {
    receptance: make.tensor(keys),
    logDecay: make.tensor(keys, -0.6, 0),
    key: make.tensor(keys, -unit, unit),
    value: make.tensor([batch, time, heads, valueDim]),
    a: make.tensor(keys, -unit, unit),
    b: make.tensor(keys, -unit / 2, unit / 2),
  };
}
