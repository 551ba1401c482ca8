import {
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  type Gpu,
  type OptionRule,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { type Gradients, type Inputs, workBackward, workForward } from "./chunked.ts";
import { workInRegisters, workInRegistersBackward } from "./in_registers.ts";
import { cloneOrZeros, type DeltaRuleOptions, emptyFor, openOutputs, type Plan } from "./plan.ts";
import { workTokenByToken } from "./recurrent.ts";

/** What {@linkcode deltaRule} returns. */
export interface DeltaRuleOutputs extends Disposable {
  /** `[batch, time, heads, valueDim]`. */
  readonly output: Tensor;
  /** `[batch, heads, keyDim, valueDim]`, with segments `[segments, …]`. */
  readonly finalState: Tensor;
}

/** One of the two rules, whose inputs have names of their own. */
export interface Rule<Given> {
  /** Names of the inputs that have a row per token. */
  readonly tokens: readonly string[];
  /** What the options are held to where it works token by token; the scale's value is planned with. */
  readonly stepRules: Readonly<Record<string, OptionRule>>;
  /** The inputs by the names that both rules share. */
  inputs(given: Given): Inputs;
  /** How `op` is laid out. @throws {RangeError} where a shape or an option does not fit. */
  plan(op: string, gpu: Gpu, inputs: Inputs, options: DeltaRuleOptions): Plan;
}

/** Refuses unknown inputs; an op and its gradients may be handed the same. */
function checkInputNames<Given>(op: string, rule: Rule<Given>, given: Given): void {
  const states = ["initialState", "outputGradient", "finalStateGradient"];
  checkNames(op, given as object, [...rule.tokens, ...states]);
}

/** The output and the final state, chunk by chunk or token by token, as is faster. */
export function runChunked<Given>(
  rule: Rule<Given>,
  op: string,
  gpu: Gpu,
  given: Given,
  options: DeltaRuleOptions,
): DeltaRuleOutputs {
  checkInputNames(op, rule, given);
  const inputs = rule.inputs(given);
  const plan = rule.plan(op, gpu, inputs, options);
  if (plan.inRegisters) {
    const write = { output: gpu.empty(inputs.value.shape), finalState: gpu.empty(plan.stateShape) };
    workInRegisters(gpu, plan, inputs, write);
    return results(write);
  }
  const outputs = openOutputs(gpu, plan, inputs);
  workForward(gpu, plan, inputs, outputs);
  return results(outputs);
}

/** Options of {@linkcode deltaRuleRecurrent} and {@linkcode deltaRuleStep}. */
export interface DeltaRuleStepOptions {
  /** Multiplies the query. @default 1/√keyDim */
  readonly scale?: number;
  /**
   * Where it is given, each query and key is divided by its length first, `x / √(|x|² + unitLength)`, as
   * DeltaNet does (Yang et al. 2024, section 3).
   */
  readonly unitLength?: number;
  /** Whether the state is overwritten: `finalState` is its memory then. @default false */
  readonly inPlace?: boolean;
}

/** The same token by token. */
export function runTokenByToken<Given>(
  rule: Rule<Given>,
  op: string,
  gpu: Gpu,
  given: Given,
  options: DeltaRuleStepOptions,
): DeltaRuleOutputs {
  checkInputNames(op, rule, given);
  checkOptions<Record<string, unknown>>(op, { ...options }, rule.stepRules);
  const { unitLength, inPlace = false, ...rest } = options;
  const inputs = rule.inputs(given);
  const plan = rule.plan(op, gpu, inputs, rest);
  const { value, initialState } = inputs;
  const outputs = inPlace && initialState
    ? { output: emptyFor(gpu, plan)(value), finalState: initialState.reshape(plan.stateShape) }
    : openOutputs(gpu, plan, inputs);
  workTokenByToken(gpu, plan, inputs, outputs, unitLength);
  return results(outputs);
}

/** One token, from the state before it. */
export function runStep<Given>(
  rule: Rule<Given & { readonly initialState?: Tensor }>,
  op: string,
  gpu: Gpu,
  given: Given & { readonly value: Tensor; readonly state: Tensor },
  options: DeltaRuleStepOptions,
): DeltaRuleOutputs {
  checkNames(op, given, [...rule.tokens, "state"]);
  const { state, ...tokens } = given;
  const { value } = given;
  checkRank(op, "value", value, ["batch", "1", "heads", "valueDim"]);
  checkTensor(op, "value", value, value.shape.with(1, 1));
  return runTokenByToken(rule, op, gpu, { ...tokens as Given, initialState: state }, options);
}

/** The gradients of what is given, the state's only where there was an initial one. */
export function runBackward<Given>(
  rule: Rule<Given>,
  op: string,
  gpu: Gpu,
  given: Given & { readonly outputGradient: Tensor; readonly finalStateGradient?: Tensor },
  options: DeltaRuleOptions,
): Omit<Gradients, "state"> & { readonly state?: Tensor } {
  checkInputNames(op, rule, given);
  const inputs = rule.inputs(given);
  const plan = rule.plan(op, gpu, inputs, options);
  const { outputGradient, finalStateGradient } = given;
  checkTensor(op, "outputGradient", outputGradient, inputs.value.shape);
  if (finalStateGradient) {
    checkTensor(op, "finalStateGradient", finalStateGradient, plan.stateShape);
  }
  const empty = emptyFor(gpu, plan);
  const { query, key, value, beta, a, b, logDecay } = inputs;
  const gradients = {
    query: empty(query),
    key: empty(key),
    value: empty(value),
    beta: beta && empty(beta),
    a: a && empty(a),
    b: b && empty(b),
    logDecay: logDecay && empty(logDecay),
  };
  if (plan.inRegisters) {
    const state = inputs.initialState && gpu.empty(plan.stateShape);
    workInRegistersBackward(gpu, plan, inputs, given, { ...gradients, state });
    return { ...gradients, state };
  }
  const state = cloneOrZeros(gpu, finalStateGradient, plan.stateShape);
  workBackward(gpu, plan, inputs, outputGradient, { ...gradients, state });
  if (inputs.initialState !== undefined) return { ...gradients, state };
  state[Symbol.dispose]();
  return gradients;
}
