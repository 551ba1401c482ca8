import { basename, join, resolve } from "@std/path";
import { replaceFile } from "../../models/checkpoints/replace_file.ts";
import { messageOf } from "../errors.ts";
import { visible } from "../names.ts";
import { findingLines, judgeFinding } from "../report/finding.ts";
import { joinRuns } from "../report/runs.ts";
import { type ReportFiles, type ReportOptions, writeReport } from "../report/write.ts";
import { zeroLines, zerosOf } from "../report/zeros.ts";
import type { SubjectSource } from "../subject.ts";
import type { SweepConfiguration } from "../sweep/configuration.ts";
import { JOURNAL } from "../sweep/journal.ts";
import { FAILED, formatRows, type Row } from "../sweep/rows.ts";
import { RESULTS, runSweep, type SweepOptions, type SweepResult } from "../sweep/run.ts";
import { trainedModels, type Training } from "../sweep/trainings.ts";
import { bestRates, variantRows, VARIANTS } from "../sweep/variants.ts";
import { ProgressView, standardError } from "./progress.ts";
import { resultsTable } from "./table.ts";
import { terminalColumns } from "./live_line.ts";
import { runOf } from "./run_folder.ts";
import { listenForStop, print, printError, STOPPED } from "./terminal.ts";

/**
 * Runs a sweep with its progress on standard error. Ctrl-C ends it after the cell that is running,
 * SIGTERM within it.
 */
export async function runShown(
  configuration: SweepConfiguration,
  source: SubjectSource,
  options: Omit<SweepOptions, "signal" | "onProgress">,
): Promise<SweepResult> {
  const view = new ProgressView(standardError());
  using stop = listenForStop("after this cell");
  try {
    return await runSweep(configuration, source, {
      ...options,
      signal: stop.signal,
      now: stop.now,
      onDamage: (lines) => printError(describeDamage(options.out, lines)),
      onUnlogged: (cells) =>
        printError(
          `${cells} ${cells === 1 ? "cell is" : "cells are"} asked again, for the samples`,
        ),
      onResults: (table) => showResults(table, configuration, options.out),
      onLeftOut: tellLeftOut,
      onProgress: (progress) => view.show(progress),
    });
  } finally {
    view.close();
  }
}

/** Says that a sweep continues without a model. */
export function tellLeftOut(name: string, reason: string): void {
  printError(visible(`without ${name}: ${reason}`));
}

/** Writes the report of a sweep that is running, without the pictures that take long to draw. */
async function showResults(
  rows: readonly Row[],
  { trainings = [] }: Pick<SweepConfiguration, "trainings">,
  out: string,
): Promise<void> {
  const compared = variantRows(trainings, rows);
  try {
    const results = { name: basename(resolve(out)), rows: compared, all: rows, trainings };
    await writeReport(out, [await runOf(out, results, { samples: false })], { files: [] });
  } catch (error) {
    printError(`\nno report so far: ${messageOf(error)}`); // the sweep continues
  }
}

/** Which lines of a folder's journal are damaged, and what that means. */
export function describeDamage(folder: string, lines: readonly number[]): string {
  const path = visible(join(folder, JOURNAL));
  return lines.length === 1
    ? `line ${lines[0]} of ${path} is damaged: its cell counts as not run`
    : `lines ${lines.join(", ")} of ${path} are damaged: their cells count as not run`;
}

/**
 * Prints a sweep's results and writes its report. Where the sweep trained its models, both compare the
 * variants, each at its best learning rate and over its training seeds.
 */
export async function tellResults(
  rows: readonly Row[],
  trainings: readonly Training[],
  out: string,
  options: Pick<ReportOptions, "files"> = {},
): Promise<void> {
  const compared = variantRows(trainings, rows);
  if (trainings.length > 0) await replaceFile(join(out, VARIANTS), formatRows(compared));
  if (compared.length === 0) { // it was stopped while learning rates were compared
    print("no cell that is reported has a result yet");
    return;
  }
  const screen = Deno.stdout.isTerminal() ? terminalColumns() : undefined;
  const name = basename(resolve(out));
  const run = await runOf(out, { name, rows: compared, all: rows, trainings });
  const table = resultsTable(compared, screen, run.traits);
  if (table !== "") print(`${table}\n`);
  const answered = new Set(
    rows.filter(({ metric }) => metric !== FAILED).map(({ model }) => model),
  );
  for (const [name, rate] of bestRates(trainings, rows)) {
    const tried = trainedModels(trainings)
      .filter((model) => model.variant === name && answered.has(model.name))
      .map(({ recipe }) => recipe.learningRate);
    const rates = [...new Set(tried)];
    if (rates.length < 2) continue;
    const edge = rate === Math.min(...rates) || rate === Math.max(...rates);
    print(
      `${name}: the best learning rate is ${rate} of ${rates.join(", ")}${
        edge ? ", at the edge of those: a better one may lie beyond" : ""
      }`,
    );
  }
  const results = joinRuns([run]);
  const judged = judgeFinding(name, results.rows);
  if (judged !== undefined) print(findingLines(judged).join("\n") + "\n");
  const zeros = zeroLines(zerosOf(results));
  if (zeros.length > 0) print(zeros.join("\n") + "\n");
  const files = await writeReport(out, [run], options);
  print(`${visible(join(out, RESULTS))}  ${rows.length} rows`);
  if (trainings.length > 0) {
    print(
      `${
        visible(join(out, VARIANTS))
      }  ${compared.length} rows, of the variants at their best rates`,
    );
  }
  print(`${visible(files.page)}  the report, with ${files.pictures.length} pictures beside it`);
  tellLeft(files);
}

/** Tells which kinds of pictures' files could not be made. */
export function tellLeft({ left }: Pick<ReportFiles, "left">): void {
  for (const { kind, reason } of left) {
    printError(`no ${kind.toUpperCase()} files: ${reason.split("\n")[0]}`);
  }
}

/**
 * Prints what a sweep found and writes its report.
 *
 * @param again The command that continues with it.
 * @returns The exit code: 0 where every cell has its result, or had its time.
 */
export async function conclude(
  { table, failed, total, resumed, stopped, timeIsUp, texts }: SweepResult,
  { trainings = [] }: Pick<SweepConfiguration, "trainings">,
  out: string,
  again: string,
): Promise<number> {
  // Whoever stops a process waits half a minute for its end, at most: there are no PNGs and PDFs.
  const files = stopped && !timeIsUp ? { files: [] } : {};
  if (table.length > 0) await tellResults(table, trainings, out, files);
  for (const text of texts) print(visible(text));
  if (resumed > 0) print(`${resumed} of ${total} cells were there already`);
  const reasons = Map.groupBy(failed, ({ reason }) => reason);
  for (const [reason, cells] of reasons) {
    printError(`${cells.length} of ${total} cells have no result: ${reason}`);
  }
  if (timeIsUp) print(`the time is up: ${visible(again)} continues with the cells that are left`);
  else if (stopped) {
    printError(`stopped: ${visible(again)} continues with the cells that are left`);
    return STOPPED;
  }
  return failed.length > 0 ? 1 : 0;
}
