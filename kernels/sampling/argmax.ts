import { rowTiling } from "../common/rows.ts";
import { checkNames, checkRank, checkTensor, type Gpu, results, type Tensor } from "../gpu/mod.ts";
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
  /** Written in place of a new tensor: `[rows]`, u32. */
  readonly into?: Tensor<"u32">;
  /**
   * Where the logits' row stands in its sequence: `[1]`, u32. It becomes the token's own position, one
   * more; there must be one row.
   */
  readonly position?: Tensor<"u32">;
  /** With `position`: the last tokens, a ring `[kept]`, u32. The token goes to `position mod kept`. */
  readonly history?: Tensor<"u32">;
}

/** What {@linkcode argmax} returns. */
export interface ArgmaxOutputs extends Disposable {
  /** `[rows]`, u32; {@linkcode NO_TOKEN} for a row that holds a NaN. */
  readonly tokens: Tensor<"u32">;
}

/**
 * The index of the largest logit of each row: the first where several are equal. A row that holds a
 * NaN gives {@linkcode NO_TOKEN}, so that whoever reads the tokens learns of it with no other read.
 * With `into`, `position` and `history` a token chooses the next with no help of the host.
 *
 * @throws {RangeError} where `logits` is not an f32 matrix with at least one column, or another shape
 * does not fit.
 */
export function argmax(gpu: Gpu, inputs: ArgmaxInputs): ArgmaxOutputs {
  checkNames("argmax", inputs, ["logits", "into", "position", "history"]);
  const { logits, into, position, history } = inputs;
  checkRank("argmax", "logits", logits, ["rows", "vocabulary"]);
  checkTensor("argmax", "logits", logits, logits.shape);
  const [rows, vocabulary] = logits.shape;
  if (vocabulary === 0) {
    throw new RangeError(
      `Cannot run argmax() as logits must have a column: current shape is [${logits.shape}]`,
    );
  }
  if (into) checkTensor("argmax", "into", into, [rows], "u32");
  if ((position === undefined) !== (history === undefined)) {
    throw new RangeError("Cannot run argmax() as position and history come together: give both");
  }
  if (position) {
    checkTensor("argmax", "logits", logits, [1, vocabulary]);
    checkTensor("argmax", "position", position, [1], "u32");
  }
  if (history) {
    checkTensor("argmax", "history", history, [Math.max(1, history.size)], "u32");
  }
  const tokens = into ?? gpu.empty([rows], "u32");
  const tiling = rowTiling(gpu, vocabulary);
  gpu.dispatch(ARGMAX, {
    constants: { ...tiling },
    uniform: { rows, vocabulary, kept: history?.size ?? 1 },
    read: { logits },
    write: { tokens, position, history },
    workgroups: Math.ceil(rows / tiling.ROWS),
  });
  return results({ tokens });
}
