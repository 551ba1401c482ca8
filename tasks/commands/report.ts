import { dirname, join } from "@std/path";
import { exists } from "../../models/checkpoints/download.ts";
import { nameRuns, type Run } from "../report/runs.ts";
import { incompleteLines } from "../report/words.ts";
import { writeReport } from "../report/write.ts";
import { reasonOf } from "../errors.ts";
import { fileName, visible } from "../names.ts";
import { parseLength } from "../sweep/configuration.ts";
import { FAILED, parseRows, type Row } from "../sweep/rows.ts";
import { RESULTS, writeResults } from "../sweep/run.ts";
import { cellKey } from "../sweep/cells.ts";
import { type FoundJournal, journalsIn } from "../sweep/merge.ts";
import { Outcomes } from "../sweep/outcomes.ts";
import { variantRows, VARIANTS } from "../sweep/variants.ts";
import { type CommandSpecification, type ParsedCommand, UsageError } from "./options.ts";
import { PREDICTIONS, writePredictions } from "./predictions.ts";
import { runOf, samplesIn } from "./run_folder.ts";
import { tellLeft } from "./running.ts";
import { print, printError } from "./terminal.ts";

/** Command-line interface of `./run report`. */
export const REPORT: CommandSpecification = {
  name: "report",
  summary: "Make the report of one sweep, or of several side by side, from their CSVs alone.",
  operands: "FOLDER…",
  options: {
    out: {
      takes: "FOLDER",
      help: "where the report goes",
      default: "beside the CSV; that of a and b into a+b beside them",
    },
    recall: {
      takes: "TASK",
      help: "compare recall and state sizes in this task (its title in the report: 'mqar, load 4')",
      default: "where models differ most",
    },
    "recall-length": {
      takes: "N",
      help: "compare them at this length: 512, 4k",
      default: "where models differ most",
    },
    predictions: {
      help:
        `write logged replies to RULER's tasks into ${PREDICTIONS}/, as its evaluate.py reads them`,
    },
  },
  details:
    "A model that occurs in several runs is told apart by the runs' names, which are their folders'.",
};

/**
 * Runs `./run report`.
 *
 * @returns The exit code.
 * @throws {UsageError} where no folder is named.
 */
export async function reportCommand(
  { operands, values, switches }: ParsedCommand,
): Promise<number> {
  if (operands.length === 0) {
    throw new UsageError(
      "report takes folders with a sweep.csv in each, such as results/default",
    );
  }
  const names = nameRuns(operands);
  const runs = await Promise.all(operands.map((folder, i) => readRun(folder, names[i])));
  const [task, length] = [values.get("recall"), values.get("recall-length")];
  const recall = {
    ...(task === undefined ? {} : { task }),
    ...(length === undefined ? {} : { length: lengthOf(length) }),
  };
  const out = values.get("out") ?? folderFor(operands, names);
  if (switches.has("predictions")) await exportPredictions(operands, out);
  const files = await writeReport(out, runs, { recall });
  for (const line of incompleteLines(runs)) printError(visible(line));
  print(`${visible(files.page)}, with ${files.pictures.length} pictures beside it`);
  tellLeft(files);
  return 0;
}

/** Writes what RULER's evaluator reads, and tells where. @throws {UsageError} where there is nothing. */
async function exportPredictions(folders: readonly string[], out: string): Promise<void> {
  if (folders.length > 1) {
    throw new UsageError(
      "--predictions takes one folder: models of several runs may have one name",
    );
  }
  const journals = await journalsIn(...folders);
  const all = [...folders, ...journals.map(({ folder }) => folder)];
  const written = await writePredictions(samplesIn([...new Set(all)]), out);
  if (written.length === 0) {
    throw new UsageError(
      `Cannot write predictions as ${
        folders[0]
      } holds no replies to RULER's tasks: sweep with --log-samples`,
    );
  }
  for (const folder of written) print(`${visible(folder)}  for RULER's evaluate.py --data_dir`);
}

/**
 * A run's results: its CSV, and what its journals hold besides, where it is still running or was
 * killed.
 */
async function readRun(folder: string, name: string): Promise<Run> {
  const path = join(folder, RESULTS);
  const csv = await Deno.readTextFile(path).catch((error: Error) => error);
  const written = typeof csv === "string" ? parseRows(csv, path) : [];
  const journals = await journalsIn(folder);
  const trainings = journals[0]?.header.configuration.trainings ?? [];
  const later = rowsBesides(written, journals);
  const all = later ?? written;
  const run = (rows: readonly Row[]): Promise<Run> =>
    runOf(folder, { name, rows, all, trainings }, { journals });
  if (later !== undefined) {
    // The report links it; whose folder may only be read gets the rows that are there.
    if (csv instanceof Error) await writeResults(folder, later).catch(tellUnwritten);
    return await run(variantRows(trainings, later));
  }
  const variants = join(folder, VARIANTS);
  if (await exists(variants)) {
    return await run(parseRows(await Deno.readTextFile(variants), variants));
  }
  if (typeof csv === "string") return await run(all);
  throw new UsageError(
    `Cannot read ${path}: ${reasonOf(csv)}; name the folder of a sweep, such as results/default`,
    { cause: csv },
  );
}

/** A run's rows with those that its journals alone hold; undefined if they hold none. */
function rowsBesides(
  rows: readonly Row[],
  journals: readonly FoundJournal[],
): Row[] | undefined {
  const [first] = journals;
  const entries = journals.filter(({ header }) => header.hash === first.header.hash)
    .flatMap(({ entries }) => entries);
  const { finished } = new Outcomes(entries);
  const there = new Set(rows.filter(({ metric }) => metric !== FAILED).map(cellKey));
  const later = [...finished].filter(([key]) => !there.has(key));
  if (later.length === 0) return undefined;
  const known = rows.filter((row) => row.metric !== FAILED || !finished.has(cellKey(row)));
  return [...known, ...later.flatMap(([, rows]) => rows)];
}

function tellUnwritten(error: Error): void {
  printError(visible(`the report links no CSV: ${error.message}`));
}

function lengthOf(text: string): number {
  const length = parseLength(text);
  if (typeof length === "number") return length;
  throw new UsageError(`--recall-length takes tokens, such as 512 or 4k: current value is ${text}`);
}

/** More runs than this are counted, not named, by the folder of their report. */
const NAMED_RUNS = 3;

/** One run's own folder; for several a folder beside the first, named by them. */
function folderFor(folders: readonly string[], names: readonly string[]): string {
  if (folders.length === 1) return folders[0];
  const parts = names.slice(0, NAMED_RUNS).map(fileName);
  const more = names.length - parts.length;
  return join(
    dirname(folders[0]),
    [...parts, ...(more > 0 ? [`${more}-more`] : [])].join("+"),
  );
}
