import { runCommandLine } from "./command_line.ts";
import { REPORT, reportCommand } from "./commands/report.ts";
import { SWEEP, sweepCommand } from "./commands/sweep.ts";
import { zoo } from "./zoo.ts";

if (import.meta.main) {
  Deno.exit(
    await runCommandLine(Deno.args, [
      { specification: SWEEP, run: (command) => sweepCommand(command, zoo()) },
      { specification: REPORT, run: reportCommand },
    ]),
  );
}
