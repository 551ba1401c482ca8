import { runCommandLine } from "./command_line.ts";
import { EVAL, evalCommand, modelSourceOptions } from "./commands/eval.ts";
import { MERGE, mergeCommand } from "./commands/merge.ts";
import { dropNetwork } from "./commands/permissions.ts";
import { REPORT, reportCommand } from "./commands/report.ts";
import { RULER, rulerCommand } from "./commands/ruler.ts";
import { SWEEP, sweepCommand } from "./commands/sweep.ts";
import { TRAIN, trainCommand } from "./commands/train.ts";
import { ModelSource } from "./subjects/source.ts";

if (import.meta.main) {
  await dropNetwork(Deno.args, import.meta.url);
  Deno.exit(
    await runCommandLine(Deno.args, [
      {
        specification: SWEEP,
        run: async (command) => {
          await using source = new ModelSource(modelSourceOptions(command));
          return await sweepCommand(command, source);
        },
      },
      { specification: EVAL, run: evalCommand },
      { specification: TRAIN, run: trainCommand },
      {
        specification: MERGE,
        run: (command) => mergeCommand(command, new ModelSource(modelSourceOptions(command))),
      },
      { specification: RULER, run: rulerCommand },
      { specification: REPORT, run: reportCommand },
    ]),
  );
}
