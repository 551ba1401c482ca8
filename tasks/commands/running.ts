import { basename, join, resolve } from "@std/path";
import { writeReport } from "../report/write.ts";
import type { SubjectSource } from "../subject.ts";
import type { SweepConfiguration } from "../sweep/configuration.ts";
import { formatRows, type Row } from "../sweep/rows.ts";
import { RESULTS, runSweep, type SweepOptions, type SweepResult } from "../sweep/run.ts";
import { trainedModels, type Training } from "../sweep/trainings.ts";
import { bestRates, variantRows, VARIANTS } from "../sweep/variants.ts";
import { ProgressView, standardError } from "./progress.ts";
import { resultsTable } from "./table.ts";

/** Runs a sweep with its progress on standard error; Ctrl-C ends it after the cell that is running. */
export async function runShown(
  configuration: SweepConfiguration,
  source: SubjectSource,
  options: Omit<SweepOptions, "signal" | "onProgress">,
): Promise<SweepResult> {
  const view = new ProgressView(standardError());
  const abort = new AbortController();
  const stop = (): void => {
    if (abort.signal.aborted) Deno.exit(130);
    abort.abort();
    console.error("\nstopping after this cell; once more stops at once");
  };
  Deno.addSignalListener("SIGINT", stop);
  try {
    return await runSweep(configuration, source, {
      ...options,
      signal: abort.signal,
      onProgress: (progress) => view.show(progress),
    });
  } finally {
    view.close();
    Deno.removeSignalListener("SIGINT", stop);
  }
}

/**
 * Prints a sweep's results and writes its report. Where the sweep trained its models, both compare the
 * variants, each at its best learning rate and over its training seeds.
 */
export async function tellResults(
  rows: readonly Row[],
  trainings: readonly Training[],
  out: string,
): Promise<void> {
  const compared = trainings.length === 0 ? rows : variantRows(trainings, rows);
  if (trainings.length > 0) await Deno.writeTextFile(join(out, VARIANTS), formatRows(compared));
  console.log(`${resultsTable(compared)}\n`);
  const answered = new Set(rows.map(({ model }) => model));
  for (const [name, rate] of bestRates(trainings, rows)) {
    const tried = trainedModels(trainings)
      .filter((model) => model.variant === name && answered.has(model.name))
      .map(({ recipe }) => recipe.learningRate);
    const rates = [...new Set(tried)];
    if (rates.length < 2) continue;
    const edge = rate === Math.min(...rates) || rate === Math.max(...rates);
    console.log(
      `${name}: the best learning rate is ${rate} of ${rates.join(", ")}${
        edge ? ", at the edge of those: a better one may lie beyond" : ""
      }`,
    );
  }
  const files = await writeReport(out, [{ name: basename(resolve(out)), rows: compared }]);
  console.log(`${join(out, RESULTS)}  ${rows.length} rows`);
  if (trainings.length > 0) {
    console.log(
      `${join(out, VARIANTS)}  ${compared.length} rows, the models' seeds taken together`,
    );
  }
  console.log(`${files.page}  the report, with ${files.pictures.length} pictures beside it`);
}

/**
 * Prints what a sweep found and writes its report.
 *
 * @param again The options that go on with it.
 * @returns The exit code: 0 where every cell has its result.
 */
export async function conclude(
  { rows, failed, total, resumed, stopped }: SweepResult,
  { trainings = [] }: Pick<SweepConfiguration, "trainings">,
  out: string,
  again: string,
): Promise<number> {
  if (rows.length > 0) await tellResults(rows, trainings, out);
  if (resumed > 0) console.log(`${resumed} of ${total} cells were there already`);
  const reasons = Map.groupBy(failed, ({ reason }) => reason);
  for (const [reason, cells] of reasons) {
    console.error(`${cells.length} of ${total} cells have no result: ${reason}`);
  }
  if (stopped) console.error(`stopped: ${again} goes on with the cells that are left`);
  return stopped ? 130 : failed.length > 0 ? 1 : 0;
}
