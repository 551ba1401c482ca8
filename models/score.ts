import type { Gpu, Tensor } from "../kernels/gpu/mod.ts";
import { crossEntropy } from "../kernels/loss/mod.ts";
import { argmax } from "../kernels/sampling/mod.ts";
import { F32_BYTES } from "./mixers/mixer.ts";
import { gatherRows, reshape } from "./operations.ts";
import type { Pace } from "./pace.ts";
import type { ReadSegment } from "./prompts.ts";
import { type Due, logitBytes, type Scores, sortScores } from "./scoring.ts";
import { Tape, Variable } from "./tape.ts";

/** What of a model says how likely tokens are. */
export interface Head {
  /** Its GPU. */
  readonly gpu: Gpu;
  /** Its sizes. */
  readonly configuration: { readonly width: number; readonly vocabulary: number };
  /** Logits of hidden rows: `[rows, width] → [rows, vocabulary]`. */
  head(tape: Tape, hidden: Variable): Variable;
}

/**
 * Scores the tokens that are due in the segments of a batch, each before the next one is read.
 *
 * @param options.predictions Whether the likeliest tokens are given too.
 */
export async function scoreSegments(
  model: Head,
  segments: Iterable<ReadSegment>,
  { predictions, pace }: { readonly predictions: boolean; readonly pace: Pace },
): Promise<Scores> {
  const order: number[] = [];
  using results = new DisposableStack();
  const losses: Tensor[] = [];
  const rights: Tensor<"u32">[] = [];
  const likeliest: Tensor<"u32">[] = [];
  for (const { hidden, due, isLast } of segments) {
    if (due.length > 0) {
      order.push(...due.map(({ position }) => position));
      const { loss, correct, predicted } = scoreRows(model, hidden, due, predictions);
      losses.push(results.use(loss));
      rights.push(results.use(correct));
      if (predicted !== undefined) likeliest.push(results.use(predicted));
    }
    if (!isLast) await pace.next();
  }
  const values = await model.gpu.read([...losses, ...rights, ...likeliest]);
  const parts = [0, 1, 2].map((i) => values.slice(i * losses.length, (i + 1) * losses.length));
  return sortScores(order, parts[0], parts[1], parts[2]);
}

/**
 * Loss, correctness and, where asked for, the likeliest token `[due]`; the logits of a part of the
 * positions are there at once.
 */
function scoreRows(
  model: Head,
  hidden: Tensor,
  due: readonly Due[],
  predictions: boolean,
): { loss: Tensor; correct: Tensor<"u32">; predicted?: Tensor<"u32"> } {
  const { gpu, configuration: { width, vocabulary } } = model;
  const atOnce = Math.max(1, Math.floor(logitBytes(gpu) / (F32_BYTES * vocabulary)));
  const loss = gpu.empty([due.length]);
  const correct = gpu.empty([due.length], "u32");
  const predicted = predictions ? gpu.empty([due.length], "u32") : undefined;
  for (let start = 0; start < due.length; start += atOnce) {
    using tape = new Tape(gpu);
    const part = due.slice(start, start + atOnce);
    using indices = gpu.tensor([part.length], part.map(({ row }) => row), "u32");
    using labels = gpu.tensor([part.length], part.map(({ label }) => label), "u32");
    const rows = reshape(tape, new Variable(hidden), [hidden.size / width, width]);
    const logits = model.head(tape, gatherRows(tape, rows, indices));
    const scored = crossEntropy(gpu, { logits: logits.tensor, labels });
    gpu.copy(scored.loss, loss, { destinationOffset: start });
    gpu.copy(scored.correct, correct, { destinationOffset: start });
    for (const tensor of Object.values(scored)) tensor[Symbol.dispose]();
    if (predicted !== undefined) {
      using best = argmax(gpu, { logits: logits.tensor }).tokens;
      gpu.copy(best, predicted, { destinationOffset: start });
    }
  }
  return predicted === undefined ? { loss, correct } : { loss, correct, predicted };
}
