import type { Gpu, Tensor } from "../gpu/mod.ts";

/** Rows of one sequence: `[first, first + length)` of all rows, batch after batch. */
export interface Sequence {
  readonly first: number;
  readonly length: number;
}

/**
 * Chunks whose workspace fits in memory at once: the next few of every sequence. Their states lie in
 * slots; chunk n of all, in sequence s, begins with the state in slot n + s and ends with slot n + s + 1.
 */
export interface Span {
  /** A row a chunk: first row, rows, slot, 0. */
  readonly chunks: readonly number[];
  /** A row a sequence: first chunk, chunks. */
  readonly sequences: readonly number[];
}

/** Cuts sequences into chunks of `chunkSize` rows, and these into spans of `perSequence` chunks of each. */
export function planSpans(
  sequences: readonly Sequence[],
  chunkSize: number,
  perSequence: number,
): Span[] {
  const longest = Math.max(0, ...sequences.map(({ length }) => Math.ceil(length / chunkSize)));
  return Array.from({ length: Math.ceil(longest / perSequence) }, (_, span) => {
    const chunks: number[] = [];
    const table: number[] = [];
    sequences.forEach(({ first, length }, sequence) => {
      const begin = span * perSequence;
      const end = Math.min(begin + perSequence, Math.ceil(length / chunkSize));
      table.push(chunks.length / 4, Math.max(0, end - begin));
      for (let chunk = begin; chunk < end; chunk++) {
        const row = chunk * chunkSize;
        const slot = chunks.length / 4 + sequence;
        chunks.push(first + row, Math.min(chunkSize, length - row), slot, 0);
      }
    });
    return { chunks, sequences: table };
  });
}

/** The sequences of a batch: its rows, or with `segments` the parts of its only row. */
export function sequencesOf(
  op: string,
  batch: number,
  time: number,
  segments: readonly number[] | undefined,
): Sequence[] {
  if (segments === undefined) {
    return Array.from({ length: batch }, (_, i) => ({ first: i * time, length: time }));
  }
  const rises = segments.every((bound, i) =>
    Number.isInteger(bound) && bound >= (i === 0 ? 0 : segments[i - 1])
  );
  if (
    batch !== 1 || segments.length < 2 || segments[0] !== 0 || segments.at(-1) !== time || !rises
  ) {
    throw new RangeError(
      `Cannot run ${op}() as segments must rise from 0 to the time ${time} of a batch of 1: current segments are [${segments}] in a batch of ${batch}`,
    );
  }
  return segments.slice(1).map((end, i) => ({ first: segments[i], length: end - segments[i] }));
}

/** A copy of a tensor, or zeros of that shape. */
export function cloneOrZeros(
  gpu: Gpu,
  source: Tensor | undefined,
  shape: readonly number[],
): Tensor {
  if (source === undefined) return gpu.tensor(shape);
  const copy = gpu.empty(shape);
  gpu.copy(source, copy);
  return copy;
}
