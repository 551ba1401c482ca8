// The command line with oracles for models, for tests that need a process of its own.
import { runCommandLine } from "../../tasks/command_line.ts";
import { MERGE, mergeCommand } from "../../tasks/commands/merge.ts";
import { REPORT, reportCommand } from "../../tasks/commands/report.ts";
import { SWEEP, sweepCommand } from "../../tasks/commands/sweep.ts";
import { oracles, windowOracle } from "./window_oracle.ts";

const milliseconds = Number(Deno.env.get("ORACLE_MILLISECONDS") ?? 0);
const blocks = Deno.env.has("ORACLE_BLOCKS");
const source = oracles([
  windowOracle("near", 32, ["mqar", "passkey"], { milliseconds, blocks }),
  windowOracle("far", 4096, ["mqar", "induction", "passkey"], { milliseconds }),
  windowOracle("broken", 64, ["passkey"], { nanAt: 128 }),
  windowOracle("reader", 64, ["text"]),
]);

Deno.exit(
  await runCommandLine(Deno.args, [
    { specification: SWEEP, run: (command) => sweepCommand(command, source) },
    { specification: MERGE, run: (command) => mergeCommand(command, source) },
    { specification: REPORT, run: reportCommand },
  ]),
);
