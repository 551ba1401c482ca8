/** The two rules of the family as tests call them, so that what holds for both is written once. */
import {
  deltaRule,
  deltaRuleBackward,
  deltaRuleRecurrent,
  deltaRuleStep,
  rwkv7,
  rwkv7Backward,
  rwkv7Recurrent,
  rwkv7Step,
} from "../../../kernels/delta_rule/mod.ts";
import {
  type DeltaRuleArrays,
  deltaRuleBackwardReference,
  deltaRuleReference,
  type DeltaRuleShape,
  type Rwkv7Arrays,
  rwkv7BackwardReference,
  rwkv7Reference,
} from "../../../kernels/delta_rule/reference.ts";
import { elementCount, type Gpu, type Tensor } from "../../../kernels/gpu/mod.ts";
import { assertClose, normals, testGpu, uniforms } from "../../testing.ts";

/** What is run, and on which inputs. */
export interface Case {
  batch?: number;
  time: number;
  heads?: number;
  keyHeads?: number;
  keyDim: number;
  valueDim: number;
  /** Log decays are uniform in [decay, 0], or made by a function of their number and that of a token. */
  decay?: number | ((count: number, perToken: number) => Float32Array);
  perChannel?: boolean;
  scale?: number;
  segments?: number[];
  fresh?: boolean;
}

export type Tensors = Record<string, Tensor>;

/** Inputs of a rule, and the options that go with them. */
export interface Problem {
  readonly rule: Rule;
  readonly shapes: Readonly<Record<string, number[]>>;
  readonly arrays: Record<string, Float32Array>;
  readonly options: { scale?: number; segments?: number[] };
}

/** A rule's functions, all by the names that both rules share. */
export interface Rule {
  readonly name: "deltaRule" | "rwkv7";
  /** The inputs that have a time axis. */
  readonly tokens: readonly string[];
  readonly inputs: (test: Case, shapes: Shapes) => Inputs;
  readonly forward: Op;
  readonly backward: Op;
  readonly recurrent: Op;
  readonly step: Op;
  readonly reference: (problem: Problem) => Record<string, Float64Array>;
  readonly gradientReference: (problem: Problem) => Record<string, Float64Array>;
}

type Inputs = Record<string, [shape: number[], data: Float32Array]>;

interface Shapes {
  readonly key: number[];
  readonly value: number[];
  readonly beta: number[];
}

// deno-lint-ignore no-explicit-any
type Op = (gpu: Gpu, inputs: any, options?: object) => Tensors;

const DELTA_RULE: Rule = {
  name: "deltaRule",
  tokens: ["query", "key", "value", "beta", "logDecay"],
  inputs({ keyDim, decay, perChannel }, { key, value, beta }): Inputs {
    const shape = perChannel ? [...beta, keyDim] : beta;
    return {
      query: [key, normals(1, elementCount(key))],
      key: [key, unitRows(normals(2, elementCount(key)), keyDim)],
      value: [value, normals(3, elementCount(value))],
      beta: [beta, uniforms(4, elementCount(beta), 0, 2)],
      ...(decay !== undefined && { logDecay: [shape, logDecays(decay, shape)] }),
    };
  },
  forward: deltaRule as unknown as Op,
  backward: deltaRuleBackward as unknown as Op,
  recurrent: deltaRuleRecurrent as unknown as Op,
  step: deltaRuleStep as unknown as Op,
  reference: (problem) => deltaRuleReference(...referenceArguments(problem)),
  gradientReference: (problem) => deltaRuleBackwardReference(...referenceArguments(problem)),
};

const RWKV7: Rule = {
  name: "rwkv7",
  tokens: ["receptance", "logDecay", "key", "value", "a", "b"],
  /** a and b as RWKV-7 makes them: the removal key κ, |κ| = 1, negated, and κ times its rate in [0, 1]. */
  inputs({ keyDim, decay = 0 }, { key, value }): Inputs {
    const count = elementCount(key);
    const removal = unitRows(normals(9, count), keyDim);
    const rate = uniforms(10, count);
    return {
      receptance: [key, normals(1, count, keyDim ** -0.5)],
      logDecay: [key, logDecays(decay, key)],
      key: [key, normals(2, count, keyDim ** -0.5)],
      value: [value, normals(3, elementCount(value))],
      a: [key, removal.map((x) => -x)],
      b: [key, removal.map((x, i) => x * rate[i])],
    };
  },
  forward: rwkv7 as unknown as Op,
  backward: rwkv7Backward as unknown as Op,
  recurrent: rwkv7Recurrent as unknown as Op,
  step: rwkv7Step as unknown as Op,
  reference: (problem) => rwkv7Reference(...referenceArguments(problem)),
  gradientReference: (problem) => rwkv7BackwardReference(...referenceArguments(problem)),
};

/** The arrays of either rule. */
type Arrays = DeltaRuleArrays & Rwkv7Arrays & { readonly outputGradient: Float32Array };

/** The arguments of the references; their types ask for arrays of one rule, which are there. */
function referenceArguments(
  { rule, shapes, arrays, options }: Problem,
): [Arrays, DeltaRuleShape, number] {
  const { segments, scale = rule.name === "rwkv7" ? 1 : shapes.key[3] ** -0.5 } = options;
  const extents = { key: shapes.key, value: shapes.value, segments };
  return [arrays as unknown as Arrays, extents, scale];
}

/** Each way in which the family decays, with the part of a {@linkcode Case} that asks for it. */
export const FORMS: readonly { title: string; rule: Rule; form: Partial<Case> }[] = [
  { title: "deltaRule() with a decay per head", rule: DELTA_RULE, form: {} },
  { title: "deltaRule() with a decay per channel", rule: DELTA_RULE, form: { perChannel: true } },
  { title: "rwkv7()", rule: RWKV7, form: {} },
];

/** The rules by name. */
export const RULES = { deltaRule: DELTA_RULE, rwkv7: RWKV7 };

/** The inputs of a case, with an initial state unless it is fresh, and gradients. */
export function makeProblem(rule: Rule, test: Case): Problem {
  const { batch = 1, time, heads = 1, keyHeads = heads, keyDim, valueDim, segments } = test;
  const sequences = segments ? segments.length - 1 : batch;
  const value = [batch, time, heads, valueDim];
  const state = [sequences, heads, keyDim, valueDim];
  const inputs = {
    ...rule.inputs(test, {
      key: [batch, time, keyHeads, keyDim],
      value,
      beta: [batch, time, heads],
    }),
    outputGradient: [value, normals(5, elementCount(value))],
    finalStateGradient: [state, normals(6, elementCount(state))],
    ...(!test.fresh && { initialState: [state, normals(7, elementCount(state))] }),
  } as Inputs;
  const entries = Object.entries(inputs);
  return {
    rule,
    shapes: Object.fromEntries(entries.map(([name, [shape]]) => [name, shape])),
    arrays: Object.fromEntries(entries.map(([name, [, data]]) => [name, data])),
    options: { scale: test.scale, segments },
  };
}

function logDecays(decay: NonNullable<Case["decay"]>, shape: readonly number[]): Float32Array {
  const count = elementCount(shape);
  if (typeof decay === "number") return uniforms(8, count, decay, 0);
  return decay(count, count / (shape[0] * shape[1]));
}

function unitRows(rows: Float32Array, width: number): Float32Array {
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width);
    const length = Math.hypot(...row);
    row.forEach((x, i) => row[i] = x / length);
  }
  return rows;
}

/** All inputs of a problem on the GPU. */
export function upload(gpu: Gpu, { shapes, arrays }: Problem): Tensors {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, data]) => [name, gpu.tensor(shapes[name], data)]),
  );
}

/** Frees tensors. */
export function release(tensors: Tensors): void {
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
}

/** Reads what an op returned, and frees it. */
export async function take(gpu: Gpu, results: Tensors): Promise<Record<string, Float32Array>> {
  const values = await gpu.read(Object.values(results));
  release(results);
  return Object.fromEntries(
    Object.keys(results).map((name, i) => [name, values[i] as Float32Array]),
  );
}

/** Outputs, states and gradients of a problem. */
export async function runAll(
  gpu: Gpu,
  problem: Problem,
  options: object = {},
): Promise<Record<string, Float32Array>> {
  const { rule } = problem;
  const tensors = upload(gpu, problem);
  const all = { ...problem.options, ...options };
  const results = { ...rule.forward(gpu, tensors, all), ...rule.backward(gpu, tensors, all) };
  const values = await take(gpu, results);
  release(tensors);
  return values;
}

/** Runs a case, forwards and backwards, and compares all that comes out with the reference. */
export async function assertEqualsReference(
  rule: Rule,
  test: Case,
  bounds = { output: 5e-4, gradient: 1e-3 },
): Promise<void> {
  const gpu = await testGpu();
  const problem = makeProblem(rule, test);
  const actual = await runAll(gpu, problem);
  const expected = { ...rule.reference(problem), ...rule.gradientReference(problem) };
  for (const [name, values] of Object.entries(actual)) {
    const bound = name.endsWith("Gradient") ? bounds.gradient : bounds.output;
    assertClose(values, expected[name], bound, name);
  }
}

/** Rows [begin, end) of a batch of 1, with the state of one of its sequences. */
export function cut(
  gpu: Gpu,
  { rule, shapes, arrays }: Problem,
  begin: number,
  end: number,
  sequence: number,
): Tensors {
  const rows = rule.tokens.filter((name) => name in arrays).map((name) => {
    const [, time, ...rest] = shapes[name];
    const width = arrays[name].length / time;
    const data = arrays[name].subarray(begin * width, end * width);
    return [name, gpu.tensor([1, end - begin, ...rest], data)];
  });
  const [, ...rest] = shapes.initialState;
  const size = elementCount(rest);
  const state = arrays.initialState.subarray(sequence * size, (sequence + 1) * size);
  return { ...Object.fromEntries(rows), initialState: gpu.tensor([1, ...rest], state) };
}
