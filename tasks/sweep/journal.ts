import { join } from "@std/path";
import { canonical } from "../canonical.ts";
import type { SweepConfiguration } from "./configuration.ts";
import { appendText } from "./append.ts";
import { reasonOf } from "../errors.ts";
import { sameFile } from "../lock.ts";
import {
  type JournalEntry,
  type JournalHeader,
  type JournalLine,
  readLine,
  writeLine,
} from "./journal_line.ts";

/** What a journal's file holds. */
export interface JournalContent {
  /** Its first line. */
  readonly header: JournalHeader;
  /** The lines behind it that are whole, in order. */
  readonly entries: readonly JournalEntry[];
  /** The numbers of the lines that are damaged, the file's first being 1: their cells are lost. */
  readonly damaged: readonly number[];
}

/** The journal's file in a results folder. */
export const JOURNAL = "journal.jsonl";

/**
 * The results of a sweep as they come, one line per cell, on the disk before the next cell begins.
 *
 * The file is locked for as long as the process lives: the system frees the lock when the process
 * ends, however it ends. A last line that a killed process left half-written is cut off; a line whose
 * checksum is wrong is left where it is, and counts for nothing.
 */
export class Journal implements Disposable {
  /** What is written so far. */
  readonly entries: readonly JournalEntry[];
  /** The numbers of the lines that were damaged when it was opened. */
  readonly damaged: readonly number[];
  readonly #file: Deno.FsFile;
  readonly #path: string;

  private constructor(
    file: Deno.FsFile,
    path: string,
    { entries, damaged }: Pick<JournalContent, "entries" | "damaged">,
  ) {
    this.#file = file;
    this.#path = path;
    this.entries = entries;
    this.damaged = damaged;
  }

  /**
   * Opens a folder's journal, a new one if there is none.
   *
   * @throws {Error} where the folder cannot be written, another process is writing there, results
   * are there and `resume` is not asked for, they are another sweep's, or the first line is damaged.
   */
  static async open(
    folder: string,
    header: JournalHeader,
    options: { readonly resume: boolean },
  ): Promise<Journal> {
    const path = join(folder, JOURNAL);
    const file = await openFile(folder, path);
    try {
      if (!await file.tryLock(true)) {
        throw new Error(
          `Cannot sweep into ${folder} as another sweep is writing there: wait until it is done, or name another folder with --out`,
        );
      }
      const { size } = await file.stat();
      const { lines, bytes } = completeLines(
        size === 0 ? new Uint8Array() : await Deno.readFile(path),
      );
      if (lines.length > 0 && !options.resume) {
        throw new Error(
          `Cannot sweep into ${folder} as it holds results: continue with them by --resume, or name another folder with --out`,
        );
      }
      const content = parseLines(lines, path);
      if (content === undefined) {
        if (size > 0) await file.truncate(0);
        const journal = new Journal(file, path, { entries: [], damaged: [] });
        await journal.#write(header);
        return journal;
      }
      checkHeader(content.header, header, folder);
      await file.truncate(bytes);
      return new Journal(file, path, content);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Appends a cell, and returns when it is on the disk.
   *
   * @throws {Error} where the disk is full, or the file is no longer in its folder.
   */
  async append(entry: JournalEntry): Promise<void> {
    await this.#write(entry);
    (this.entries as JournalEntry[]).push(entry);
  }

  /**
   * Checks that what is written can be found again.
   *
   * @throws {Error} where the file was deleted or another took its place.
   */
  async check(): Promise<void> {
    if (await sameFile(this.#file, this.#path)) return;
    throw new Error(
      `Cannot continue as ${this.#path} was deleted or replaced while the sweep was running: its results are lost, and another sweep may be writing there; start again, in another folder with --out`,
    );
  }

  /** Closes the file, and with it frees the lock. */
  [Symbol.dispose](): void {
    this.#file.close();
  }

  async #write(line: JournalHeader | JournalEntry): Promise<void> {
    await this.check();
    await appendText(this.#file, this.#path, writeLine(line));
  }
}

/**
 * What a folder's journal holds so far; undefined if there is none.
 *
 * @throws {Error} where its first line, which says whose it is, is damaged, or it cannot be read.
 */
export async function readJournal(folder: string): Promise<JournalContent | undefined> {
  const path = join(folder, JOURNAL);
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.NotADirectory) {
      throw new Error(
        `Cannot read results from ${folder} as it is a file: name the folder of a sweep, such as results/default`,
        { cause: error },
      );
    }
    throw new Error(`Cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
  return parseLines(completeLines(bytes).lines, path);
}

async function openFile(folder: string, path: string): Promise<Deno.FsFile> {
  try {
    await Deno.mkdir(folder, { recursive: true });
    return await Deno.open(path, { read: true, append: true, create: true });
  } catch (error) {
    throw new Error(
      `Cannot write results into ${folder}: ${reasonOf(error)}; name another folder with --out`,
      { cause: error },
    );
  }
}

/** The lines that end, and how many bytes they take. */
function completeLines(bytes: Uint8Array): { lines: Uint8Array[]; bytes: number } {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end; (end = bytes.indexOf(0x0A, start)) >= 0; start = end + 1) {
    lines.push(bytes.subarray(start, end));
  }
  return { lines, bytes: start };
}

function parseLines(lines: readonly Uint8Array[], path: string): JournalContent | undefined {
  if (lines.length === 0) return undefined;
  const [header, ...rest]: (JournalLine | undefined)[] = lines.map(readLine);
  if (header?.kind !== "header") {
    throw new Error(
      `Cannot read ${path}: line 1 is damaged, which says which sweep it is of; name another folder with --out`,
    );
  }
  const entries: JournalEntry[] = [];
  const damaged: number[] = [];
  for (const [i, line] of rest.entries()) {
    if (line?.kind === "entry") entries.push(line.entry);
    else if (lines[i + 1].length > 0) damaged.push(i + 2);
  }
  return { header: header.header, entries, damaged };
}

function checkHeader(found: JournalHeader, header: JournalHeader, folder: string): void {
  if (found.hash === header.hash) {
    const [theirs, ours] = [found, header].map(({ shard }) =>
      shard === undefined ? "the whole sweep" : `shard ${shard.index}/${shard.count}`
    );
    if (theirs === ours) return;
    throw new Error(
      `Cannot resume in ${folder} with ${ours} as its journal is of ${theirs}: give the same --shard, or name another folder with --out`,
    );
  }
  const same = JSON.stringify(found.configuration) === JSON.stringify(header.configuration);
  throw new Error(
    `Cannot resume in ${folder} as its journal is of another sweep (${
      found.hash.slice(0, 12)
    }, not ${header.hash.slice(0, 12)}): ${
      same
        ? `its models, the files of its tasks or the version of Lengthwise (${found.lengthwise}) were others`
        : differences(found.configuration, header.configuration)
    }; leave out the options to continue with it, or name another folder with --out`,
  );
}

/** The longest value that is shown of a sweep's field. */
const SHOWN = 60;

/** Where two sweeps differ: "samples was 20, now 10". */
function differences(found: SweepConfiguration, now: SweepConfiguration): string {
  const shown = (value: unknown): string => {
    const text = value === undefined ? "not given" : JSON.stringify(value);
    return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
  };
  const fields = new Set([...Object.keys(found), ...Object.keys(now)]);
  return [...fields as Set<keyof SweepConfiguration>]
    .filter((field) => canonical(found[field] ?? null) !== canonical(now[field] ?? null))
    .map((field) => `${field} was ${shown(found[field])}, now ${shown(now[field])}`)
    .join("; ");
}
