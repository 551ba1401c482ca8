import { fromFileUrl, join } from "@std/path";
import { openGpu } from "../../kernels/gpu/mod.ts";
import { COMMITTED_MODELS, zooDirectory } from "../../models/zoo/mod.ts";
import {
  commandLine,
  type CommandSpecification,
  countOf,
  listOf,
  numberOf,
  type ParsedCommand,
  tokensOf,
  UsageError,
} from "./options.ts";
import { describeTraining, standardOutput, TrainingView } from "./progress.ts";
import { findRecipe, type Recipe, RECIPES } from "../training/recipe.ts";
import { isFinished } from "../training/once.ts";
import { DivergedError } from "../training/checkpoint.ts";
import { readTuning } from "../tuning/file.ts";
import { train, type TrainingProgress, type TrainOptions } from "../training/train.ts";
import { fileName, visible } from "../names.ts";
import { readRecipe, recipeText } from "../training/recipe_file.ts";
import { listenForStop, print, printError, type Stop, STOPPED } from "./terminal.ts";

/** Command-line interface of `./run train`. */
export const TRAIN: CommandSpecification = {
  name: "train",
  summary: "Train a model by a recipe.",
  operands: "RECIPE or FILE.json",
  options: {
    out: {
      takes: "FOLDER",
      help: "where model, log and checkpoints go",
      default: "results/train/<recipe>",
    },
    resume: { help: "continue from the folder's checkpoint; what is finished stays as it is" },
    overwrite: { help: "begin anew where the folder holds a finished model or a checkpoint" },
    steps: { takes: "N", help: "at most so many steps", default: "the recipe's" },
    seed: {
      takes: "N",
      help: "seed of the initial values and the data",
      default: "the recipe's",
    },
    length: { takes: "LENGTH", help: "training length in tokens", default: "the recipe's" },
    batch: { takes: "N", help: "sequences per step", default: "the recipe's" },
    "learning-rate": { takes: "RATE", help: "peak learning rate", default: "the recipe's" },
    "learning-rates": {
      takes: "RATE,…",
      help: "train once with each, in folders beside one another, and compare",
      default: "one training",
    },
    zoo: {
      help: "make every committed model, in its own folder (with --overwrite) or below --out",
    },
    list: { help: "print the recipes" },
    print: { help: "print the recipe as JSON, as a file that train reads, and do no more" },
  },
  details: `FILE.json holds a recipe of your own, as --print and every training write it:
tasks/examples/hybrid.json is one.
A recipe is called by an architecture and what it learns, such as gla-mixture; --list prints all.
A checkpoint is written every minute, and by Ctrl-C and SIGTERM: a run that was ended continues with
--resume, to the same losses.`,
};

interface Flags {
  readonly out?: string;
  readonly resume: boolean;
  readonly overwrite: boolean;
  readonly recipe: (recipe: Recipe) => Recipe;
}

/**
 * Runs `./run train`.
 *
 * @returns The exit code.
 * @throws {UsageError} where not one recipe is named.
 */
export async function trainCommand(command: ParsedCommand): Promise<number> {
  const { operands, values, switches } = command;
  if (switches.has("list")) return listRecipes();
  const count = (name: string): number | undefined => countOf(name, values.get(name));
  const flags: Flags = {
    out: values.get("out"),
    resume: switches.has("resume"),
    overwrite: switches.has("overwrite"),
    recipe: (recipe) => ({
      ...recipe,
      steps: count("steps") ?? recipe.steps,
      seed: count("seed") ?? recipe.seed,
      length: tokensOf("length", values.get("length")) ?? recipe.length,
      batch: count("batch") ?? recipe.batch,
      learningRate: rateOf("learning-rate", values.get("learning-rate")) ?? recipe.learningRate,
    }),
  };
  if (switches.has("zoo")) return await trainZoo(flags, command);
  const [name, ...rest] = operands;
  if (name === undefined || rest.length > 0) {
    throw new UsageError(
      "train takes one recipe, by its name or its file: ./run train --list prints all",
    );
  }
  const recipe = flags.recipe(await readRecipe(name));
  if (switches.has("print")) {
    print(recipeText(recipe, "recipe.json").trimEnd()); // as it is from here
    return 0;
  }
  const out = flags.out ?? join("results", "train", fileName(recipe.name));
  const rates = listOf(values.get("learning-rates")).map((rate) => rateOf("learning-rates", rate)!);
  using stop = listenForStop("at a checkpoint");
  try {
    if (rates.length > 0) return await sweepRates(recipe, rates, out, flags, stop);
    await trainOne(recipe, out, flags, stop);
    return 0;
  } catch (error) {
    return told(error, stop, command);
  }
}

/** Tells that training was stopped, where it was, and how it continues. @returns The exit code. */
function told(error: unknown, { signal }: Stop, { words }: ParsedCommand): number {
  if (!signal.aborted || error !== signal.reason) throw error;
  const again = commandLine({ words: words.filter((word) => word !== "--overwrite") });
  printError(visible(`stopped at a checkpoint: ${again} --resume continues from it`));
  return STOPPED;
}

function listRecipes(): number {
  for (const { name, model, tasks, length, steps } of RECIPES.values()) {
    print(
      `${name.padEnd(26)} width ${model.width}, ${model.layers.length} layers; ${
        tasks.map((task) => task.name).join(", ")
      } at ${length} tokens; at most ${steps} steps`,
    );
  }
  return 0;
}

async function trainZoo(flags: Flags, command: ParsedCommand): Promise<number> {
  const { out, resume, recipe } = flags;
  using stop = listenForStop("at a checkpoint");
  try {
    for (const { name, recipe: recipeName, seed } of COMMITTED_MODELS) {
      const folder = out === undefined ? fromFileUrl(zooDirectory(name)) : join(out, name);
      if (resume && await isFinished(folder)) {
        print(`${name}: finished before`);
        continue;
      }
      const own = recipe({ ...findRecipe(recipeName), seed });
      await trainOne(own, folder, { ...flags, dtype: "f16" }, stop);
    }
    return 0;
  } catch (error) {
    return told(error, stop, command);
  }
}

async function sweepRates(
  recipe: Recipe,
  rates: readonly number[],
  out: string,
  flags: Flags,
  stop: Stop,
): Promise<number> {
  const outcomes: { learningRate: number; folder: string; progress?: TrainingProgress }[] = [];
  for (const learningRate of rates) {
    const folder = join(out, `rate-${learningRate}`);
    try {
      const progress = await trainOne({ ...recipe, learningRate }, folder, flags, stop);
      outcomes.push({ learningRate, folder, progress });
    } catch (error) {
      if (!(error instanceof DivergedError)) throw error;
      printError(error.message); // the rates below it may serve
      outcomes.push({ learningRate, folder });
    }
  }
  const lossOf = ({ progress }: { progress?: TrainingProgress }): number =>
    progress?.loss ?? Infinity;
  outcomes.sort((a, b) => a.progress || b.progress ? lossOf(a) - lossOf(b) : 0);
  print("\nlearning rate     loss  worst accuracy  steps");
  for (const { learningRate, progress } of outcomes) {
    const rate = String(learningRate).padEnd(13);
    if (progress === undefined) print(`${rate} diverged`);
    else {
      const { loss, accuracies, step } = progress;
      const worst = Math.min(...accuracies).toFixed(3);
      print(
        `${rate} ${loss.toFixed(4).padStart(8)}  ${worst.padStart(14)}  ${
          String(step).padStart(5)
        }`,
      );
    }
  }
  if (outcomes[0].progress === undefined) return 1;
  print(`\nThe best is in ${visible(outcomes[0].folder)}`);
  return 0;
}

async function trainOne(
  recipe: Recipe,
  directory: string,
  { resume, overwrite, dtype }: Flags & Pick<TrainOptions, "dtype">,
  { signal }: Stop,
): Promise<TrainingProgress> {
  await using gpu = await openGpu({ tuning: readTuning });
  const view = new TrainingView(standardOutput());
  try {
    const outcome = await train(gpu, recipe, {
      directory,
      resume,
      overwrite,
      dtype,
      signal,
      onProgress: (progress) => view.show(recipe, progress),
    });
    view.close();
    print(
      `${recipe.name}: ${describeTraining(recipe, outcome)}; the model is in ${visible(directory)}`,
    );
    return outcome;
  } finally {
    view.close();
  }
}

/** A learning rate, where there is a value. @throws {UsageError} where it is none. */
function rateOf(option: string, value: string | undefined): number | undefined {
  const number = numberOf(option, value);
  if (number === undefined || number > 0) return number;
  throw new UsageError(`--${option} takes rates above 0: current value is ${value}`);
}
