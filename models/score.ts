import type { DataType, Gpu, Tensor } from "../kernels/gpu/mod.ts";
import { crossEntropy } from "../kernels/loss/mod.ts";
import { argmax } from "../kernels/sampling/mod.ts";
import { F32_BYTES } from "./mixers/mixer.ts";
import { gatherRows, reshape } from "./operations.ts";
import type { Pace } from "./pace.ts";
import type { Prompts } from "./prompts.ts";
import { type Batch, type Due, logitBytes, type Scores, sortScores } from "./scoring.ts";
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

/** Positions of a segment whose logits are there at once. */
interface Rows {
  /** Rows of the segment. */
  readonly indices: Tensor<"u32">;
  /** The tokens that are due. */
  readonly labels: Tensor<"u32">;
}

/** What a segment is asked, a part of it after the other: a vocabulary may be large. */
class Questions implements Disposable {
  readonly due: readonly Due[];
  readonly parts: readonly Rows[];

  constructor({ gpu, configuration: { vocabulary } }: Head, due: readonly Due[]) {
    const atOnce = Math.max(1, Math.floor(logitBytes(gpu) / (F32_BYTES * vocabulary)));
    this.due = due;
    this.parts = Array.from({ length: Math.ceil(due.length / atOnce) }, (_, i) => {
      const part = due.slice(i * atOnce, (i + 1) * atOnce);
      const upload = (values: number[]): Tensor<"u32"> => gpu.tensor([part.length], values, "u32");
      return {
        indices: upload(part.map(({ row }) => row)),
        labels: upload(part.map(({ label }) => label)),
      };
    });
  }

  [Symbol.dispose](): void {
    for (const { indices, labels } of this.parts) {
      indices[Symbol.dispose]();
      labels[Symbol.dispose]();
    }
  }
}

/**
 * Scores the tokens that are due in a batch, those of a segment before the next one is read.
 *
 * @param options.predictions Whether the likeliest tokens are given too.
 * @param options.record Whether the batch may be recorded and replayed.
 * @param options.onQueued Called when all is queued and its memory is given back.
 */
export async function scoreBatch(
  model: Head,
  prompts: Prompts,
  batch: Batch,
  { predictions, record, pace, onQueued }: {
    readonly predictions: boolean;
    readonly record: boolean;
    readonly pace: Pace;
    readonly onQueued?: () => void;
  },
): Promise<Scores> {
  const { gpu, configuration: { width } } = model;
  const order: number[] = [];
  using results = new DisposableStack();
  const losses: Tensor[] = [];
  const rights: Tensor<"u32">[] = [];
  const likeliest: Tensor<"u32">[] = [];
  const ask = (due: readonly Due[]): Questions => new Questions(model, due);
  for (const { hidden, asked, isLast } of prompts.read(batch, ask, { record })) {
    order.push(...asked.due.map(({ position }) => position));
    for (const { indices, labels } of asked.parts) {
      using tape = new Tape(gpu);
      const rows = reshape(tape, new Variable(hidden), [hidden.size / width, width]);
      const logits = model.head(tape, gatherRows(tape, rows, indices)).tensor;
      const { loss, correct, logSumExp } = crossEntropy(gpu, { logits, labels });
      logSumExp[Symbol.dispose]();
      losses.push(results.use(loss));
      rights.push(results.use(correct));
      if (predictions) likeliest.push(results.use(argmax(gpu, { logits }).tokens));
    }
    if (!isLast) await pace.next();
  }
  const reading = gpu.read<DataType>([...losses, ...rights, ...likeliest]);
  results.dispose();
  onQueued?.();
  const values = await reading;
  const parts = [0, 1, 2].map((i) => values.slice(i * losses.length, (i + 1) * losses.length));
  return sortScores(order, parts[0], parts[1], parts[2]);
}
