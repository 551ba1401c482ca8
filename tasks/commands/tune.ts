import { adapterIdentity, type Gpu, type NotedProblem, openGpu } from "../../kernels/gpu/mod.ts";
import { ModelSource } from "../subjects/source.ts";
import {
  entryOf,
  readTunings,
  type TunedAdapter,
  tuningPath,
  writeTuning,
} from "../tuning/file.ts";
import { randomModel, SHAPES } from "../tuning/shapes.ts";
import { traceModel } from "../tuning/trace.ts";
import {
  defaultProblems,
  isFast,
  tracedTokens,
  tune,
  type TuningProgress,
} from "../tuning/tune.ts";
import {
  type CommandSpecification,
  listOf,
  numberOf,
  type ParsedCommand,
  UsageError,
} from "./options.ts";
import { listenForStop, print, printError, STOPPED } from "./terminal.ts";

/** Minutes that a tuning takes by default. */
const MINUTES = 5;
/** Layers of a model of a published shape: all are alike. */
const LAYERS = 2;

/** Command-line interface of `./run tune`. */
export const TUNE: CommandSpecification = {
  name: "tune",
  summary: "Measure which variants of the kernels are the fastest here, and remember them.",
  options: {
    minutes: { takes: "N", help: "stop after so many minutes", default: `${MINUTES}` },
    models: {
      takes: "NAME,…",
      help: `measure what these models need: as sweep takes them, or the shapes ${
        Object.keys(SHAPES).join(", ")
      }`,
      alias: "model",
      default: "small models, their training and on a GPU those shapes",
    },
    print: { help: "print what was measured here, and measure nothing" },
  },
  details:
    `The fastest are kept in the user's cache for this adapter, its driver and this version of Deno, and
sweep, eval, train and bench use them; a program does with openGpu({ tuning: readTuning }). A default
keeps its place unless another is at least 3% faster, measured twice, on no problem slower, and its
results are the same up to rounding.`,
};

/**
 * Runs `./run tune`.
 *
 * @returns The exit code.
 * @throws {UsageError} for a wrong value.
 */
export async function tuneCommand({ values, switches }: ParsedCommand): Promise<number> {
  const minutes = numberOf("minutes", values.get("minutes")) ?? MINUTES;
  if (!(minutes > 0)) {
    throw new UsageError(
      `--minutes takes numbers greater than 0: current value is ${values.get("minutes")}`,
    );
  }
  const path = tuningPath();
  if (path === undefined) {
    throw new Error(
      "Cannot tune as the user's cache may not be read: run ./run tune, or allow --allow-read, --allow-write and --allow-env",
    );
  }
  await using gpu = await openGpu();
  if (switches.has("print")) return await printTuning(gpu, path);
  const start = performance.now();
  using stop = listenForStop("after this class of problems");
  const models = listOf(values.get("models"));
  printError(`${gpu.adapter.name}: looking at what ${models.join(", ") || "models"} need`);
  const fast = await isFast(gpu);
  const notes = models.length === 0
    ? await defaultProblems(gpu, fast, start + minutes * 30_000)
    : await problemsOf(gpu, models, fast);
  const { entry, left } = await tune(gpu, notes, {
    models,
    deadline: start + minutes * 60_000,
    signal: stop.signal,
    onProgress: (progress) => printError(progressLine(progress)),
  });
  if (entry.classes.length > 0) await writeTuning(path, entry);
  print(summary(entry, left));
  return stop.signal.aborted ? STOPPED : 0;
}

/** The problems of models: of a published shape with random weights, or of one that is loaded. */
async function problemsOf(
  gpu: Gpu,
  names: readonly string[],
  fast: boolean,
): Promise<readonly NotedProblem[]> {
  const notes: NotedProblem[] = [];
  const tokens = tracedTokens(fast);
  await using source = new ModelSource({}, gpu);
  for (const name of names) {
    const shape = SHAPES[name];
    if (shape !== undefined) {
      using model = randomModel(gpu, shape(LAYERS), gpu.supportsF16 ? "f16" : "f32");
      notes.push(...await traceModel(gpu, model, tokens));
      continue;
    }
    const [card] = await source.find([name]);
    await using subject = await source.load(card);
    notes.push(...await traceModel(gpu, subject.model, tokens));
  }
  return notes;
}

function progressLine({ last, done, total }: TuningProgress): string {
  const { tunable, class: of, candidate, standard } = last;
  const gain = candidate === standard ? candidate : `${candidate}, ${gainOf(last)}`;
  return `${done} of ${total}: ${tunable}, ${of}: ${gain}`;
}

/** How much faster the chosen candidate is than the default. */
function gainOf({ candidate, standard, problems }: TunedAdapter["classes"][number]): string {
  const total = (name: string): number =>
    problems.reduce((sum, { milliseconds }) => sum + milliseconds[name], 0);
  return `${(total(standard) / total(candidate)).toFixed(2)}× as fast as ${standard}`;
}

function summary({ adapter, classes }: TunedAdapter, left: number): string {
  const better = classes.filter(({ candidate, standard }) => candidate !== standard);
  const rest = left === 0
    ? ""
    : `; ${left} more were not measured in the time given and keep their defaults (--minutes)`;
  return `${adapter}: of ${classes.length} classes of problems, ${better.length} have something faster than the default${rest}`;
}

/** Prints what was measured on this adapter: each class with its candidates. */
async function printTuning(gpu: Gpu, path: string): Promise<number> {
  const entry = entryOf(await readTunings(path), adapterIdentity(gpu.device));
  if (entry === undefined) {
    print(
      `${gpu.adapter.name} with this driver and Deno ${Deno.version.deno}: nothing was measured; ./run tune does`,
    );
    return 0;
  }
  print(`${path}`);
  print(`${entry.adapter}, ${entry.driver}, Deno ${entry.deno}, ${entry.measured}`);
  for (const { tunable, class: of, candidate, standard, problems, refused } of entry.classes) {
    print(`\n${tunable}, ${of}`);
    for (const { problem, milliseconds } of problems) {
      const extents = Object.entries(problem).map(([name, value]) => `${name} ${value}`);
      print(`  ${extents.join(", ")}`);
      for (const [name, time] of Object.entries(milliseconds)) {
        const marks = [
          ...(name === standard ? ["default"] : []),
          ...(name === candidate ? ["chosen"] : []),
        ];
        print(
          `    ${time.toPrecision(3).padStart(9)} ms  ${name}${
            marks.map((mark) => `, ${mark}`).join("")
          }`,
        );
      }
    }
    for (const [name, reason] of Object.entries(refused)) print(`    left out  ${name}: ${reason}`);
  }
  return 0;
}
