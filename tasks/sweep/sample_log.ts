import { join } from "@std/path";
import * as v from "valibot";
import { partialPath } from "../../models/checkpoints/replace_file.ts";
import { messageOf, reasonOf } from "../errors.ts";
import { appendText } from "./append.ts";
import { type Cell, cellKey, type ModelCells, taskKey } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import type { Outcomes } from "./outcomes.ts";
import type { SampleRecord } from "./samples.ts";

/** The file of a sweep's samples, in its results folder. */
export const SAMPLES = "samples.jsonl";

/** What of a line is needed to know whose it is. */
interface Line {
  /** As it stands in the file, without its end. */
  readonly text: string;
  readonly record: SampleRecord;
}

/**
 * The samples of a sweep with their answers as they come, one per line. Those of a cell are on the disk
 * before the cell is in the journal; what a killed process left of others is taken out when it is
 * opened again.
 */
export class SampleLog implements Disposable {
  /** How many samples it held of each cell when it was opened, by `cellKey`. */
  readonly counts: ReadonlyMap<string, number>;
  readonly #file: Deno.FsFile;
  readonly #path: string;

  private constructor(file: Deno.FsFile, path: string, counts: ReadonlyMap<string, number>) {
    this.counts = counts;
    this.#file = file;
    this.#path = path;
  }

  /**
   * Opens a folder's file of samples, a new one if there is none.
   *
   * @param finished The cells whose samples are kept, by `cellKey`.
   * @param options.resume Whether samples of an earlier run may be there.
   * @throws {Error} where it cannot be written, or samples are there and none may be.
   */
  static async open(
    folder: string,
    finished: { has(key: string): boolean },
    { resume }: { readonly resume: boolean },
  ): Promise<SampleLog> {
    const path = join(folder, SAMPLES);
    try {
      if (!resume && (await sizeOf(path)) > 0) {
        throw new Error("it holds the samples of another sweep; remove it");
      }
      const counts = new Map<string, number>();
      await keep(path, [path], ({ cell }) => {
        const key = cellKey(cell);
        if (!finished.has(key)) return false;
        counts.set(key, (counts.get(key) ?? 0) + 1);
        return true;
      });
      return new SampleLog(await Deno.open(path, { append: true, create: true }), path, counts);
    } catch (error) {
      throw new Error(
        `Cannot log samples into ${path}: ${reasonOf(error)}, or name another folder with --out`,
        { cause: error },
      );
    }
  }

  /**
   * Appends the samples of a cell, and returns when they are on the disk.
   *
   * @throws {Error} where the disk is full.
   */
  async append(records: readonly SampleRecord[]): Promise<void> {
    const lines = records.map((record) => `${JSON.stringify(record)}\n`);
    await appendText(this.#file, this.#path, lines.join(""));
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/**
 * The samples in a file; none if there is none. A line that is damaged, or that a running sweep has
 * not written whole yet, is left out.
 */
export async function* readSamples(path: string): AsyncGenerator<SampleRecord> {
  for await (const { record } of linesOf(path)) yield record;
}

/**
 * Joins the samples of shards: each of a cell from the folder whose answer was kept, and once.
 *
 * @param folders Where they are, `out` among them where it holds some.
 * @param chosen Of each finished cell the folder, by `cellKey`.
 * @throws {Error} where the file cannot be written.
 */
export async function mergeSamples(
  folders: readonly string[],
  chosen: ReadonlyMap<string, string>,
  out: string,
): Promise<void> {
  const found: string[] = [];
  for (const folder of folders) if ((await sizeOf(join(folder, SAMPLES))) > 0) found.push(folder);
  if (found.length === 0) return;
  const path = join(out, SAMPLES);
  // A cell that was merged before counts as the folder's own, and its shard may still be there.
  const own = new Set<string>();
  for await (const { cell } of readSamples(path)) own.add(cellKey(cell));
  try {
    await keep(path, found.map((folder) => join(folder, SAMPLES)), ({ cell }, from) => {
      const key = cellKey(cell);
      if (!chosen.has(key)) return false;
      return own.has(key) ? from === path : from === join(chosen.get(key)!, SAMPLES);
    });
  } catch (error) {
    throw new Error(`Cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Writes the lines of files that are to be kept, each sample once, and whole or not at all. */
async function keep(
  path: string,
  from: readonly string[],
  isKept: (record: { cell: Cell }, from: string) => boolean,
): Promise<void> {
  const seen = new Set<string>();
  const partial = partialPath(path);
  try {
    {
      using file = await Deno.open(partial, { write: true, create: true, truncate: true });
      const encoder = new TextEncoder();
      for (const source of from) {
        for await (const { text, record } of linesOf(source)) {
          const key = `${cellKey(record.cell)} ${record.index}`;
          if (seen.has(key) || !isKept(record, source)) continue;
          seen.add(key);
          const bytes = encoder.encode(`${text}\n`);
          for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
        }
      }
      await file.syncData();
    }
    await Deno.rename(partial, path);
  } catch (error) {
    await Deno.remove(partial).catch(() => {}); // on a full disk, its room is needed
    throw error;
  }
}

async function* linesOf(path: string): AsyncGenerator<Line> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  let rest = "";
  // A line without an end is one that is being written.
  for await (const part of file.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    for (const text of lines) {
      const record = parse(text);
      if (record !== undefined) yield { text, record };
    }
  }
}

const NUMBER = v.optional(v.number());
const NUMBERS = v.optional(v.array(v.number()));
const RECORD = v.looseObject({
  index: v.number(),
  input: v.string(),
  outputs: v.array(v.string()),
  pred: v.string(),
  length: v.number(),
  cell: v.object({
    model: v.string(),
    task: v.string(),
    template: v.optional(v.string()),
    length: v.number(),
    depth: NUMBER,
    load: NUMBER,
    seed: v.number(),
  }),
  score: v.number(),
  prompt_tokens: v.number(),
  reply_tokens: NUMBER,
  reply_budget: NUMBER,
  depth: NUMBER,
  asked: NUMBERS,
  evidence: NUMBERS,
  reached: NUMBER,
  missing: NUMBER,
});

function parse(text: string): SampleRecord | undefined {
  try {
    const value = JSON.parse(text);
    return v.is(RECORD, value) ? value as unknown as SampleRecord : undefined;
  } catch {
    return undefined;
  }
}

async function sizeOf(path: string): Promise<number> {
  const info = await Deno.stat(path).catch(() => undefined);
  return info?.size ?? 0;
}

/** The cells that have a result, but not all of their samples in the log. */
export function unloggedCells(
  grid: readonly ModelCells[],
  configuration: SweepConfiguration,
  { finished }: Outcomes,
  { counts }: SampleLog,
): Set<string> {
  return new Set(grid.flatMap(({ tasks, cells }) =>
    cells.filter((cell) => {
      const { metric } = tasks.get(taskKey(cell))!;
      const due = samplesOf(gridOf(configuration, cell.task), metric, cell.length);
      return finished.has(cellKey(cell)) && (counts.get(cellKey(cell)) ?? 0) < due;
    }).map(cellKey)
  ));
}
