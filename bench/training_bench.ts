/**
 * A training step of a 2-layer, 64-wide model on 32 × 128 tokens, and how much of its wall time the
 * GPU works.
 *
 * @module
 */
import { openGpu } from "../kernels/gpu/mod.ts";
import { architecture } from "../models/mod.ts";
import { createTask, smallLayout } from "../tasks/registry.ts";
import { type TrainingBatch, trainingBatch } from "../tasks/training/batch.ts";
import type { Recipe } from "../tasks/training/recipe.ts";
import { Trainer } from "../tasks/training/trainer.ts";
import { readTuning } from "../tasks/tuning/file.ts";

const STEPS = 3;
const gpu = await openGpu({ tuning: readTuning });
const tasks = [await createTask("mqar", smallLayout("mqar"))];

for (const family of ["transformer", "mamba2", "gla", "gated-deltanet"]) {
  const recipe: Recipe = {
    name: family,
    model: architecture(family, { vocabulary: 64, width: 64 }),
    tasks: [{ name: "mqar", options: smallLayout("mqar") }],
    length: 128,
    batch: 32,
    learningRate: 1e-3,
    warmupSteps: 10,
    firstTaskSteps: 0,
    targetAccuracy: 1,
    steps: 100,
    seed: 0,
  };
  const trainer = new Trainer(gpu, recipe);
  const batches = Array.from({ length: 40 }, (_, step) => trainingBatch(recipe, tasks, step))
    .filter(({ time }) => time === 128).slice(0, STEPS);
  const run = (batches: readonly TrainingBatch[]): void => {
    batches.forEach((batch, step) => {
      for (const { losses, correct } of trainer.step(batch, step, 1e-3)) {
        losses[Symbol.dispose]();
        correct[Symbol.dispose]();
      }
    });
  };
  run(batches.slice(0, 1)); // compiles the pipelines
  await gpu.sync();
  gpu.startProfile();
  const started = performance.now();
  run(batches);
  await gpu.sync();
  const wall = performance.now() - started;
  const times = await gpu.stopProfile();
  const busy = times.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  console.log(
    `${family}: ${(busy / STEPS).toFixed(1)} ms of GPU work in ${
      (wall / STEPS).toFixed(1)
    } ms a step, ${Math.round(100 * busy / wall)}%; most in ${
      times.slice(0, 3).map(({ label }) => label).join(", ")
    }`,
  );
  Deno.bench({
    name: family,
    group: "training step, 32 × 128 tokens, 2 layers of width 64",
    baseline: family === "transformer",
    n: 5,
    warmup: 1,
    async fn(): Promise<void> {
      run(batches.slice(0, 1));
      await gpu.sync();
    },
  });
}
