import { checkNames, type Gpu, results, type Tensor } from "../gpu/mod.ts";
import { decayedScores, decaysByHead, spanHeads } from "./by_head.ts";
import { workInRegisters } from "./in_registers.ts";
import { isOneChunk, oneChunkOutputs } from "./one_chunk.ts";
import {
  chunkOutputs,
  chunkStates,
  decayToBlocks,
  emptyStates,
  queryKeyScores,
  takeBorder,
} from "./passes.ts";
import {
  checkCall,
  INPUTS,
  isInRegisters,
  type LinearAttentionInputs,
  type LinearAttentionOptions,
  prepare,
  tunedFor,
} from "./problem.ts";

/** What {@linkcode linearAttention} returns. */
export interface LinearAttentionOutputs extends Disposable {
  /** `[batch, time, heads, valueDim]`, stored as `value` is. */
  readonly output: Tensor;
  /**
   * `[batch, heads, keyDim, valueDim]`, with `segments` `[segments, heads, keyDim, valueDim]`; f32. Of no
   * sequence where it may be left out, and was.
   */
  readonly finalState: Tensor;
}

/**
 * Linear attention with a matrix state, chunked and parallel over time:
 * `S_t = exp(g_t) * S_{t-1} + k_t v_tᵀ`, `o_t = scale · q_t S_t`; with a bonus u,
 * `o_t = scale · q_t (S_{t-1} + (u * k_t) v_tᵀ)`.
 *
 * Without decay it is linear attention (Katharopoulos et al. 2020, section 3.3); with a decay per head,
 * RetNet (Sun et al. 2023, eq. 6) and Mamba-2's SSD (Dao & Gu 2024, section 6); with a decay per key,
 * GLA (Yang et al. 2024, section 4) and, with a bonus, RWKV-6 (Peng et al. 2024, section 4).
 *
 * ```ts
 * import { linearAttention, openGpu } from "@lengthwise/lengthwise";
 *
 * await using gpu = await openGpu();
 * using query = gpu.tensor([1, 3, 1, 1], [1, 1, 1]);
 * using value = gpu.tensor([1, 3, 1, 1], [1, 2, 3]);
 * const { output, finalState } = linearAttention(gpu, { query, key: query, value });
 * console.log(await output.read(), await finalState.read()); // [1, 3, 6] and [6]
 * ```
 *
 * @throws {RangeError} where a shape does not fit, saying which was expected.
 */
export function linearAttention(
  gpu: Gpu,
  inputs: LinearAttentionInputs,
  options: LinearAttentionOptions = {},
): LinearAttentionOutputs {
  checkNames("linearAttention", inputs, INPUTS);
  const extents = checkCall("linearAttention", inputs, options);
  const tuned = tunedFor("forward", gpu, extents, inputs);
  if (isInRegisters(tuned, options)) return workInRegisters(gpu, extents, inputs, options);
  using problem = prepare(gpu, "linearAttention", inputs, options, tuned);
  const { value, initialState, rows, heads, keyDim, valueDim, sequences } = problem;
  const output = gpu.empty([rows, heads, problem.valueVectors * 4], value.dtype);
  const stateShape = [sequences, heads, keyDim, valueDim];
  if (options.finalState === false && initialState === undefined && isOneChunk(problem)) {
    oneChunkOutputs(problem, output);
    return results({
      output: problem.cut(output, "value", inputs.value.shape),
      finalState: gpu.empty(stateShape.with(0, 0), "f32"),
    });
  }
  const byHead = decaysByHead(problem);
  const final = emptyStates(problem);
  let border: Tensor | undefined;
  for (const slab of problem.slabs) {
    using decayed = byHead ? spanHeads(problem, slab) : decayToBlocks(problem, slab);
    const { query, key, decays, fromStart } = decayed;
    const ends = { initial: initialState, border, final };
    using states = chunkStates(problem, slab, key, value, decayed, ends, { backward: false });
    border?.[Symbol.dispose]();
    border = takeBorder(problem, final, slab.goesOn);
    using scores = byHead
      ? decayedScores(problem, slab)
      : queryKeyScores(problem, slab, decayed, { transposed: false });
    const inputs = { value, scores, before: { a: query, decays, fromStart, states } };
    chunkOutputs(problem, slab, inputs, output, { reversed: false });
  }
  return results({
    output: problem.cut(output, "value", inputs.value.shape),
    finalState: problem.cut(final, "state", stateShape),
  });
}
