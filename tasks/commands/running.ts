import { basename, join, resolve } from "@std/path";
import { writeReport } from "../report/write.ts";
import type { SubjectSource } from "../subject.ts";
import type { SweepConfiguration } from "../sweep/configuration.ts";
import { runSweep, type SweepOptions, type SweepResult } from "../sweep/run.ts";
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
 * Prints what a sweep found and writes its report.
 *
 * @param again The options that go on with it.
 * @returns The exit code: 0 where every cell has its result.
 */
export async function conclude(
  { rows, failed, total, resumed, stopped }: SweepResult,
  out: string,
  again: string,
): Promise<number> {
  if (rows.length > 0) {
    console.log(`${resultsTable(rows)}\n`);
    const files = await writeReport(out, [{ name: basename(resolve(out)), rows }]);
    console.log(`${join(out, "sweep.csv")}  ${rows.length} rows`);
    console.log(`${files.page}  the report, with ${files.pictures.length} pictures beside it`);
  }
  if (resumed > 0) console.log(`${resumed} of ${total} cells were there already`);
  const reasons = Map.groupBy(failed, ({ reason }) => reason);
  for (const [reason, cells] of reasons) {
    console.error(`${cells.length} of ${total} cells have no result: ${reason}`);
  }
  if (stopped) console.error(`stopped: ${again} goes on with the cells that are left`);
  return stopped ? 130 : failed.length > 0 ? 1 : 0;
}
