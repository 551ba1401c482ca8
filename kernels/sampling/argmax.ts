import {
  checkRank,
  checkTensor,
  type Gpu,
  kernel,
  LOOP_ITERATIONS,
  type Tensor,
  withSubgroups,
} from "../gpu/mod.ts";
import argmaxSource from "./argmax.wgsl" with { type: "text" };
import firstLargest from "./first_largest.wgsl" with { type: "text" };
import firstLargestSubgroups from "./first_largest_subgroups.wgsl" with { type: "text" };

const ARGMAX = {
  workgroup: kernel("argmax", `${argmaxSource}\n${firstLargest}`),
  subgroups: kernel("argmax", withSubgroups(`${argmaxSource}\n${firstLargestSubgroups}`)),
};

/** As many lanes a row as a software adapter runs in lockstep; a GPU has a lane for each vec4, up to 256. */
function rowTiling(
  gpu: Gpu,
  columns: number,
): { LANES: number; ROWS: number; joined: "workgroup" | "subgroups" } {
  if (gpu.adapter.software && columns <= 16 * LOOP_ITERATIONS) {
    return { LANES: 8, ROWS: 8, joined: "workgroup" };
  }
  const LANES = Math.min(256, 2 ** Math.ceil(Math.log2(Math.max(1, columns / 4))));
  const ROWS = Math.max(1, 64 / LANES);
  return { LANES, ROWS, joined: gpu.supportsSubgroups && ROWS === 1 ? "subgroups" : "workgroup" };
}

/**
 * What {@linkcode argmax} gives for a row of logits that holds a NaN: no vocabulary has a token of
 * this index.
 */
export const NO_TOKEN = 0xffffffff;

/** What {@linkcode argmax} takes. */
export interface ArgmaxInputs {
  /** `[rows, vocabulary]`. */
  readonly logits: Tensor;
}

/** What {@linkcode argmax} returns. */
export interface ArgmaxOutputs {
  /** `[rows]`, u32; {@linkcode NO_TOKEN} for a row that holds a NaN. */
  readonly tokens: Tensor;
}

/**
 * The index of the largest logit of each row: the first where several are equal. A row that holds a
 * NaN gives {@linkcode NO_TOKEN}, so that whoever reads the tokens learns of it with no other read.
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
  const { LANES, ROWS, joined } = rowTiling(gpu, vocabulary);
  gpu.dispatch(ARGMAX[joined], {
    constants: { LANES, ROWS },
    uniform: [rows, vocabulary],
    read: { logits },
    write: { tokens },
    workgroups: Math.ceil(rows / ROWS),
  });
  return { tokens };
}
