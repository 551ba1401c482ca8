import { join } from "@std/path";
import { didYouMean } from "../../models/did_you_mean.ts";
import { INTERVENTION_NAMES, isHubModel, ZOO } from "../../models/mod.ts";
import { TUNING_SWEEPS } from "../experiments/findings/mod.ts";
import { SWEEPS } from "../experiments/mod.ts";
import { fileName } from "../names.ts";
import type { SubjectSource } from "../subject.ts";
import { enumerateCells, type ModelCells } from "../sweep/cells.ts";
import { checkConfiguration, type SweepConfiguration } from "../sweep/configuration.ts";
import { JOURNAL } from "../sweep/journal.ts";
import { journalsIn } from "../sweep/merge.ts";
import { findModels, MODELS } from "../sweep/models.ts";
import { RECIPES } from "../training/recipe.ts";
import { sweepHash } from "../sweep/run.ts";
import { readSweep } from "../sweep/sweep_file.ts";
import { parseShard, type Shard, shardFolder } from "../sweep/shards.ts";
import { dryRun } from "./estimate.ts";
import {
  changeGrid,
  checkEffects,
  LOG_SAMPLES,
  MINUTES,
  minutesOf,
  MODEL_OPTIONS,
  PRINT,
  QUESTION_OPTIONS,
  taskLines,
  withModelOptions,
} from "./grid.ts";
import {
  commandLine,
  type CommandSpecification,
  countOf,
  type ParsedCommand,
  UsageError,
} from "./options.ts";
import { shellWord } from "../sweep/slurm.ts";
import { conclude, runShown, tellLeftOut } from "./running.ts";
import { printSweep } from "./print_sweep.ts";
import { printKubernetesJob, submitToSlurm } from "./submit.ts";

/** Command-line interface of `./run sweep`. */
export const SWEEP: CommandSpecification = {
  name: "sweep",
  summary: "Ask models the same question at ever greater lengths, and report how well they answer.",
  operands: "[SWEEP or FILE.json]",
  options: {
    ...QUESTION_OPTIONS,
    ...MODEL_OPTIONS,
    out: { takes: "FOLDER", help: "where results go", default: "results/<sweep>" },
    resume: { help: "continue with the results in the folder, if there are any" },
    minutes: MINUTES,
    "log-samples": LOG_SAMPLES,
    shard: {
      takes: "I/N",
      help: "run one of N shares, from 0/N to (N-1)/N, in FOLDER/shards/; then ./run merge FOLDER",
      default: "the whole",
    },
    slurm: { help: "submit a Slurm job array that runs the shards, and a job that merges them" },
    "slurm-options": {
      takes: "OPTIONS",
      help: 'options of sbatch, such as "--partition=gpu --gres=gpu:1 --time=8:00:00"',
      default: "none",
      verbatim: true,
      needs: ["slurm"],
    },
    kubernetes: {
      takes: "IMAGE",
      help: "print an Indexed Job that runs the shards in a container of this repository",
      default: "run here",
      excludes: ["slurm", "dry-run", "out"], // it prints alone, and its results go to the claim
    },
    claim: {
      takes: "NAME",
      help: "the job's persistent volume claim for results",
      default: "lengthwise-results",
      needs: ["kubernetes"],
    },
    shards: {
      takes: "N",
      help: "how many shards the jobs run",
      default: "as many as there are, or one for each model",
      needs: ["slurm", "kubernetes", "dry-run"],
    },
    steps: {
      takes: "N",
      help: "at most so many steps of each of the sweep's trainings",
      default: "as its recipe says",
    },
    print: { ...PRINT, excludes: ["slurm", "kubernetes", "dry-run"] },
    "dry-run": {
      help:
        "print the cells, their time and memory as a short calibration has it; of --slurm the script",
    },
  },
  details: `FILE.json holds a question of your own, as --print writes it: tasks/examples/ has five.
Sweeps that have a name: ${Object.keys(SWEEPS).join(", ")} (default: default).
Committed models: ${ZOO.join(", ")}.
A cell is one model, task, length, depth, load and seed; its result is on the disk before the next
begins, so that a sweep that was ended continues with --resume. What a sweep trains first goes into
FOLDER/models, and is trained once; -small fits a machine without a GPU. The folder holds sweep.csv,
journal.jsonl, report.html and its pictures.
Changes of a model's attention: ${INTERVENTION_NAMES.join(", ")}.

${taskLines()}`,
};

/** Options that change what is swept. */
const GRID_OPTIONS = [...Object.keys(QUESTION_OPTIONS), "steps"];

/**
 * Runs `./run sweep`.
 *
 * @returns The exit code: 0 where every cell has its result.
 */
export async function sweepCommand(
  command: ParsedCommand,
  source: SubjectSource,
): Promise<number> {
  const resume = command.switches.has("resume");
  const minutes = minutesOf(command);
  const named = await namedConfiguration(command);
  const shard = shardOf(command);
  const base = command.values.get("out") ?? await folderFor(named.name, resume, shard);
  const out = shard === undefined ? base : shardFolder(base, shard);
  const configuration = await chosenConfiguration(command, named, [out, base]);
  if (command.switches.has("print")) return await printSweep(configuration);
  const models = join(base, MODELS);
  if (command.switches.has("slurm") || command.values.has("kubernetes")) {
    return await submit(command, configuration, source, base);
  }
  const onGrid = (grid: readonly ModelCells[]): void => {
    if (shard === undefined) checkEffects(grid, command); // shards run as they were submitted
  };
  if (command.switches.has("dry-run")) {
    const resumed = resume ? out : undefined;
    const shards = shardCount(command);
    return await dryRun(configuration, source, { shard, shards, models, resumed, onGrid });
  }
  const result = await runShown(configuration, source, {
    out,
    resume,
    models,
    minutes,
    onGrid,
    logSamples: command.switches.has("log-samples"),
    command: commandLine(command),
    ...(shard === undefined ? {} : { shard }),
  });
  const share = shard === undefined ? "" : ` --shard ${shard.index}/${shard.count}`;
  const log = command.switches.has("log-samples") ? " --log-samples" : "";
  const again = `./run sweep --resume --out ${shellWord(base)}${share}${log}`;
  return await conclude(result, configuration, out, again);
}

/** Has the sweep run elsewhere. */
async function submit(
  command: ParsedCommand,
  configuration: SweepConfiguration,
  source: SubjectSource,
  out: string,
): Promise<number> {
  const { values, switches, operands } = command;
  if (values.has("shard")) {
    throw new UsageError("--shard runs a shard here: the jobs are given theirs, of --shards N");
  }
  checkConfiguration(configuration);
  const folder = join(out, MODELS);
  const cards = await findModels(configuration, source, { folder, onLeftOut: tellLeftOut });
  const grid = await enumerateCells(configuration, cards, tellLeftOut); // what cannot be swept fails here
  checkEffects(grid, command); // shards do not
  const image = values.get("kubernetes");
  const there = image === undefined ? await journalsIn(out) : []; // its folder is not on this machine
  const hash = await sweepHash(configuration, cards);
  const other = there.find(({ header }) => header.hash !== hash);
  if (other !== undefined) {
    throw new UsageError(
      `Cannot sweep into ${out} as ${other.folder} is of another sweep: name another folder with --out`,
    );
  }
  const shards = shardCount(command) ??
    there.find(({ header }) => header.shard)?.header.shard?.count ?? grid.length;
  const given = (options: readonly string[]): string[] =>
    options.flatMap((option) => values.has(option) ? [`--${option}=${values.get(option)}`] : []);
  const asked = [...operands, ...given(GRID_OPTIONS)];
  if (asked.length === 0 && !switches.has("resume")) asked.push(configuration.name);
  const loading = given(Object.keys(MODEL_OPTIONS));
  asked.push(...given(["minutes"]), ...(switches.has("log-samples") ? ["--log-samples"] : []));
  const submission = { name: configuration.name, asked, loading, shards, out };
  return image === undefined
    ? await submitToSlurm(submission, values.get("slurm-options"), switches.has("dry-run"))
    : printKubernetesJob(submission, image, values.get("claim") ?? "lengthwise-results");
}

function shardOf({ values }: ParsedCommand): Shard | undefined {
  const text = values.get("shard");
  return text === undefined ? undefined : parseShard(text);
}

function shardCount({ values }: ParsedCommand): number | undefined {
  return countOf("shards", values.get("shards"));
}

async function namedConfiguration({ operands }: ParsedCommand): Promise<SweepConfiguration> {
  if (operands.length > 1) {
    throw new UsageError(`sweep takes one name: current arguments are ${operands.join(" ")}`);
  }
  const [name = "default"] = operands;
  if (name.endsWith(".json")) return await readSweep(name);
  if (Object.hasOwn(TUNING_SWEEPS, name)) return TUNING_SWEEPS[name];
  if (!Object.hasOwn(SWEEPS, name)) {
    await failAsNoSweep(name);
    const known = [...Object.keys(SWEEPS), ...Object.keys(TUNING_SWEEPS)];
    throw new UsageError(didYouMean("sweep", name, known, "./run sweep --help lists all"));
  }
  return SWEEPS[name];
}

/** @throws {UsageError} for a name that is a model's or a file's: where those go. */
async function failAsNoSweep(name: string): Promise<void> {
  const isPath = /[\\/]/.test(name) && !isHubModel(name);
  const info = await Deno.stat(name).catch(() => undefined);
  if (isHubModel(name) || ZOO.includes(name) || RECIPES.has(name) || info?.isDirectory) {
    const what = info?.isDirectory ? "a folder" : "a model";
    throw new UsageError(
      `Cannot sweep ${name} as it is ${what}: ./run sweep --models ${name} asks the model`,
    );
  }
  if (info === undefined && !isPath) return;
  throw new UsageError(
    `Cannot read the sweep ${name}: ${
      info === undefined ? "No such file or directory" : "its name does not end in .json"
    }; a sweep is a file of JSON, or a name that ./run sweep --help lists`,
  );
}

/** The named sweep as the options change it; on resuming without options, what the folder holds. */
async function chosenConfiguration(
  { values, switches, operands }: ParsedCommand,
  named: SweepConfiguration,
  folders: readonly string[],
): Promise<SweepConfiguration> {
  const changed = operands.length > 0 || GRID_OPTIONS.some((option) => values.has(option));
  if (switches.has("resume") && !changed) {
    const [found] = await journalsIn(...folders);
    if (found !== undefined) return withModelOptions(found.header.configuration, { values });
    if (!values.has("shard")) { // the first of a sweep's shards continues from nothing
      throw new UsageError(
        `Cannot resume in ${folders[0]} as it holds no ${JOURNAL}: name its folder with --out`,
      );
    }
  }
  return withSteps(changeGrid(named, { values }), countOf("steps", values.get("steps")));
}

/** A sweep whose trainings have at most so many steps. */
function withSteps(
  { trainings, ...sweep }: SweepConfiguration,
  steps: number | undefined,
): SweepConfiguration {
  if (trainings === undefined) return sweep;
  if (steps === undefined) return { ...sweep, trainings };
  return {
    ...sweep,
    trainings: trainings.map(({ recipe, ...rest }) => ({
      ...rest,
      recipe: { ...recipe, steps: Math.min(steps, recipe.steps) },
    })),
  };
}

/**
 * `results/<name>`, or the first of `results/<name>-2`, `-3`, … that holds no results; to continue, the
 * last that does. A shard goes to its like, into the first.
 */
async function folderFor(name: string, resume: boolean, shard?: Shard): Promise<string> {
  const folder = (number: number): string =>
    join("results", number === 1 ? fileName(name) : `${fileName(name)}-${number}`);
  if (shard !== undefined) return folder(1);
  let number = 1;
  while ((await journalsIn(folder(number))).length > 0) number++;
  return folder(resume ? Math.max(1, number - 1) : number);
}
