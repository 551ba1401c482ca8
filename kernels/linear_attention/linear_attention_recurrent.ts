import { sumAxis } from "../common/sum_axis.ts";
import { checkNames, type Gpu, LOOP_ITERATIONS, results } from "../gpu/mod.ts";
import type { LinearAttentionOutputs } from "./linear_attention.ts";
import {
  checkCall,
  INPUTS,
  type LinearAttentionInputs,
  type LinearAttentionOptions,
  prepare,
  tunedFor,
} from "./problem.ts";
import { LINEAR_ATTENTION } from "./shaders.ts";

const LINEAR_ATTENTION_RECURRENT = LINEAR_ATTENTION.kernel("linear_attention_recurrent");
/** The most vectors of 4 keys that an invocation holds in registers. */
const VECTORS = 16;
/** Small workgroups: there are few invocations, and each runs long. */
const WORKGROUP_SIZE = 8;

/**
 * {@linkcode linearAttention} token by token, each invocation with a column of the state in
 * registers: what the chunked form is measured against. It takes no `chunkSize`.
 *
 * @throws {RangeError} where a shape does not fit, saying which was expected.
 */
export function linearAttentionRecurrent(
  gpu: Gpu,
  inputs: LinearAttentionInputs,
  options: Omit<LinearAttentionOptions, "chunkSize" | "finalState"> = {},
): LinearAttentionOutputs {
  checkNames("linearAttentionRecurrent", inputs, INPUTS);
  const op = "linearAttentionRecurrent";
  const tuned = tunedFor("forward", gpu, checkCall(op, inputs, options), inputs);
  using problem = prepare(gpu, op, inputs, options, tuned);
  const { rows, heads, groups, sequences, keyVectors, valueVectors, scale } = problem;
  const { query, key, value, logDecay, bonus, initialState, bounds } = problem;
  const longest = bounds.reduce((most, end, s) => Math.max(most, end - (bounds[s - 1] ?? 0)), 0);
  const vectors = Math.min(VECTORS, Math.ceil(keyVectors / 4) * 4);
  const tiles = Math.ceil(keyVectors / vectors);
  const values = valueVectors * 4;
  const final = gpu.empty([sequences, heads, keyVectors * 4, values]);
  if (initialState !== undefined) gpu.copy(initialState, final);
  const partial = gpu.empty([tiles, rows, heads, values]);
  using firstRows = gpu.tensor([bounds.length], bounds, "u32");
  for (let first = 0; first === 0 || first < longest; first += LOOP_ITERATIONS) {
    gpu.dispatch(LINEAR_ATTENTION_RECURRENT, {
      constants: {
        WORKGROUP_SIZE,
        Element: query.dtype,
        VECTORS: vectors,
        PER_KEY: problem.perKey,
      },
      uniform: {
        sequences,
        heads,
        groups,
        keyVectors,
        values,
        tiles,
        rows,
        hasInitial: initialState !== undefined || first > 0,
        scale,
        first,
        last: first + LOOP_ITERATIONS,
      },
      read: { bounds: firstRows, query, key, value, logDecay, bonus },
      write: { partial, state: final },
      workgroups: Math.ceil(sequences * heads * tiles * values / WORKGROUP_SIZE),
    });
  }
  let output = partial;
  if (tiles > 1) {
    output = sumAxis(gpu, partial, [1, tiles, rows * heads * values]);
    partial[Symbol.dispose]();
  }
  return results({
    output: problem.cut(output, "value", inputs.value.shape, value.dtype),
    finalState: problem.cut(final, "state", [
      sequences,
      heads,
      problem.keyDim,
      problem.valueDim,
    ]),
  });
}
