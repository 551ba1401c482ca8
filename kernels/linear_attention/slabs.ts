import type { Gpu, Tensor } from "../gpu/mod.ts";

/** Tokens of a block: the rows of a register tile, and the unit in which decays are carried. */
export const BLOCK = 8;
/** Cuts kept for reuse on one GPU; past it they are all freed. */
const CUTS_KEPT = 64;

/** Chunks that are worked on at once. No chunk holds tokens of two sequences. */
export interface Slab {
  /** First row and end of each chunk: `[count, 2]`, u32. */
  readonly chunks: Tensor<"u32">;
  /** The number of chunks. */
  readonly count: number;
  /** Chunks before this slab. */
  readonly firstChunk: number;
  /** Its first row. */
  readonly firstRow: number;
  /** The number of its rows. */
  readonly rows: number;
  /**
   * First chunk, end, number, and whether it comes from the slab before (1) or continues in the next
   * (2), of each sequence with tokens in this slab, and of empty ones: `[sequenceCount, 4]`, u32.
   */
  readonly sequences: Tensor<"u32">;
  readonly sequenceCount: number;
  /** The sequence that comes from the slab before, if one does. */
  readonly comesFrom: number | undefined;
  /** The sequence that continues in the next slab, if one does. */
  readonly goesOn: number | undefined;
}

/** The cuts of one GPU by their names. */
class Cuts implements Disposable {
  readonly #all = new Map<string, readonly Slab[]>();

  get(name: string, make: () => Slab[]): readonly Slab[] {
    let slabs = this.#all.get(name);
    if (slabs === undefined) {
      if (this.#all.size >= CUTS_KEPT) this[Symbol.dispose]();
      this.#all.set(name, slabs = make());
    }
    return slabs;
  }

  [Symbol.dispose](): void {
    for (const { chunks, sequences } of [...this.#all.values()].flat()) {
      chunks[Symbol.dispose]();
      sequences[Symbol.dispose]();
    }
    this.#all.clear();
  }
}

/**
 * Cuts sequences into chunks of `chunkSize` tokens, and those into slabs of at most `slabChunks`, at
 * least one. Sequence s has the rows from `bounds[s]` to `bounds[s + 1]`. The tables are kept: a
 * training step asks for the same again and again. They are no part of a recording, which would write
 * them for itself.
 */
export function cutIntoSlabs(
  gpu: Gpu,
  bounds: readonly number[],
  chunkSize: number,
  slabChunks: number,
): readonly Slab[] {
  return gpu.once("cuts into slabs", () => new Cuts()).get(
    `${chunkSize}:${slabChunks}:${bounds}`,
    () => gpu.unrecorded(() => makeSlabs(gpu, bounds, chunkSize, slabChunks)),
  );
}

function makeSlabs(
  gpu: Gpu,
  bounds: readonly number[],
  chunkSize: number,
  slabChunks: number,
): Slab[] {
  const slabs: Slab[] = [];
  let firstChunk = 0;
  let rows: number[] = [];
  let sequences: number[] = [];
  const close = (comesFrom: number | undefined, goesOn: number | undefined): void => {
    const count = rows.length / 2;
    slabs.push({
      chunks: gpu.tensor([count, 2], rows, "u32"),
      count,
      firstChunk,
      firstRow: rows[0] ?? 0,
      rows: (rows.at(-1) ?? 0) - (rows[0] ?? 0),
      sequences: gpu.tensor([sequences.length / 4, 4], sequences, "u32"),
      sequenceCount: sequences.length / 4,
      comesFrom,
      goesOn,
    });
    firstChunk += count;
    rows = [];
    sequences = [];
  };
  let comesFrom: number | undefined;
  for (let s = 0; s + 1 < bounds.length; s++) {
    let first = rows.length / 2;
    let begun = 0;
    for (let row = bounds[s]; row < bounds[s + 1]; row += chunkSize) {
      if (rows.length / 2 === slabChunks) {
        const goesOn = row > bounds[s] ? s : undefined;
        if (goesOn !== undefined) sequences.push(first, rows.length / 2, s, begun + 2);
        close(comesFrom, goesOn);
        comesFrom = goesOn;
        begun = goesOn === undefined ? 0 : 1;
        first = 0;
      }
      rows.push(row, Math.min(row + chunkSize, bounds[s + 1]));
    }
    sequences.push(first, rows.length / 2, s, begun);
  }
  close(comesFrom, undefined);
  return slabs;
}
