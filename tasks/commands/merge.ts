import type { SubjectSource } from "../subject.ts";
import { visible } from "../names.ts";
import { describeCell } from "../sweep/cells.ts";
import { type MergeResult, mergeSweep } from "../sweep/merge.ts";
import { shellWord } from "../sweep/slurm.ts";
import { MODEL_OPTIONS } from "./grid.ts";
import { type CommandSpecification, type ParsedCommand, UsageError } from "./options.ts";
import { describeDamage, tellResults } from "./running.ts";
import { print, printError } from "./terminal.ts";

/** Command-line interface of `./run merge`. */
export const MERGE: CommandSpecification = {
  name: "merge",
  summary: "Join the shards of a sweep into one folder with its sweep.csv and report.",
  operands: "FOLDER…",
  options: {
    ...MODEL_OPTIONS,
    out: { takes: "FOLDER", help: "where the whole goes", default: "the folder, if it is one" },
  },
  details:
    `A folder counts with the shards in it (FOLDER/shards/). What is missing, failed, answered in two ways
or of another sweep is reported, and makes the exit code 1; what was run twice with one answer does not.
./run sweep --resume --out FOLDER runs what is missing.`,
};

/** How many cells are listed one by one. */
const TOLD = 8;

/**
 * Runs `./run merge`.
 *
 * @returns The exit code: 0 where every cell has one answer.
 * @throws {UsageError} where no folder is named.
 */
export async function mergeCommand(
  { operands, values }: ParsedCommand,
  source: Pick<SubjectSource, "find" | "trains">,
): Promise<number> {
  const out = values.get("out") ?? (operands.length === 1 ? operands[0] : undefined);
  if (operands.length === 0 || out === undefined) {
    throw new UsageError(
      "merge takes a sweep's folder, such as results/default, or several folders and --out",
    );
  }
  const result = await mergeSweep(operands, source, out);
  const { configuration, table, joined, total, missing, failed } = result;
  if (table.length > 0) await tellResults(table, configuration.trainings ?? [], out);
  const there = total - missing.length - failed.length;
  print(
    `${there} of ${total} cells, from ${joined.length} ${
      joined.length === 1 ? "journal" : "journals"
    }`,
  );
  return tellFaults(result, out) ? 1 : 0;
}

/** Tells what is wrong. @returns Whether anything is. */
function tellFaults(result: MergeResult, out: string): boolean {
  const { missing, failed, double, contradictions, foreign, damaged, total } = result;
  if (double.length > 0) print(`${double.length} cells were run twice, with one answer`);
  for (const [folder, lines] of Map.groupBy(damaged, ({ folder }) => folder)) {
    printError(describeDamage(folder, lines.map(({ line }) => line)));
  }
  tell(`${missing.length} of ${total} cells are missing`, missing.map(describeCell));
  tell(
    `${failed.length} of ${total} cells have no result`,
    failed.map(({ cell, reason }) => `${describeCell(cell)}: ${reason}`),
  );
  tell(
    `${contradictions.length} cells were run twice, with two answers`,
    contradictions.map(({ cell, kept, other, difference }) =>
      `${describeCell(cell)}: ${difference} (kept ${kept}, not ${other})`
    ),
  );
  tell(
    `${
      foreign.length === 1 ? "1 journal is" : `${foreign.length} journals are`
    } of another sweep, and left out`,
    foreign.map(({ folder, hash, reason }) => `${folder} (${hash.slice(0, 12)}): ${reason}`),
  );
  if (missing.length + failed.length > 0) {
    printError(`./run sweep --resume --out ${shellWord(out)} runs what is missing`);
  }
  return [missing, failed, contradictions, foreign].some(({ length }) => length > 0);
}

function tell(title: string, lines: readonly string[]): void {
  if (lines.length === 0) return;
  printError(`${title}:`);
  for (const line of lines.slice(0, TOLD)) printError(`  ${visible(line)}`);
  if (lines.length > TOLD) printError(`  and ${lines.length - TOLD} more`);
}
