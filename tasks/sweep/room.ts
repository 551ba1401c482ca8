import type { Subject } from "../subject.ts";
import type { Task } from "../task.ts";
import { batchSize } from "./asking.ts";

/** What a sample holds for each token: the token, its label, and its evidence. */
const SAMPLE_BYTES = 12;
/** What a batch holds besides for each token: a copy of it and of its label. */
const BATCH_BYTES = 8;

/** How large a cell is, and how much room there is for it. */
export interface CellSize {
  /** How many samples it has, all of which are held at once. */
  readonly count: number;
  /** Tokens of each. */
  readonly length: number;
  /** Bytes that the machine has free; undefined if unknown. */
  readonly free: number | undefined;
}

/**
 * Checks that the samples of a cell can be made and read, before they are: by their length alone.
 *
 * @throws {RangeError} with the bytes needed and those there are.
 */
export function checkCellRoom(
  subject: Pick<Subject, "checkRoom">,
  task: Pick<Task, "template">,
  { count, length, free }: CellSize,
): void {
  // Prompts that are answered in words are read one by one.
  const batch = task.template === undefined ? Math.min(count, batchSize(length)) : 1;
  const bytes = length * (count * SAMPLE_BYTES + batch * BATCH_BYTES);
  if (free !== undefined && bytes > free) {
    throw new RangeError(
      `Cannot make ${count} × ${length} tokens as they take ${bytes} bytes of memory: the machine has ${free} free`,
    );
  }
  subject.checkRoom?.(length, batch);
}

/** Why the samples of a cell cannot be made and read; undefined where they can. */
export function whyNoRoom(...of: Parameters<typeof checkCellRoom>): string | undefined {
  try {
    checkCellRoom(...of);
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
}
