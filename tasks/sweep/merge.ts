import { join } from "@std/path";
import type { SubjectSource } from "../subject.ts";
import { type Cell, cellKey, enumerateCells } from "./cells.ts";
import type { SweepConfiguration } from "./configuration.ts";
import { Journal, type JournalContent, readJournal } from "./journal.ts";
import type { JournalEntry, JournalHeader } from "./journal_line.ts";
import { findModels, MODELS } from "./models.ts";
import { planOf } from "./plan.ts";
import type { Row } from "./rows.ts";
import { Outcomes } from "./outcomes.ts";
import { mergeSamples } from "./sample_log.ts";
import { sweepHash, writeResults } from "./run.ts";
import { SHARDS } from "./shards.ts";

/** A journal that is of another sweep than the rest. */
export interface ForeignJournal {
  /** Its folder. */
  readonly folder: string;
  /** Its hash. */
  readonly hash: string;
  /** In what it differs, in words. */
  readonly reason: string;
}

/** A cell that two journals answer differently. */
export interface Contradiction {
  /** The cell. */
  readonly cell: Cell;
  /** The folder whose answer is kept. */
  readonly kept: string;
  /** The other's. */
  readonly other: string;
  /** The first metric that differs, with both values, in words. */
  readonly difference: string;
}

/** What a merge found. */
export interface MergeResult {
  /** What was swept. */
  readonly configuration: SweepConfiguration;
  /** The results, in the order of the grid. */
  readonly rows: readonly Row[];
  /** The rows of `sweep.csv`: the results, and a row for each cell that was tried and has none. */
  readonly table: readonly Row[];
  /** The folders of the journals that were joined. */
  readonly joined: readonly string[];
  /** Cells in the whole grid. */
  readonly total: number;
  /** Cells that no journal holds. */
  readonly missing: readonly Cell[];
  /** Cells that were tried and have no result. */
  readonly failed: readonly { readonly cell: Cell; readonly reason: string }[];
  /** Cells that more than one journal holds, with one and the same answer. */
  readonly double: readonly Cell[];
  /** Cells with more than one answer. */
  readonly contradictions: readonly Contradiction[];
  /** Journals of other sweeps, which are left out. */
  readonly foreign: readonly ForeignJournal[];
  /** Lines that are damaged: their cells are missing, unless another line holds them. */
  readonly damaged: readonly { readonly folder: string; readonly line: number }[];
}

/** A journal as it was found. */
export interface FoundJournal extends JournalContent {
  /** Its folder. */
  readonly folder: string;
}

/** What may differ between two runs of a cell: what it cost, and where it ran. */
const COSTS = [
  "prefill_ms",
  "step_ms",
  "peak_bytes",
  "seconds",
  "started",
  "adapter",
  "commit",
] as const;

/**
 * Joins the journals of a sweep's shards into one results folder, from which `resume` continues with
 * what is missing. A folder counts with its own journal and with those of the shards in it. Merging
 * again adds what has come since.
 *
 * @throws {Error} where the folders hold no journal, or one that is damaged; where the models are not
 * those that were swept; where another process writes into `out`.
 */
export async function mergeSweep(
  folders: readonly string[],
  source: Pick<SubjectSource, "find" | "trains">,
  out: string,
): Promise<MergeResult> {
  const found = await journalsIn(...folders, out);
  if (found.length === 0) {
    throw new Error(
      `Cannot merge as there is no journal in ${
        folders.join(", ")
      }: name the folder of a sweep, such as results/default`,
    );
  }
  const { configuration, hash } = leading(found, out);
  const cards = await findModels(configuration, source, { folder: join(out, MODELS) });
  const here = await sweepHash(configuration, cards);
  if (here !== hash) {
    throw new Error(
      `Cannot merge ${
        folders.join(", ")
      } as the models or the version of Lengthwise are not those that were swept: that was ${
        hash.slice(0, 12)
      }, now it is ${here.slice(0, 12)}`,
    );
  }
  const grid = await enumerateCells(configuration, cards);
  const cells = grid.flatMap(({ cells }) => cells);
  const byKey = new Map(cells.map((cell) => [cellKey(cell), cell]));

  const finished = new Map<string, { entry: JournalEntry; folder: string }>();
  const double = new Set<Cell>();
  const contradictions: Contradiction[] = [];
  const joined = found.filter(({ header }) => header.hash === hash);
  for (const { folder, entries } of joined) {
    for (const entry of entries) {
      const { cell: key, rows } = entry;
      const cell = byKey.get(key);
      if (cell === undefined || rows === undefined) continue;
      const before = finished.get(key);
      if (before === undefined) finished.set(key, { entry, folder });
      else if (JSON.stringify(before.entry) !== JSON.stringify(entry)) { // else it is a copy
        const difference = differenceOf(before.entry.rows!, rows);
        if (difference === undefined) double.add(cell);
        else contradictions.push({ cell, kept: before.folder, other: folder, difference });
      }
    }
  }
  using journal = await Journal.open(
    out,
    { lengthwise: joined[0].header.lengthwise, hash, configuration, models: planOf(grid) },
    { resume: true },
  );
  const outcomes = new Outcomes(
    joined.flatMap(({ entries }) => entries.filter(({ cell }) => byKey.has(cell))),
  );
  const there = new Outcomes(journal.entries);
  for (const key of byKey.keys()) {
    const entry = finished.get(key)?.entry;
    const failure = outcomes.failed.get(key);
    if (entry !== undefined && !there.finished.has(key)) await journal.append(entry);
    if (failure !== undefined && !there.failed.has(key)) {
      const { reason: failed, ...where } = failure;
      await journal.append({ cell: key, failed, ...where });
    }
  }
  const chosen = new Map([...finished].map(([key, { folder }]) => [key, folder]));
  await mergeSamples([...new Set([...joined.map(({ folder }) => folder), out])], chosen, out);
  const table = outcomes.table(grid, configuration);
  await writeResults(out, table);
  const without = cells.filter((cell) => !outcomes.finished.has(cellKey(cell)));
  return {
    configuration,
    rows: outcomes.rows(grid),
    table,
    joined: joined.map(({ folder }) => folder),
    total: cells.length,
    missing: without.filter((cell) => !outcomes.failed.has(cellKey(cell))),
    failed: without.flatMap((cell) => {
      const failure = outcomes.failed.get(cellKey(cell));
      return failure === undefined ? [] : [{ cell, reason: failure.reason }];
    }),
    damaged: joined.flatMap(({ folder, damaged }) => damaged.map((line) => ({ folder, line }))),
    double: [...double],
    contradictions,
    foreign: found.filter(({ header }) => header.hash !== hash).map(({ folder, header }) => ({
      folder,
      hash: header.hash,
      reason: describeForeign(header, configuration),
    })),
  };
}

/** The journals of folders and of the shards in them, in the shards' order. */
export async function journalsIn(...folders: readonly string[]): Promise<FoundJournal[]> {
  return (await Promise.all([...new Set(folders)].map(journalsInFolder))).flat();
}

async function journalsInFolder(folder: string): Promise<FoundJournal[]> {
  const shards = await foldersIn(join(folder, SHARDS));
  shards.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const all = [folder, ...shards.map((name) => join(folder, SHARDS, name))];
  const found = await Promise.all(all.map(async (folder) => {
    const journal = await readJournal(folder);
    return journal === undefined ? [] : [{ folder, ...journal }];
  }));
  return found.flat();
}

/** The names of a folder's folders, links to some among them: file managers leave files of their own. */
async function foldersIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const info = await Deno.stat(join(folder, name)).catch(() => undefined);
      if (info?.isDirectory) names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
      throw error;
    }
  }
  return names;
}

/** The sweep that is merged: the one that `out` holds already, otherwise the one of most cells. */
function leading(found: readonly FoundJournal[], out: string): JournalHeader {
  const own = found.find(({ folder }) => folder === out);
  if (own !== undefined) return own.header;
  const cells = (hash: string): number =>
    found.reduce(
      (sum, { header, entries }) => sum + (header.hash === hash ? entries.length : 0),
      0,
    );
  return found.map(({ header }) => header).toSorted((a, b) => cells(b.hash) - cells(a.hash))[0];
}

/** What a cell's row is told apart by. */
function nameOf({ metric, distance }: Row): string {
  return distance === undefined ? metric : `${metric} ${distance}`;
}

function differenceOf(one: readonly Row[], other: readonly Row[]): string | undefined {
  const scores = (rows: readonly Row[]): Map<string, string> =>
    new Map(rows.map((row) => [
      nameOf(row),
      JSON.stringify(Object.entries(row).filter(([column]) => !COSTS.some((c) => c === column))),
    ]));
  const [a, b] = [scores(one), scores(other)];
  const metric = [...a.keys(), ...b.keys()].find((metric) => a.get(metric) !== b.get(metric));
  if (metric === undefined) return undefined;
  const told = (rows: readonly Row[]): string => {
    const row = rows.find((row) => nameOf(row) === metric);
    return row === undefined ? "none" : `${row.value} on ${row.adapter}`;
  };
  return `${metric} is ${told(one)}, and ${told(other)}`;
}

function describeForeign(
  { configuration, lengthwise }: JournalHeader,
  merged: SweepConfiguration,
): string {
  const axes = new Set([...Object.keys(configuration), ...Object.keys(merged)]);
  const told = (value: unknown): string => JSON.stringify(value) ?? "not given";
  const differing = [...axes].flatMap((axis) => {
    const [theirs, ours] = [configuration, merged].map((c) => told(c[axis as keyof typeof c]));
    return theirs === ours ? [] : [`${axis}: ${theirs}, not ${ours}`];
  });
  return differing.join("; ") || `other models, or another version of Lengthwise (${lengthwise})`;
}
