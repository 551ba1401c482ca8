import { parseArgs } from "@std/cli/parse-args";
import { fromFileUrl, join } from "@std/path";
import { openGpu } from "../../kernels/gpu/mod.ts";
import { ZOO, zooDirectory } from "../../models/zoo/mod.ts";
import { findRecipe, type Recipe, RECIPES } from "../training/recipe.ts";
import { train, type TrainingProgress } from "../training/train.ts";

/** What `deno task train --help` prints. */
export const TRAIN_HELP = `Train a model by a recipe.

Usage: deno task train <recipe> [options]
       deno task train --zoo [options]
       deno task train --list

Options:
  --out <folder>            where the model, the log and checkpoints go (default: results/train/<recipe>;
                            with --zoo: the committed models' own folders)
  --resume                  go on from the folder's checkpoint; with --zoo, skip models that are finished
  --steps <n>               at most this many steps
  --seed <n>                another seed for the initial values and the data
  --length <n>              another training length in tokens
  --batch <n>               sequences a step
  --learning-rate <rate>    another peak learning rate
  --learning-rates <a,b,…>  train once with each, in folders beside one another, and compare
  --zoo                     make every committed model again
  --list                    print the recipes
  --help                    print this
`;

interface Flags {
  readonly out?: string;
  readonly resume: boolean;
  readonly recipe: (recipe: Recipe) => Recipe;
}

/** Runs `deno task train`. @throws {Error} with one clear line for whatever is wrong. */
export async function trainCommand(args: readonly string[]): Promise<void> {
  const parsed = parseArgs([...args], {
    boolean: ["help", "list", "zoo", "resume"],
    string: ["out", "steps", "seed", "length", "batch", "learning-rate", "learning-rates"],
    unknown: (arg) => {
      if (!arg.startsWith("-")) return true;
      throw new RangeError(`There is no option ${arg}: deno task train --help lists them`);
    },
  });
  if (parsed.help) return console.log(TRAIN_HELP);
  if (parsed.list) return listRecipes();
  const flags: Flags = {
    out: parsed.out,
    resume: parsed.resume,
    recipe: (recipe) => ({
      ...recipe,
      steps: numberOf("steps", parsed.steps) ?? recipe.steps,
      seed: numberOf("seed", parsed.seed) ?? recipe.seed,
      length: numberOf("length", parsed.length) ?? recipe.length,
      batch: numberOf("batch", parsed.batch) ?? recipe.batch,
      learningRate: numberOf("learning-rate", parsed["learning-rate"]) ?? recipe.learningRate,
    }),
  };
  if (parsed.zoo) return await trainZoo(flags);
  const [name, ...rest] = parsed._.map(String);
  if (name === undefined || rest.length > 0) {
    throw new RangeError(
      `Name one recipe: ${[...RECIPES.keys()].join(", ")} (deno task train --help says more)`,
    );
  }
  const recipe = flags.recipe(findRecipe(name));
  const out = flags.out ?? join("results", "train", name);
  if (parsed["learning-rates"] === undefined) {
    await trainOne(recipe, out, flags.resume);
    return;
  }
  const rates = parsed["learning-rates"].split(",").map((rate) =>
    numberOf("learning-rates", rate)!
  );
  await sweepRates(recipe, rates, out, flags.resume);
}

function listRecipes(): void {
  for (const { name, model, tasks, length, steps } of RECIPES.values()) {
    console.log(
      `${name.padEnd(26)} width ${model.width}, ${model.layers.length} layers; ${
        tasks.map((task) => task.name).join(", ")
      } at ${length} tokens; at most ${steps} steps`,
    );
  }
}

async function trainZoo({ out, resume, recipe }: Flags): Promise<void> {
  for (const name of ZOO) {
    const folder = out === undefined ? fromFileUrl(zooDirectory(name)) : join(out, name);
    if (resume && await isFinished(folder)) {
      console.log(`${name}: finished before`);
      continue;
    }
    await trainOne(recipe(findRecipe(name)), folder, resume);
  }
}

async function isFinished(folder: string): Promise<boolean> {
  const exists = (file: string): Promise<boolean> =>
    Deno.stat(join(folder, file)).then(() => true, () => false);
  return await exists("model.safetensors") && !await exists("checkpoint.safetensors");
}

async function sweepRates(
  recipe: Recipe,
  rates: readonly number[],
  out: string,
  resume: boolean,
): Promise<void> {
  const outcomes = [];
  for (const learningRate of rates) {
    const folder = join(out, `rate-${learningRate}`);
    const outcome = await trainOne({ ...recipe, learningRate }, folder, resume);
    outcomes.push({ learningRate, folder, ...outcome });
  }
  outcomes.sort((a, b) => a.loss - b.loss);
  console.log("\nlearning rate     loss  worst accuracy  steps");
  for (const { learningRate, loss, accuracies, step } of outcomes) {
    console.log(
      `${String(learningRate).padEnd(13)} ${loss.toFixed(4).padStart(8)}  ${
        Math.min(...accuracies).toFixed(3).padStart(14)
      }  ${String(step).padStart(5)}`,
    );
  }
  console.log(`\nThe best is in ${outcomes[0].folder}`);
}

async function trainOne(
  recipe: Recipe,
  directory: string,
  resume: boolean,
): Promise<TrainingProgress> {
  await using gpu = await openGpu();
  const line = new ProgressLine(recipe);
  const outcome = await train(gpu, recipe, {
    directory,
    resume,
    onProgress: (progress) => line.show(progress),
  });
  line.end();
  console.log(`${recipe.name}: ${describe(recipe, outcome)}; the model is in ${directory}`);
  return outcome;
}

/** One line that is rewritten on a terminal, and printed every few seconds elsewhere. */
class ProgressLine {
  readonly #recipe: Recipe;
  readonly #live = Deno.stdout.isTerminal();
  #shown = -Infinity;

  constructor(recipe: Recipe) {
    this.#recipe = recipe;
  }

  show(progress: TrainingProgress): void {
    const now = performance.now();
    if (now - this.#shown < (this.#live ? 200 : 10_000)) return;
    this.#shown = now;
    const text = `${this.#recipe.name}: ${describe(this.#recipe, progress)}`;
    if (this.#live) {
      Deno.stdout.writeSync(new TextEncoder().encode(`\r\x1b[K${text.slice(0, columns() - 1)}`));
    } else console.log(text);
  }

  end(): void {
    if (this.#live) Deno.stdout.writeSync(new TextEncoder().encode("\r\x1b[K"));
  }
}

function columns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}

function describe(recipe: Recipe, progress: TrainingProgress): string {
  const { step, end, loss, accuracies, tokensPerSecond, seconds } = progress;
  const tasks = recipe.tasks.map(({ name }, index) =>
    `${name} ${isNaN(accuracies[index]) ? "–" : accuracies[index].toFixed(3)}`
  );
  return `step ${step}/${end}, loss ${loss.toFixed(4)}, ${tasks.join(", ")}, ${
    Math.round(tokensPerSecond)
  } tokens/s, ${Math.round(seconds)} s`;
}

function numberOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === "" || !(value > 0)) {
    throw new RangeError(`--${flag} takes a number above 0: current value is "${text}"`);
  }
  return value;
}
