import { rowTiling } from "../common/rows.ts";
import {
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  finite,
  type Gpu,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { LOSS } from "./shaders.ts";

const CROSS_ENTROPY = LOSS.kernel("cross_entropy");
const CROSS_ENTROPY_BACKWARD = LOSS.kernel("cross_entropy_backward");

/** The label of a position that is not scored. */
export const IGNORED = 0xffffffff;

/** Names of inputs; an op and its gradients may be handed the same, with what the op gave. */
const INPUTS = ["logits", "labels", "rowWeights", "loss", "correct", "logSumExp"];

/** What {@linkcode crossEntropy} takes. */
export interface CrossEntropyInputs {
  /** `[rows, vocabulary]`. */
  readonly logits: Tensor;
  /** `[rows]`, u32; {@linkcode IGNORED}, or any label past the vocabulary, is not scored. */
  readonly labels: Tensor<"u32">;
  /** `[rows]`: what each row's loss is multiplied by; left out, 1. */
  readonly rowWeights?: Tensor;
}

/** What {@linkcode crossEntropy} returns. */
export interface CrossEntropyOutputs extends Disposable {
  /** The loss of each row in nats, 0 where it is not scored: `[rows]`. */
  readonly loss: Tensor;
  /** `log Σ exp(logits)` of each scored row, for the backward pass: `[rows]`. */
  readonly logSumExp: Tensor;
  /** 1 where the label is the first of the row's largest logits, else 0: `[rows]`, u32. */
  readonly correct: Tensor<"u32">;
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
  checkNames("crossEntropy", inputs, INPUTS);
  const [rows, vocabulary] = checkInputs("crossEntropy", inputs);
  const { logits, labels, rowWeights } = inputs;
  const loss = gpu.empty([rows]);
  const logSumExp = gpu.empty([rows]);
  const correct = gpu.empty([rows], "u32");
  const tiling = rowTiling(gpu, vocabulary);
  gpu.dispatch(CROSS_ENTROPY, {
    constants: { ...tiling },
    uniform: { rows, vocabulary },
    read: { logits, labels, rowWeights },
    write: { loss, logSumExp, correct },
    workgroups: Math.ceil(rows / tiling.ROWS),
  });
  return results({ loss, logSumExp, correct });
}

/** What {@linkcode crossEntropyBackward} takes. */
export interface CrossEntropyBackwardInputs extends CrossEntropyInputs {
  /** From the forward pass: `[rows]`. */
  readonly logSumExp: Tensor;
}

/** Options of {@linkcode crossEntropyBackward}. */
export interface CrossEntropyBackwardOptions {
  /**
   * The gradient into each row's loss: 1 / (scored rows) makes it their mean. 1 / rows by default;
   * a new value costs no new pipeline.
   */
  readonly scale?: number;
}

/** What {@linkcode crossEntropyBackward} returns. */
export interface CrossEntropyGradients extends Disposable {
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
  checkNames("crossEntropyBackward", inputs, INPUTS);
  checkOptions("crossEntropyBackward", options, { scale: finite });
  const [rows, vocabulary] = checkInputs("crossEntropyBackward", inputs);
  const { logits, labels, logSumExp, rowWeights } = inputs;
  checkTensor("crossEntropyBackward", "logSumExp", logSumExp, [rows]);
  const logitsGradient = gpu.empty([rows, vocabulary]);
  gpu.dispatch(CROSS_ENTROPY_BACKWARD, {
    constants: { WHOLE: vocabulary % 4 === 0 },
    uniform: { rows, vocabulary, scale: options.scale ?? 1 / Math.max(1, rows) },
    read: { logits, labels, logSumExp, rowWeights },
    write: { logitsGradient },
    workgroups: Math.ceil(logits.size / 256),
  });
  return results({ logitsGradient });
}
