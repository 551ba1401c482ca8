import { fromFileUrl, join } from "@std/path";
import { openGpu } from "../../kernels/gpu/mod.ts";
import { ZOO, zooDirectory } from "../../models/zoo/mod.ts";
import {
  type CommandSpecification,
  listOf,
  numberOf,
  type ParsedCommand,
  UsageError,
} from "./options.ts";
import { describeTraining, standardOutput, TrainingView } from "./progress.ts";
import { findRecipe, type Recipe, RECIPES } from "../training/recipe.ts";
import { isFinished } from "../training/once.ts";
import { train, type TrainingProgress } from "../training/train.ts";
import { visible } from "../names.ts";
import { print } from "./terminal.ts";

/** The face of `deno task train`. */
export const TRAIN: CommandSpecification = {
  name: "train",
  summary: "Train a model by a recipe.",
  operands: "RECIPE",
  options: {
    out: {
      takes: "FOLDER",
      help: "where model, log and checkpoints go: results/train/<recipe> unless told",
    },
    resume: { help: "go on from the folder's checkpoint; with --zoo, skip finished models" },
    steps: { takes: "N", help: "at most this many steps" },
    seed: { takes: "N", help: "another seed of the initial values and the data" },
    length: { takes: "N", help: "another training length in tokens" },
    batch: { takes: "N", help: "sequences a step" },
    "learning-rate": { takes: "RATE", help: "another peak learning rate" },
    "learning-rates": {
      takes: "RATE,…",
      help: "train once with each, in folders beside one another, and compare",
    },
    zoo: { help: "make every committed model again, in its own folder or below --out" },
    list: { help: "print the recipes" },
  },
  details:
    `A recipe is called by an architecture and what it learns, such as gla-mixture; --list prints all.
A checkpoint is written every minute: a run that was ended goes on with --resume, to the same losses.`,
};

interface Flags {
  readonly out?: string;
  readonly resume: boolean;
  readonly recipe: (recipe: Recipe) => Recipe;
}

/**
 * Runs `deno task train`.
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
    recipe: (recipe) => ({
      ...recipe,
      steps: count("steps") ?? recipe.steps,
      seed: count("seed") ?? recipe.seed,
      length: count("length") ?? recipe.length,
      batch: count("batch") ?? recipe.batch,
      learningRate: rateOf("learning-rate", values.get("learning-rate")) ?? recipe.learningRate,
    }),
  };
  if (switches.has("zoo")) return await trainZoo(flags);
  const [name, ...rest] = operands;
  if (name === undefined || rest.length > 0) {
    throw new UsageError(`Name one recipe: there are ${[...RECIPES.keys()].join(", ")}`);
  }
  const recipe = flags.recipe(findRecipe(name));
  const out = flags.out ?? join("results", "train", name);
  const rates = listOf(values.get("learning-rates")).map((rate) => rateOf("learning-rates", rate)!);
  if (rates.length > 0) return await sweepRates(recipe, rates, out, flags.resume);
  await trainOne(recipe, out, flags.resume);
  return 0;
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

async function trainZoo({ out, resume, recipe }: Flags): Promise<number> {
  for (const name of ZOO) {
    const folder = out === undefined ? fromFileUrl(zooDirectory(name)) : join(out, name);
    if (resume && await isFinished(folder)) {
      print(`${name}: finished before`);
      continue;
    }
    await trainOne(recipe(findRecipe(name)), folder, resume);
  }
  return 0;
}

async function sweepRates(
  recipe: Recipe,
  rates: readonly number[],
  out: string,
  resume: boolean,
): Promise<number> {
  const outcomes = [];
  for (const learningRate of rates) {
    const folder = join(out, `rate-${learningRate}`);
    const outcome = await trainOne({ ...recipe, learningRate }, folder, resume);
    outcomes.push({ learningRate, folder, ...outcome });
  }
  outcomes.sort((a, b) => a.loss - b.loss);
  print("\nlearning rate     loss  worst accuracy  steps");
  for (const { learningRate, loss, accuracies, step } of outcomes) {
    print(
      `${String(learningRate).padEnd(13)} ${loss.toFixed(4).padStart(8)}  ${
        Math.min(...accuracies).toFixed(3).padStart(14)
      }  ${String(step).padStart(5)}`,
    );
  }
  print(`\nThe best is in ${visible(outcomes[0].folder)}`);
  return 0;
}

async function trainOne(
  recipe: Recipe,
  directory: string,
  resume: boolean,
): Promise<TrainingProgress> {
  await using gpu = await openGpu();
  const view = new TrainingView(standardOutput());
  const outcome = await train(gpu, recipe, {
    directory,
    resume,
    onProgress: (progress) => view.show(recipe, progress),
  });
  view.close();
  print(`${recipe.name}: ${describeTraining(recipe, outcome)}; the model is in ${directory}`);
  return outcome;
}

/** A whole number above 0, where there is a value. @throws {UsageError} where it is none. */
function countOf(option: string, value: string | undefined): number | undefined {
  const number = numberOf(option, value);
  if (number === undefined || (Number.isInteger(number) && number > 0)) return number;
  throw new UsageError(`--${option} takes whole numbers above 0: current value is ${value}`);
}

/** A learning rate, where there is a value. @throws {UsageError} where it is none. */
function rateOf(option: string, value: string | undefined): number | undefined {
  const number = numberOf(option, value);
  if (number === undefined || number > 0) return number;
  throw new UsageError(`--${option} takes rates above 0: current value is ${value}`);
}
