import {
  deltaRule,
  deltaRuleBackward,
  deltaRuleRecurrent,
  deltaRuleStep,
  linearAttention,
  linearAttentionBackward,
  linearAttentionRecurrent,
  linearAttentionStep,
  rwkv7,
  rwkv7Backward,
  rwkv7Recurrent,
  rwkv7Step,
} from "../../../kernels/mod.ts";
import {
  deltaRuleBackwardReference,
  deltaRuleReference,
  rwkv7BackwardReference,
  rwkv7Reference,
} from "../../../kernels/delta_rule/reference.ts";
import {
  linearAttentionBackwardReference,
  linearAttentionReference,
} from "../../../kernels/linear_attention/reference.ts";
import type { Draws } from "../draws.ts";
import { compare, count, type KernelCase, upload } from "./compare.ts";

/** The extents of a recurrence with a matrix state. */
interface Extents {
  readonly batch: number;
  readonly time: number;
  readonly heads: number;
  readonly groups: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly segments: readonly number[] | undefined;
  readonly sequences: number;
}

function extents(draws: Draws): Extents {
  const time = draws.size("time", 140, 0);
  const segments = draws.segments(time);
  const batch = segments ? 1 : draws.size("batch", 3);
  const groups = draws.option("groups", [1, 1, 2]);
  return {
    batch,
    time,
    groups,
    heads: groups * draws.option("heads of a group", [1, 1, 2, 3]),
    keyDim: draws.size("keyDim", 40),
    valueDim: draws.size("valueDim", 40),
    segments,
    sequences: segments ? segments.length - 1 : batch,
  };
}

/** How a chunked op may be asked to work. */
function working(draws: Draws): { chunkSize?: number; workspaceBytes?: number } {
  const chunkSize = draws.option("chunkSize", [undefined, undefined, 16, 32, 64]);
  const workspaceBytes = draws.option("workspaceBytes", [undefined, undefined, 2 ** 18]);
  return {
    ...(chunkSize === undefined ? {} : { chunkSize }),
    ...(workspaceBytes === undefined ? {} : { workspaceBytes }),
  };
}

/** An array or, now and then, nothing. */
function maybe(draws: Draws, name: string, make: () => Float32Array): Float32Array | undefined {
  return draws.option(name, [true, false]) ? make() : undefined;
}

function unitRows(rows: Float32Array, width: number): Float32Array {
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width);
    const length = Math.hypot(...row) || 1;
    row.forEach((x, i) => row[i] = x / length);
  }
  return rows;
}

/** Linear attention whole, with its gradients; token by token where `step`. */
const linear = (how: "chunked" | "recurrent" | "step"): KernelCase => async (gpu, draws) => {
  const e = { ...extents(draws), ...(how === "step" ? { time: 1, segments: undefined } : {}) };
  const { batch, heads, groups, keyDim, valueDim, time } = e;
  const sequences = how === "step" ? batch : e.sequences;
  const segments = e.segments && [...e.segments];
  const perKey = draws.option("decay", ["none", "head", "key"]);
  const rows = [batch, time, heads];
  const shapes = {
    query: [batch, time, groups, keyDim],
    key: [batch, time, groups, keyDim],
    value: [...rows, valueDim],
    logDecay: perKey === "key" ? [...rows, keyDim] : rows,
    bonus: [heads, keyDim],
    initialState: [sequences, heads, keyDim, valueDim],
    outputGradient: [...rows, valueDim],
    finalStateGradient: [sequences, heads, keyDim, valueDim],
  };
  const scale = draws.option("scale", [undefined, 1, 0.3]) ?? keyDim ** -0.5;
  const stated = how === "step" ? true : draws.option("initialState", [true, false]);
  const arrays = {
    query: draws.normals(count(shapes.query)),
    key: draws.normals(count(shapes.key)),
    value: draws.normals(count(shapes.value)),
    logDecay: perKey === "none" ? undefined : draws.logDecays(count(shapes.logDecay)),
    bonus: maybe(draws, "bonus", () => draws.normals(count(shapes.bonus))),
    initialState: stated ? draws.normals(count(shapes.initialState)) : undefined,
  };
  const spread = draws.poison({ query: arrays.query, key: arrays.key, value: arrays.value }, {
    extents: batch,
  });
  using scope = new DisposableStack();
  const { initialState, ...inputs } = upload(gpu, scope, shapes, arrays);
  const shape = { batch, time, heads, groups, keyDim, valueDim, segments, scale };
  const expected = linearAttentionReference(arrays, shape);
  if (how === "step") {
    const outputs = linearAttentionStep(gpu, { ...inputs, state: initialState }, { scale });
    return await compare(gpu, { ...outputs }, expected, { spread });
  }
  if (how === "recurrent") {
    const outputs = linearAttentionRecurrent(gpu, { ...inputs, initialState }, { scale, segments });
    return await compare(gpu, { ...outputs }, expected, { spread });
  }
  const options = { scale, segments, ...working(draws) };
  const outputs = linearAttention(gpu, { ...inputs, initialState }, options);
  await compare(gpu, { ...outputs }, expected, { spread });
  const outer = {
    outputGradient: draws.normals(count(shapes.outputGradient)),
    finalStateGradient: maybe(
      draws,
      "finalStateGradient",
      () => draws.normals(count(shapes.finalStateGradient)),
    ),
  };
  const gradients = linearAttentionBackward(gpu, {
    ...inputs,
    initialState,
    ...upload(gpu, scope, shapes, outer),
  }, options);
  const wanted = linearAttentionBackwardReference({ ...arrays, ...outer }, shape);
  await compare(gpu, { ...gradients }, wanted, { spread });
};

/** The delta rule: keys of length 1, as models make them. */
const delta = (how: "chunked" | "recurrent" | "step"): KernelCase => async (gpu, draws) => {
  const e = { ...extents(draws), ...(how === "step" ? { time: 1, segments: undefined } : {}) };
  const { batch, heads, groups, keyDim, valueDim, time } = e;
  const chunked = how === "chunked";
  const segments = chunked && e.segments ? [...e.segments] : undefined;
  const sequences = segments ? e.sequences : batch;
  const perKey = draws.option("decay", ["none", "head", "key"]);
  const rows = [batch, time, heads];
  const keys = [batch, time, groups, keyDim];
  const states = [sequences, heads, keyDim, valueDim];
  const shapes = {
    query: keys,
    key: keys,
    value: [...rows, valueDim],
    beta: rows,
    logDecay: perKey === "key" ? [...rows, keyDim] : rows,
    initialState: states,
    outputGradient: [...rows, valueDim],
    finalStateGradient: states,
  };
  const scale = draws.option("scale", [undefined, 1, 0.3]) ?? keyDim ** -0.5;
  const stated = how === "step" ? true : draws.option("initialState", [true, false]);
  const arrays = {
    query: draws.normals(count(keys)),
    key: unitRows(draws.normals(count(keys)), keyDim),
    value: draws.normals(count(shapes.value)),
    beta: draws.uniforms(count(rows), 0, draws.option("beta", [1, 1, 2])),
    logDecay: perKey === "none" ? undefined : draws.logDecays(count(shapes.logDecay)),
    initialState: stated ? draws.normals(count(states)) : undefined,
  };
  const { query, key, value, beta } = arrays;
  draws.poison({ query, key, value, beta }, { extents: batch });
  using scope = new DisposableStack();
  const { initialState, ...inputs } = upload(gpu, scope, shapes, arrays);
  const shape = { key: keys, value: shapes.value, segments };
  const expected = deltaRuleReference(arrays, shape, scale);
  const bounds = { value: 5e-4 };
  if (how === "step") {
    const outputs = deltaRuleStep(gpu, { ...inputs, state: initialState }, { scale });
    return await compare(gpu, { ...outputs }, expected, bounds);
  }
  if (how === "recurrent") {
    const outputs = deltaRuleRecurrent(gpu, { ...inputs, initialState }, { scale });
    return await compare(gpu, { ...outputs }, expected, bounds);
  }
  const options = { scale, ...(segments ? { segments } : {}), ...working(draws) };
  await compare(gpu, { ...deltaRule(gpu, { ...inputs, initialState }, options) }, expected, bounds);
  const outer = {
    outputGradient: draws.normals(count(shapes.outputGradient)),
    finalStateGradient: maybe(draws, "finalStateGradient", () => draws.normals(count(states))),
  };
  const gradients = deltaRuleBackward(gpu, {
    ...inputs,
    initialState,
    ...upload(gpu, scope, shapes, outer),
  }, options);
  const wanted = deltaRuleBackwardReference({ ...arrays, ...outer }, shape, scale);
  await compare(gpu, { ...gradients }, wanted);
};

/** RWKV-7 with a and b as its models make them: a removal key of length 1, and it times a rate. */
const rwkv = (how: "chunked" | "recurrent" | "step"): KernelCase => async (gpu, draws) => {
  const e = { ...extents(draws), ...(how === "step" ? { time: 1, segments: undefined } : {}) };
  const { batch, heads, keyDim, valueDim, time } = e;
  const chunked = how === "chunked";
  const segments = chunked && e.segments ? [...e.segments] : undefined;
  const keys = [batch, time, heads, keyDim];
  const values = [batch, time, heads, valueDim];
  const states = [segments ? e.sequences : batch, heads, keyDim, valueDim];
  const shapes = {
    receptance: keys,
    logDecay: keys,
    key: keys,
    value: values,
    a: keys,
    b: keys,
    initialState: states,
    outputGradient: values,
    finalStateGradient: states,
  };
  const removal = unitRows(draws.normals(count(keys)), keyDim);
  const stated = how === "step" ? true : draws.option("initialState", [true, false]);
  const scale = draws.option("scale", [1, 0.5]);
  const arrays = {
    receptance: draws.normals(count(keys), keyDim ** -0.5),
    logDecay: draws.logDecays(count(keys)),
    key: draws.normals(count(keys), keyDim ** -0.5),
    value: draws.normals(count(values)),
    a: removal.map((x) => -x),
    b: removal.map((x) => x * draws.float()),
    initialState: stated ? draws.normals(count(states)) : undefined,
  };
  const { receptance, key, value } = arrays;
  draws.poison({ receptance, key, value }, { extents: batch });
  using scope = new DisposableStack();
  const { initialState, ...inputs } = upload(gpu, scope, shapes, arrays);
  const shape = { key: keys, value: values, segments };
  const expected = rwkv7Reference(arrays, shape, scale);
  const bounds = { value: 5e-4 };
  if (how === "step") {
    const outputs = rwkv7Step(gpu, { ...inputs, state: initialState }, { scale });
    return await compare(gpu, { ...outputs }, expected, bounds);
  }
  if (how === "recurrent") {
    const outputs = rwkv7Recurrent(gpu, { ...inputs, initialState }, { scale });
    return await compare(gpu, { ...outputs }, expected, bounds);
  }
  const options = { scale, ...(segments ? { segments } : {}), ...working(draws) };
  await compare(gpu, { ...rwkv7(gpu, { ...inputs, initialState }, options) }, expected, bounds);
  const outer = {
    outputGradient: draws.normals(count(values)),
    finalStateGradient: maybe(draws, "finalStateGradient", () => draws.normals(count(states))),
  };
  const gradients = rwkv7Backward(gpu, {
    ...inputs,
    initialState,
    ...upload(gpu, scope, shapes, outer),
  }, options);
  const wanted = rwkv7BackwardReference({ ...arrays, ...outer }, shape, scale);
  await compare(gpu, { ...gradients }, wanted);
};

/** Recurrences with a matrix state, in every form. */
export const RECURRENCES: Readonly<Record<string, KernelCase>> = {
  linear_attention: linear("chunked"),
  linear_attention_recurrent: linear("recurrent"),
  linear_attention_step: linear("step"),
  delta_rule: delta("chunked"),
  delta_rule_recurrent: delta("recurrent"),
  delta_rule_step: delta("step"),
  rwkv7: rwkv("chunked"),
  rwkv7_recurrent: rwkv("recurrent"),
  rwkv7_step: rwkv("step"),
};
