import { join } from "@std/path";
import type { ModelSubject } from "../subjects/model_subject.ts";
import { ModelSource, type ModelSourceOptions } from "../subjects/source.ts";
import { fileName } from "../names.ts";
import { type ModelCells, modelLength } from "../sweep/cells.ts";
import type { SweepConfiguration } from "../sweep/configuration.ts";
import { findModels, MODELS } from "../sweep/models.ts";
import { dryRun } from "./estimate.ts";
import { printSweep } from "./print_sweep.ts";
import {
  changeGrid,
  checkEffects,
  dtypeOf,
  dtypesOf,
  LOG_SAMPLES,
  MINUTES,
  minutesOf,
  MODEL_OPTIONS,
  PRINT,
  QUESTION_OPTIONS,
  taskLines,
} from "./grid.ts";
import {
  bytesOf,
  commandLine,
  type CommandSpecification,
  type ParsedCommand,
  UsageError,
} from "./options.ts";
import { DownloadView, standardError, TrainingView } from "./progress.ts";
import { conclude, runShown } from "./running.ts";
import { measureStatistics, statisticsTable } from "./statistics.ts";
import { print } from "./terminal.ts";

/** Command-line interface of `./run eval`. */
export const EVAL: CommandSpecification = {
  name: "eval",
  summary:
    "Ask one model, a published checkpoint too, at several lengths; or measure what it costs.",
  options: {
    ...QUESTION_OPTIONS,
    ...MODEL_OPTIONS,
    stats: {
      help: "print parameters, bytes, prefill and step time at each length, and ask nothing",
    },
    out: { takes: "FOLDER", help: "where results go", default: "results/eval/<model>" },
    resume: { help: "continue with the results in the folder, if there are any" },
    print: PRINT,
    "dry-run": { help: "print the cells, their time and memory as a short calibration has it" },
    minutes: MINUTES,
    "log-samples": LOG_SAMPLES,
  },
  details:
    `  ./run eval --model hf:HuggingFaceTB/SmolLM-135M --task niah_single_1 --lengths 512,1k,2k
  ./run eval --model models/my-llama --task text --text book.txt --lengths 1k,4k
  ./run eval --model hf:state-spaces/mamba2-130m --stats --lengths 1k,8k,64k

A download continues where it was ended. It is kept in the cache of $HF_HOME or $XDG_CACHE_HOME;
HF_ENDPOINT names a mirror of the hub, HF_TOKEN gives access to gated models.

${taskLines()}`,
};

/** What is asked by default: enough for an interval, in minutes. */
const EVALUATION: SweepConfiguration = {
  name: "eval",
  models: [],
  tasks: [],
  lengths: ["1x"],
  depths: [],
  loads: [],
  seeds: [0, 1, 2],
  samples: 20,
};

/**
 * How a command line has models found and loaded.
 *
 * @param options.several Whether weights may be kept in several ways: each model says its own then.
 * @throws {UsageError} for a wrong value.
 */
export function modelSourceOptions(
  { values }: Pick<ParsedCommand, "values">,
  { several = false }: { readonly several?: boolean } = {},
): ModelSourceOptions {
  const text = values.get("dtype");
  const dtype = several && dtypesOf(text).length > 1 ? undefined : dtypeOf(text);
  const tokenizer = values.get("tokenizer");
  const memory = bytesOf("memory", values.get("memory"));
  const view = new DownloadView(standardError());
  const training = new TrainingView(standardError());
  return {
    ...(dtype === undefined ? {} : { dtype }),
    ...(tokenizer === undefined ? {} : { tokenizer }),
    ...(memory === undefined ? {} : { memory }),
    onProgress: (progress) => view.show(progress),
    onTraining: (recipe, progress) => training.show(recipe, progress),
  };
}

/**
 * Runs `./run eval`.
 *
 * @returns The exit code: 0 where every cell has its result.
 * @throws {UsageError} where no model is named, or several are.
 */
export async function evalCommand(command: ParsedCommand): Promise<number> {
  const { values, switches } = command;
  const model = values.get("models");
  if (model === undefined) {
    throw new UsageError(
      "eval takes --model: a folder or a .pth, hf:owner/name or hf:owner/name:file, or a committed model's name",
    );
  }
  const minutes = minutesOf(command);
  const configuration = changeGrid(EVALUATION, command);
  if (configuration.models.length !== 1) {
    throw new UsageError(`eval takes one model: ./run sweep --models ${model} takes several`);
  }
  if (switches.has("print")) return await printSweep(configuration);
  await using source = new ModelSource(modelSourceOptions(command));
  if (switches.has("stats")) return await printStatistics(source, configuration);
  const out = values.get("out") ?? join("results", "eval", fileName(model));
  const resume = switches.has("resume");
  const onGrid = (grid: readonly ModelCells[]): void => checkEffects(grid, command);
  if (switches.has("dry-run")) {
    const resumed = resume ? out : undefined;
    return await dryRun(configuration, source, { models: join(out, MODELS), resumed, onGrid });
  }
  const result = await runShown(configuration, source, {
    out,
    resume,
    minutes,
    onGrid,
    logSamples: switches.has("log-samples"),
    command: commandLine(command),
  });
  return await conclude(result, configuration, out, `${commandLine(command)} --resume`);
}

async function printStatistics(
  source: ModelSource,
  configuration: SweepConfiguration,
): Promise<number> {
  // A recipe's model costs the same before its training.
  const [card] = await findModels(configuration, source, { folder: MODELS, train: false });
  const lengths = configuration.lengths.map((length) => modelLength(card, length));
  await using subject: ModelSubject = await source.load(card);
  print(statisticsTable(card, await measureStatistics(subject, lengths)));
  return 0;
}
