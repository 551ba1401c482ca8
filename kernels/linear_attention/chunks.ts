import type { Gpu, Tensor } from "../gpu/mod.ts";

/** Tokens of a block: the rows of a register tile, and the unit in which decays are carried. */
export const BLOCK = 8;
/** Tables kept for reuse on one GPU; past it they are all let go. */
const TABLES_KEPT = 64;

/** How packed sequences are cut into chunks: no chunk holds tokens of two sequences. */
export interface Chunks {
  /** First row and end of each chunk: `[count, 2]`, u32. */
  readonly rows: Tensor;
  /** First chunk and end of each sequence: `[sequences, 2]`, u32. */
  readonly sequences: Tensor;
  /** The number of chunks. */
  readonly count: number;
}

const tables = new WeakMap<Gpu, Map<string, Chunks>>();

/**
 * Cuts sequences into chunks of `chunkSize` tokens. Sequence s has the rows from `bounds[s]` to
 * `bounds[s + 1]`. The tables are kept: a training step asks for the same again and again.
 */
export function cutIntoChunks(gpu: Gpu, bounds: readonly number[], chunkSize: number): Chunks {
  let kept = tables.get(gpu);
  if (kept === undefined) tables.set(gpu, kept = new Map());
  const name = `${chunkSize}:${bounds}`;
  const found = kept.get(name);
  if (found !== undefined) return found;
  if (kept.size >= TABLES_KEPT) {
    for (const table of kept.values()) {
      table.rows[Symbol.dispose]();
      table.sequences[Symbol.dispose]();
    }
    kept.clear();
  }
  const rows: number[] = [];
  const sequences: number[] = [];
  for (let s = 0; s + 1 < bounds.length; s++) {
    sequences.push(rows.length / 2);
    for (let row = bounds[s]; row < bounds[s + 1]; row += chunkSize) {
      rows.push(row, Math.min(row + chunkSize, bounds[s + 1]));
    }
    sequences.push(rows.length / 2);
  }
  const chunks = {
    rows: gpu.tensor([rows.length / 2, 2], rows, "u32"),
    sequences: gpu.tensor([sequences.length / 2, 2], sequences, "u32"),
    count: rows.length / 2,
  };
  kept.set(name, chunks);
  return chunks;
}
