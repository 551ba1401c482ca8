import { join } from "@std/path";
import { writeReport } from "../report/write.ts";
import { parseRows } from "../sweep/rows.ts";
import { RESULTS } from "../sweep/run.ts";
import { type CommandSpecification, type ParsedCommand, UsageError } from "./options.ts";

/** The face of `deno task report`. */
export const REPORT: CommandSpecification = {
  name: "report",
  summary: "Make a sweep's report again from its sweep.csv alone.",
  operands: "FOLDER",
  options: {
    out: { takes: "FOLDER", help: "where the report goes: beside the CSV unless told" },
  },
};

/** Runs `deno task report`. @returns The exit code. */
export async function reportCommand({ operands, values }: ParsedCommand): Promise<number> {
  const [folder, ...more] = operands;
  if (folder === undefined || more.length > 0) {
    throw new UsageError("report takes one folder with a sweep.csv in it, such as results/default");
  }
  const path = join(folder, RESULTS);
  let csv: string;
  try {
    csv = await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(
      `Cannot read ${path}: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
  const { page, pictures } = await writeReport(values.get("out") ?? folder, parseRows(csv, path));
  console.log(`${page}, with ${pictures.length} pictures beside it`);
  return 0;
}
