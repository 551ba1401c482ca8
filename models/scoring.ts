import type { Gpu } from "../kernels/gpu/mod.ts";
import { IGNORED } from "../kernels/loss/mod.ts";
import { bindingBytes } from "./matrices.ts";
import { F32_BYTES } from "./mixers/mixer.ts";

/** What is said to whoever reads with a model that is gone. */
export const DISPOSED_MODEL =
  "Cannot read tokens as the model was disposed of: keep it until its last use";

/** Bytes of the logits that {@linkcode Model.score} has at once: a vocabulary may be large. */
const LOGIT_BYTES = 2 ** 25;

/** A batch of sequences of one length with what is due in them. */
export interface Batch {
  /** Number of sequences. */
  readonly batch: number;
  /** Tokens of each. */
  readonly time: number;
  /** `[batch, time]`. */
  readonly tokens: Uint32Array;
  /** `[batch, time]`: the token due after each position; {@linkcode IGNORED} where nothing is asked. */
  readonly labels: Uint32Array;
}

/** A model's answers at the positions of a {@linkcode Batch} where something is due, in their order. */
export interface Scores {
  /** Row-major indices of the positions in `[batch, time]`. */
  readonly positions: Uint32Array;
  /** 1 where the likeliest token is the one due. */
  readonly correct: Uint32Array;
  /** Negative log-likelihood of the token due, in nats. */
  readonly nll: Float32Array;
  /** The likeliest token, where it was asked for; no token of the vocabulary where it is NaN. */
  readonly predicted?: Uint32Array;
}

/** How a batch is scored. */
export interface ScoreOptions {
  /** Whether the likeliest tokens are given too. @default false */
  readonly predictions?: boolean;
  /**
   * Whether the second batch of one shape in a row is recorded, and those behind it are replayed, which
   * costs the host a tenth and changes no bit. Its memory is kept until a batch of another shape comes.
   *
   * @default {true}
   */
  readonly record?: boolean;
  /** Ends it between two segments: its reason is thrown. */
  readonly signal?: AbortSignal;
  /**
   * Called when all work is queued and its memory is given back, and only the scores are still to be
   * brought here.
   */
  readonly onQueued?: () => void;
}

/** A position where something is due. */
export interface Due {
  /** Row of the segment's `[batch · time]`. */
  readonly row: number;
  /** Row-major index in the whole `[batch, time]`. */
  readonly position: number;
  /** The token due. */
  readonly label: number;
}

/** A segment of a batch: its tokens, and what is due in it. */
export function cut(
  { batch, time: whole, tokens, labels }: Batch,
  start: number,
  time: number,
): { tokens: Uint32Array; due: Due[] } {
  const part = new Uint32Array(batch * time);
  const due: Due[] = [];
  for (let sequence = 0; sequence < batch; sequence++) {
    const from = sequence * whole + start;
    part.set(tokens.subarray(from, from + time), sequence * time);
    for (let t = 0; t < time; t++) {
      const label = labels[from + t];
      if (label !== IGNORED) due.push({ row: sequence * time + t, position: from + t, label });
    }
  }
  return { tokens: part, due };
}

/**
 * Scores that came segment by segment, in the order of the batch.
 *
 * @param predictions Empty where they were not asked for.
 */
export function sortScores(
  order: readonly number[],
  losses: readonly ArrayLike<number>[],
  rights: readonly ArrayLike<number>[],
  predictions: readonly ArrayLike<number>[] = [],
): Scores {
  const [nll, correct, predicted] = [losses, rights, predictions]
    .map((parts) => parts.flatMap((part) => Array.from(part)));
  const sorted = order.map((_, index) => index).sort((a, b) => order[a] - order[b]);
  return {
    positions: Uint32Array.from(sorted, (index) => order[index]),
    correct: Uint32Array.from(sorted, (index) => correct[index]),
    nll: Float32Array.from(sorted, (index) => nll[index]),
    ...(predictions.length === 0
      ? {}
      : { predicted: Uint32Array.from(sorted, (index) => predicted[index]) }),
  };
}

/** @throws {RangeError} where there is no token, or one that is not in the vocabulary. */
export function checkTokens(
  tokens: ArrayLike<number>,
  { vocabulary }: { readonly vocabulary: number },
): void {
  if (tokens.length === 0) throw new RangeError("Cannot read a sequence of no tokens");
  for (let i = 0; i < tokens.length; i++) {
    if (!Number.isInteger(tokens[i]) || tokens[i] < 0 || tokens[i] >= vocabulary) {
      throw new RangeError(
        `Cannot read token ${tokens[i]} at position ${i}: the vocabulary has the tokens 0 to ${
          vocabulary - 1
        }`,
      );
    }
  }
}

/** Bytes of the logits that a model has at once while it scores; one row may take more. */
export function logitBytes(gpu: Gpu): number {
  return Math.min(LOGIT_BYTES, bindingBytes(gpu));
}

/**
 * Checks that the logits of so many tokens fit into one binding, before any of them is read.
 *
 * @throws {RangeError} with the bytes needed, the limit, and how many fit.
 */
export function checkLogits(
  gpu: Gpu,
  { vocabulary }: { readonly vocabulary: number },
  tokens: number,
): void {
  const most = Math.floor(bindingBytes(gpu) / (F32_BYTES * vocabulary));
  if (tokens <= most) return;
  const bytes = F32_BYTES * vocabulary * tokens;
  const what = tokens === 1 ? "1 token as its logits" : `${tokens} tokens at once as their logits`;
  const instead = most === 0
    ? ""
    : `; read it in pieces with advance(), or score() it: at most ${most} tokens at once`;
  throw new RangeError(
    `Cannot read ${what} take ${bytes} bytes: ${gpu.adapter.name} allows ${gpu.bindingLimit} in one binding (maxStorageBufferBindingSize)${instead}`,
  );
}
