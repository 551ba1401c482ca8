import {
  checkRank,
  checkTensor,
  floatBits,
  type Gpu,
  kernel,
  LOOP_ITERATIONS,
  type Tensor,
  withSubgroups,
} from "../gpu/mod.ts";
import crossEntropyBackwardSource from "./cross_entropy_backward.wgsl" with { type: "text" };
import crossEntropySource from "./cross_entropy.wgsl" with { type: "text" };
import joinLanes from "./join_lanes.wgsl" with { type: "text" };
import joinLanesSubgroups from "./join_lanes_subgroups.wgsl" with { type: "text" };

const CROSS_ENTROPY = {
  workgroup: kernel("cross_entropy", `${crossEntropySource}\n${joinLanes}`),
  subgroups: kernel(
    "cross_entropy",
    withSubgroups(`${crossEntropySource}\n${joinLanesSubgroups}`),
  ),
};
const CROSS_ENTROPY_BACKWARD = kernel("cross_entropy_backward", crossEntropyBackwardSource);

/** The label of a position that is not scored. */
export const IGNORED = 0xffffffff;

/** How a workgroup is shared between rows; see README.md. */
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

/** What {@linkcode crossEntropy} takes. */
export interface CrossEntropyInputs {
  /** `[rows, vocabulary]`. */
  readonly logits: Tensor;
  /** `[rows]`, u32; {@linkcode IGNORED}, or any label past the vocabulary, is not scored. */
  readonly labels: Tensor;
  /** `[rows]`: what each row's loss is multiplied by; left out, 1. */
  readonly rowWeights?: Tensor;
}

/** What {@linkcode crossEntropy} returns. */
export interface CrossEntropyOutputs {
  /** The loss of each row in nats, 0 where it is not scored: `[rows]`. */
  readonly loss: Tensor;
  /** `log Σ exp(logits)` of each scored row, for the backward pass: `[rows]`. */
  readonly logSumExp: Tensor;
  /** 1 where the label is the first of the row's largest logits, else 0: `[rows]`, u32. */
  readonly correct: Tensor;
}

function checkInputs(op: string, { logits, labels, rowWeights }: CrossEntropyInputs): number[] {
  checkRank(op, "logits", logits, ["rows", "vocabulary"]);
  checkTensor(op, "logits", logits, logits.shape);
  const [rows, vocabulary] = logits.shape;
  checkTensor(op, "labels", labels, [rows], "u32");
  if (rowWeights) checkTensor(op, "rowWeights", rowWeights, [rows]);
  return [rows, vocabulary];
}

/**
 * Softmax cross-entropy of each row: `log Σ exp(logits) − logits[label]`, by an online softmax
 * (Milakov & Gimelshein 2018); probabilities are never stored.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function crossEntropy(gpu: Gpu, inputs: CrossEntropyInputs): CrossEntropyOutputs {
  const [rows, vocabulary] = checkInputs("crossEntropy", inputs);
  const { logits, labels, rowWeights } = inputs;
  const loss = gpu.empty([rows]);
  const logSumExp = gpu.empty([rows]);
  const correct = gpu.empty([rows], "u32");
  const { LANES, ROWS, joined } = rowTiling(gpu, vocabulary);
  gpu.dispatch(CROSS_ENTROPY[joined], {
    constants: { LANES, ROWS, WEIGHTED: rowWeights !== undefined },
    uniform: [rows, vocabulary],
    read: { logits, labels, rowWeights: rowWeights ?? logits },
    write: { loss, logSumExp, correct },
    workgroups: Math.ceil(rows / ROWS),
  });
  return { loss, logSumExp, correct };
}

/** What {@linkcode crossEntropyBackward} takes. */
export interface CrossEntropyBackwardInputs extends CrossEntropyInputs {
  /** From the forward pass: `[rows]`. */
  readonly logSumExp: Tensor;
}

/** Options of {@linkcode crossEntropyBackward}. */
export interface CrossEntropyBackwardOptions {
  /**
   * The gradient into each row's loss: 1 / (scored rows) makes it their mean. 1 / rows unless told;
   * a new value costs no new pipeline.
   */
  readonly scale?: number;
}

/** What {@linkcode crossEntropyBackward} returns. */
export interface CrossEntropyGradients {
  /** `[rows, vocabulary]`, 0 in rows that are not scored. */
  readonly logitsGradient: Tensor;
}

/**
 * The gradient of `scale · Σ loss`: `scale · rowWeight · (softmax(logits) − onehot(label))`.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function crossEntropyBackward(
  gpu: Gpu,
  inputs: CrossEntropyBackwardInputs,
  options: CrossEntropyBackwardOptions = {},
): CrossEntropyGradients {
  const [rows, vocabulary] = checkInputs("crossEntropyBackward", inputs);
  const { logits, labels, logSumExp, rowWeights } = inputs;
  checkTensor("crossEntropyBackward", "logSumExp", logSumExp, [rows]);
  const logitsGradient = gpu.empty([rows, vocabulary]);
  gpu.dispatch(CROSS_ENTROPY_BACKWARD, {
    constants: { WHOLE: vocabulary % 4 === 0, WEIGHTED: rowWeights !== undefined },
    uniform: [rows, vocabulary, floatBits(options.scale ?? 1 / rows)],
    read: { logits, labels, logSumExp, rowWeights: rowWeights ?? logSumExp },
    write: { logitsGradient },
    workgroups: Math.ceil(logits.size / 256),
  });
  return { logitsGradient };
}
