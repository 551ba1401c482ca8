/**
 * Where a training step's time goes, kernel by kernel: `deno run -A bench/step_profile.ts [FOLDER] [NAME…]`
 * prints, for each architecture named (all of them by default), the processor time of a whole step and of
 * each kernel in it. With the folder of another checkout, its code takes turns with this one's.
 *
 * A dispatch is submitted by itself and waited for; the process's own time is counted, so that what others
 * do on the machine matters little. On a GPU that is the host's part alone: `gpu.startProfile()` has the
 * GPU's.
 *
 * @module
 */
import { toFileUrl } from "@std/path";
import { type Code, load } from "./checkout.ts";
import type { Dispatch, Gpu, Kernel } from "../kernels/gpu/mod.ts";
import type { ModelConfiguration } from "../models/mod.ts";
import type { TrainingBatch } from "../tasks/training/batch.ts";
import type { Recipe } from "../tasks/training/recipe.ts";

/** What is profiled by default: the models of the findings, and a transformer beside them. */
const NAMES = [
  "transformer",
  "mamba1",
  "mamba2",
  "gla",
  "deltanet",
  "deltanet-4-steps",
  "gated-deltanet",
];
const WIDTH = 32;
const BATCH = 64;
const TIME = 32;
/** Whole steps at a time, and how often; profiled steps. */
const STEPS = 3;
const ROUNDS = 6;
const PROFILES = 4;

/** A kernel's part of a step. */
interface Part {
  readonly dispatches: number;
  readonly milliseconds: number;
}

/** Milliseconds that all threads of this process have computed. */
function processTime(): number {
  if (Deno.build.os !== "linux") return performance.now();
  let nanoseconds = 0;
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    try {
      nanoseconds += Number(
        Deno.readTextFileSync(`/proc/self/task/${name}/schedstat`).split(" ")[0],
      );
    } catch {
      // A thread that has ended meanwhile.
    }
  }
  return nanoseconds / 1e6;
}

/** A model as the findings have it: `deltanet-4-steps` writes four times per token. */
function modelOf({ models }: Code, name: string): ModelConfiguration {
  const [, family, steps] = /^(.*?)(?:-(\d+)-steps)?$/.exec(name)!;
  const model = models.architecture(family, { vocabulary: 64, width: WIDTH });
  if (steps === undefined) return model;
  const layers = model.layers.map((layer) =>
    models.mapMixers(
      layer,
      (mixer) => mixer.kind === "delta_net" ? { ...mixer, steps: Number(steps) } : mixer,
    )
  );
  return { ...model, layers };
}

/** Runs a step, recorded or not. */
type Step = () => void;

async function stepsOf(code: Code, name: string): Promise<{ recorded: Step; plain: Step }> {
  const { gpu, registry, batches, training } = code;
  const task = { name: "mqar" as const, options: registry.smallLayout("mqar") };
  const tasks = [await registry.createTask(task.name, task.options)];
  const recipe: Recipe = {
    name,
    model: modelOf(code, name),
    tasks: [task],
    length: TIME,
    batch: BATCH,
    learningRate: 1e-3,
    warmupSteps: 10,
    firstTaskSteps: 0,
    targetAccuracy: 1,
    steps: 100,
    seed: 0,
  };
  const batch: TrainingBatch = Array.from(
    { length: 40 },
    (_, step) => batches.trainingBatch(recipe, tasks, step),
  ).find(({ time }) => time === TIME)!;
  const stepper = (record: boolean): Step => {
    const trainer = new training.Trainer(gpu, recipe, { record });
    let step = 0;
    return () => {
      for (const { losses, correct } of trainer.step(batch, step++, 1e-3)) {
        losses[Symbol.dispose]();
        correct[Symbol.dispose]();
      }
    };
  };
  return { recorded: stepper(true), plain: stepper(false) };
}

/** The time of each kernel of a step, every dispatch waited for. */
function profile(gpu: Gpu, step: Step): Map<string, Part> {
  const parts = new Map<string, Part>();
  const dispatch = gpu.dispatch;
  const wait = (): void => {
    gpu.flush();
    void gpu.device.queue.onSubmittedWorkDone(); // blocks until the work is done
  };
  wait();
  let empty = Infinity;
  for (let i = 0; i < 20; i++) {
    const start = processTime();
    gpu.device.queue.submit([gpu.device.createCommandEncoder().finish()]);
    wait();
    empty = Math.min(empty, processTime() - start);
  }
  gpu.dispatch = (kernel: Kernel, work: Dispatch): void => {
    wait();
    dispatch.call(gpu, kernel, work);
    const start = processTime();
    wait();
    const milliseconds = Math.max(0, processTime() - start - empty);
    const part = parts.get(kernel.label);
    parts.set(kernel.label, {
      dispatches: (part?.dispatches ?? 0) + 1,
      milliseconds: (part?.milliseconds ?? 0) + milliseconds,
    });
  };
  try {
    step();
  } finally {
    gpu.dispatch = dispatch;
  }
  return parts;
}

function least(parts: readonly Map<string, Part>[]): Map<string, Part> {
  return new Map(
    [...parts[0]].map(([label, { dispatches }]) => [label, {
      dispatches,
      milliseconds: Math.min(...parts.map((each) => each.get(label)!.milliseconds)),
    }]),
  );
}

const isFolder = (path: string): boolean => {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
};
const folders = Deno.args.filter(isFolder);
const named = Deno.args.filter((argument) => !isFolder(argument));
const codes = await Promise.all(
  [
    ...folders.map((path) => toFileUrl(`${Deno.realPathSync(path)}/`)),
    new URL("../", import.meta.url),
  ]
    .map(load),
);

for (const name of named.length > 0 ? named : NAMES) {
  const steps = await Promise.all(codes.map((code) => stepsOf(code, name)));
  const costs = codes.map(() => Infinity);
  for (let round = -1; round < ROUNDS; round++) {
    for (const [index, { recorded }] of steps.entries()) {
      const start = processTime();
      for (let i = 0; i < STEPS; i++) {
        recorded();
        await codes[index].gpu.sync();
      }
      if (round >= 0) costs[index] = Math.min(costs[index], (processTime() - start) / STEPS);
    }
  }
  const profiles = steps.map(({ plain }, index) => {
    plain(); // compiles the kernels
    return least(Array.from({ length: PROFILES }, () => profile(codes[index].gpu, plain)));
  });
  const total = (parts: Map<string, Part>, of: keyof Part): number =>
    [...parts.values()].reduce((sum, part) => sum + part[of], 0);
  const arrow = (values: readonly string[]): string => values.join(" → ");
  console.log(
    `\n${name}: ${arrow(costs.map((cost) => cost.toFixed(1)))} ms a step; ${
      arrow(profiles.map((parts) => String(total(parts, "dispatches"))))
    } dispatches, ${arrow(profiles.map((parts) => total(parts, "milliseconds").toFixed(1)))} ms\n`,
  );
  console.log("| kernel | dispatches | ms |\n| :-- | --: | --: |");
  const last = profiles.at(-1)!;
  const labels = [...new Set(profiles.flatMap((parts) => [...parts.keys()]))]
    .sort((a, b) => (last.get(b)?.milliseconds ?? 0) - (last.get(a)?.milliseconds ?? 0));
  for (const label of labels) {
    const parts = profiles.map((parts) => parts.get(label));
    const cells = [
      arrow(parts.map((part) => String(part?.dispatches ?? 0))),
      arrow(parts.map((part) => (part?.milliseconds ?? 0).toFixed(2))),
    ];
    console.log(`| ${[label, ...cells].join(" | ")} |`);
  }
}
for (const { gpu } of codes) await gpu[Symbol.asyncDispose]();
