import type { Gpu } from "../kernels/gpu/mod.ts";
import type { ModelState } from "./state.ts";

/** Tokens of the segments whose memory is looked at. */
const MEASURED_TOKENS = [128, 256] as const;
/**
 * Parameters of a model that is read once at a segment's full length, too: the workspace of its kernels,
 * which has a limit that shorter segments do not reach, is a large part of what it takes.
 */
const SMALL_MODEL = 2 ** 20;

/** Bytes that reading a segment takes besides the weights and the state. */
export interface ReadingBytes {
  /** However long it is. */
  readonly fixed: number;
  /** For each token. */
  readonly ofToken: number;
  /** What a segment takes at most, where that was measured. */
  readonly most: number;
}

/** A model as it is measured. */
interface Measured {
  readonly gpu: Gpu;
  readonly parameterCount: number;
  segmentTokens(): number;
  stateBytes(length: number): number;
  prefill(tokens: Uint32Array): { logits: Disposable; state: ModelState };
}

/** What reading takes, as two short segments show: what it takes beyond grows with the tokens. */
export function measureReading(model: Measured): ReadingBytes {
  const { gpu } = model;
  const bytesAt = (time: number): number => {
    const { current } = gpu.memory;
    gpu.resetPeak();
    const { logits, state } = model.prefill(new Uint32Array(time));
    logits[Symbol.dispose]();
    state[Symbol.dispose]();
    return gpu.memory.peak - current - model.stateBytes(time);
  };
  const [few, many] = MEASURED_TOKENS.map(bytesAt);
  const most = model.parameterCount <= SMALL_MODEL ? bytesAt(model.segmentTokens()) : Infinity;
  gpu.resetPeak();
  const [fewTokens, manyTokens] = MEASURED_TOKENS;
  const ofToken = Math.max(0, many - few) / (manyTokens - fewTokens);
  return { ofToken, fixed: Math.max(0, few - ofToken * fewTokens), most };
}
