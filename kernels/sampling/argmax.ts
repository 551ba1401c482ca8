import {
  checkRank,
  checkTensor,
  type Gpu,
  kernel,
  LOOP_ITERATIONS,
  type Tensor,
} from "../gpu/mod.ts";
import argmaxSource from "./argmax.wgsl" with { type: "text" };

const ARGMAX = kernel("argmax", argmaxSource);

/** As many lanes a row as a software adapter runs in lockstep; a GPU has a lane for each vec4, up to 256. */
function rowTiling(gpu: Gpu, columns: number): { LANES: number; ROWS: number } {
  if (gpu.adapter.software && columns <= 16 * LOOP_ITERATIONS) return { LANES: 8, ROWS: 8 };
  const LANES = Math.min(256, 2 ** Math.ceil(Math.log2(Math.max(1, columns / 4))));
  return { LANES, ROWS: Math.max(1, 64 / LANES) };
}

/** What {@linkcode argmax} takes. */
export interface ArgmaxInputs {
  /** `[rows, vocabulary]`. */
  readonly logits: Tensor;
}

/** What {@linkcode argmax} returns. */
export interface ArgmaxOutputs {
  /** `[rows]`, u32. */
  readonly tokens: Tensor;
}

/**
 * The place of the largest logit of each row: the first where several are equal. NaN is never the
 * largest; a row of nothing but NaN gives 0.
 *
 * @throws {RangeError} where `logits` is not an f32 matrix with at least one column.
 */
export function argmax(gpu: Gpu, { logits }: ArgmaxInputs): ArgmaxOutputs {
  checkRank("argmax", "logits", logits, ["rows", "vocabulary"]);
  checkTensor("argmax", "logits", logits, logits.shape);
  const [rows, vocabulary] = logits.shape;
  if (vocabulary === 0) {
    throw new RangeError(
      `Cannot run argmax() as logits must have a column: current shape is [${logits.shape}]`,
    );
  }
  const tokens = gpu.empty([rows], "u32");
  const tiling = rowTiling(gpu, vocabulary);
  gpu.dispatch(ARGMAX, {
    constants: tiling,
    uniform: [rows, vocabulary],
    read: { logits },
    write: { tokens },
    workgroups: Math.ceil(rows / tiling.ROWS),
  });
  return { tokens };
}
