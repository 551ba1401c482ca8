import { dirname, join } from "@std/path";
import { RULER_TASKS } from "../generators/ruler/names.ts";
import { reasonOf } from "../errors.ts";
import { fileName } from "../names.ts";
import type { SampleRecord } from "../sweep/samples.ts";

/** Where the predictions are, in a results folder. */
export const PREDICTIONS = "predictions";

/**
 * Writes the replies to RULER's tasks as its `scripts/eval/evaluate.py` reads them: a folder for each
 * model and length, with a `<task>.jsonl` for each task. The samples of several seeds and depths are
 * numbered one after the other.
 *
 * @returns The folders, each what `--data_dir` takes.
 * @throws {Error} where they cannot be written.
 */
export async function writePredictions(
  records: AsyncIterable<SampleRecord>,
  out: string,
): Promise<string[]> {
  const counts = new Map<string, number>();
  const loads = new Map<string, number | undefined>(); // other loads than the first have their own
  for await (const { cell, ...record } of records) {
    const { model, template, task, length, load } = cell;
    if (!(RULER_TASKS as readonly string[]).includes(task)) continue;
    const named = [model, ...(template === undefined || template === "base" ? [] : [template])];
    const folder = join(out, PREDICTIONS, fileName(named.join("-")));
    const kind = JSON.stringify([folder, length, task]);
    if (!loads.has(kind)) loads.set(kind, load);
    const loaded = loads.get(kind) === load ? "" : `-load-${load}`;
    const path = join(folder, `${length}${loaded}`, "pred", `${task}.jsonl`);
    const index = counts.get(path) ?? 0;
    counts.set(path, index + 1);
    const { input, outputs, pred, others, truncation, length: tokens } = record;
    const line = { index, input, outputs, pred, others, truncation, length: tokens };
    try {
      if (index === 0) await Deno.mkdir(dirname(path), { recursive: true });
      const how = index === 0 ? { create: true } : { append: true };
      await Deno.writeTextFile(path, `${JSON.stringify(line)}\n`, how);
    } catch (error) {
      throw new Error(`Cannot write ${path}: ${reasonOf(error)}; name another folder with --out`, {
        cause: error,
      });
    }
  }
  return [...new Set([...counts.keys()].map((path) => dirname(path)))];
}
