import { join } from "@std/path";
import type { SweepConfiguration } from "./configuration.ts";
import type { Row } from "./rows.ts";
import type { Shard } from "./shards.ts";

/** The first line of a journal: whose it is. */
export interface JournalHeader {
  /** The version of Lengthwise that began it. */
  readonly lengthwise: string;
  /** Hash of the configuration, the models and the version. */
  readonly hash: string;
  /** What is swept. */
  readonly configuration: SweepConfiguration;
  /** Which share of it, where it is swept in shards. */
  readonly shard?: Shard;
}

/** Any other line: what became of a cell. */
export interface JournalEntry {
  /** The cell's coordinates, by `cellKey`. */
  readonly cell: string;
  /** Its results. */
  readonly rows?: readonly Row[];
  /** Why it has none. */
  readonly failed?: string;
}

/** The journal's file in a results folder. */
export const JOURNAL = "journal.jsonl";

/**
 * The results of a sweep as they come, one line a cell, on the disk before the next cell begins.
 *
 * The file is locked for as long as the process lives: the system lets go of the lock when the
 * process ends, however it ends. A last line that a killed process left half-written is cut off.
 */
export class Journal implements Disposable {
  /** What is written so far. */
  readonly entries: readonly JournalEntry[];
  readonly #file: Deno.FsFile;
  readonly #path: string;

  private constructor(file: Deno.FsFile, path: string, entries: readonly JournalEntry[]) {
    this.#file = file;
    this.#path = path;
    this.entries = entries;
  }

  /**
   * Opens a folder's journal, a new one where there is none.
   *
   * @throws {Error} where the folder cannot be written, another process is writing there, results
   * are there and `resume` is not asked for, or they are another sweep's.
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
          `Cannot sweep into ${folder} as it holds results: go on with them by --resume, or name another folder with --out`,
        );
      }
      const [first, ...rest] = lines.map((line, i) => parseLine(line, path, i + 1));
      if (first === undefined) {
        if (size > 0) await file.truncate(0);
        const journal = new Journal(file, path, []);
        await journal.#write(header);
        return journal;
      }
      checkHeader(first as JournalHeader, header, folder);
      await file.truncate(bytes);
      return new Journal(file, path, rest as JournalEntry[]);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Appends a cell, and returns when it is on the disk. @throws {Error} where the disk is full. */
  async append(entry: JournalEntry): Promise<void> {
    await this.#write(entry);
    (this.entries as JournalEntry[]).push(entry);
  }

  /** Closes the file, and with it lets go of the lock. */
  [Symbol.dispose](): void {
    this.#file.close();
  }

  async #write(line: JournalHeader | JournalEntry): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(line) + "\n");
    try {
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
      await this.#file.syncData();
    } catch (error) {
      throw new Error(
        `Cannot write ${this.#path}: ${
          reason(error)
        }; the cells before are safe: make room, then go on with --resume`,
        { cause: error },
      );
    }
  }
}

/**
 * What a folder's journal holds so far; nothing where there is none.
 *
 * @throws {Error} where a line is damaged.
 */
export async function readJournal(
  folder: string,
): Promise<{ header: JournalHeader; entries: readonly JournalEntry[] } | undefined> {
  const path = join(folder, JOURNAL);
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const [header, ...entries] = completeLines(bytes).lines.map((line, i) =>
    parseLine(line, path, i + 1)
  );
  return header === undefined
    ? undefined
    : { header: header as JournalHeader, entries: entries as JournalEntry[] };
}

async function openFile(folder: string, path: string): Promise<Deno.FsFile> {
  try {
    await Deno.mkdir(folder, { recursive: true });
    return await Deno.open(path, { read: true, append: true, create: true });
  } catch (error) {
    throw new Error(
      `Cannot write results into ${folder}: ${reason(error)}; name another folder with --out`,
      { cause: error },
    );
  }
}

/** The lines that end, and how many bytes they take. */
function completeLines(bytes: Uint8Array): { lines: string[]; bytes: number } {
  const end = bytes.lastIndexOf(0x0A) + 1;
  const text = new TextDecoder().decode(bytes.subarray(0, end));
  return { lines: text.split("\n").filter((line) => line !== ""), bytes: end };
}

function parseLine(line: string, path: string, number: number): JournalHeader | JournalEntry {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new Error(
      `Cannot read ${path}: line ${number} is damaged; take the line out to have its cell run again`,
      { cause: error },
    );
  }
}

function checkHeader(found: JournalHeader, header: JournalHeader, folder: string): void {
  if (found.hash === header.hash) {
    const [theirs, ours] = [found, header].map(({ shard }) =>
      shard === undefined ? "the whole sweep" : `shard ${shard.index}/${shard.count}`
    );
    if (theirs === ours) return;
    throw new Error(
      `Cannot go on in ${folder} with ${ours} as its journal is of ${theirs}: give the same --shard, or name another folder with --out`,
    );
  }
  const same = JSON.stringify(found.configuration) === JSON.stringify(header.configuration);
  throw new Error(
    `Cannot go on in ${folder} as its journal is of another sweep (${
      found.hash?.slice(0, 12)
    }, not ${header.hash.slice(0, 12)}): ${
      same
        ? `its models, the files of its tasks or the version of Lengthwise (${found.lengthwise}) were others`
        : `that was ${JSON.stringify(found.configuration)}`
    }; leave out the options to go on with it, or name another folder with --out`,
  );
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.replace(/^.*?: (?=open|mkdir)/, "") : String(error);
}
