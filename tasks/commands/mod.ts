import type { Command } from "../command_line.ts";
import { ModelSource } from "../subjects/source.ts";
import { EVAL, evalCommand, modelSourceOptions } from "./eval.ts";
import { MERGE, mergeCommand } from "./merge.ts";
import { REPORT, reportCommand } from "./report.ts";
import { RULER, rulerCommand } from "./ruler.ts";
import { SWEEP, sweepCommand } from "./sweep.ts";
import { TRAIN, trainCommand } from "./train.ts";
import { TUNE, tuneCommand } from "./tune.ts";

/** All commands of the command line. */
export const COMMANDS: readonly Command[] = [
  {
    specification: SWEEP,
    run: async (command) => {
      await using source = new ModelSource(modelSourceOptions(command, { several: true }));
      return await sweepCommand(command, source);
    },
  },
  { specification: EVAL, run: evalCommand },
  { specification: TRAIN, run: trainCommand },
  {
    specification: MERGE,
    run: (command) =>
      mergeCommand(command, new ModelSource(modelSourceOptions(command, { several: true }))),
  },
  { specification: RULER, run: rulerCommand },
  { specification: REPORT, run: reportCommand },
  { specification: TUNE, run: tuneCommand },
];
