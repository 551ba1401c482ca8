import { rowTiling } from "../common/rows.ts";
import { checkRank, checkTensor, type Gpu, results, type Tensor } from "../gpu/mod.ts";
import { SAMPLING } from "./shaders.ts";

const ARGMAX = SAMPLING.kernel("argmax");

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
export interface ArgmaxOutputs extends Disposable {
  /** `[rows]`, u32; {@linkcode NO_TOKEN} for a row that holds a NaN. */
  readonly tokens: Tensor<"u32">;
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
  const tiling = rowTiling(gpu, vocabulary);
  gpu.dispatch(ARGMAX, {
    constants: { ...tiling },
    uniform: { rows, vocabulary },
    read: { logits },
    write: { tokens },
    workgroups: Math.ceil(rows / tiling.ROWS),
  });
  return results({ tokens });
}
