import { assertEquals } from "@std/assert";
import { openGpu } from "../../kernels/gpu/mod.ts";
import { architecture } from "../../models/mod.ts";
import type { TrainingBatch } from "../../tasks/training/batch.ts";
import type { Recipe } from "../../tasks/training/recipe.ts";
import { Trainer } from "../../tasks/training/trainer.ts";
import { testGpu, uniforms } from "../testing.ts";

const VOCABULARY = 24;

function recipeOf(name: string): Recipe {
  return {
    name,
    model: architecture(name, { vocabulary: VOCABULARY, width: 32, layers: 2 }),
    tasks: [],
    length: 16,
    batch: 4,
    learningRate: 1e-2,
    warmupSteps: 2,
    firstTaskSteps: 0,
    targetAccuracy: 1,
    steps: 10,
    seed: 1,
  };
}

function batchOf(seed: number, time: number, scored: number): TrainingBatch {
  const sequences = 4;
  const draw = (salt: number, count: number): Uint32Array =>
    Uint32Array.from(uniforms(100 * seed + salt, count, 0, VOCABULARY - 0.01), Math.floor);
  return {
    sequences,
    time,
    tokens: draw(1, sequences * time),
    rows: Uint32Array.from({ length: scored }, (_, i) => 3 * i + seed % 3),
    labels: draw(2, scored),
    weights: new Float32Array(scored).fill(1 / scored),
    taskOf: new Uint32Array(scored),
  };
}

/** Shapes that stay, change, come back and stay again; one without a scored row. */
const SHAPES = [[16, 9], [16, 9], [16, 9], [11, 9], [16, 9], [16, 9], [16, 0], [16, 0], [16, 0]];

for (const name of ["transformer", "mamba2", "gla", "gated-deltanet", "rwkv7", "griffin"]) {
  Deno.test(`${name}: steps that are replayed learn the same bits as steps that are not`, async () => {
    const gpu = await testGpu();
    const results = [];
    for (const record of [true, false]) {
      using trainer = new Trainer(gpu, recipeOf(name), { record });
      const losses: number[] = [];
      for (const [step, [time, scored]] of SHAPES.entries()) {
        for (const queued of trainer.step(batchOf(step, time, scored), step, 1e-2 / (step + 1))) {
          losses.push(...await queued.losses.read(), ...await queued.correct.read());
          queued.losses[Symbol.dispose]();
          queued.correct[Symbol.dispose]();
        }
      }
      const parameters = [...trainer.model.parameters.values()].map(({ tensor }) => tensor);
      const moments = [...trainer.moments.values()].flatMap(({ first, second }) => [first, second]);
      results.push({ losses, state: await gpu.read([...parameters, ...moments]) });
    }
    assertEquals(results[0], results[1]);
    assertEquals(new Set(results[0].losses).size > 20, true);
  });
}

Deno.test("a trainer gives back the memory of its recorded step", async () => {
  await using gpu = await openGpu();
  const used: number[] = [];
  for (let round = 0; round < 2; round++) {
    {
      using trainer = new Trainer(gpu, recipeOf("gla"));
      for (let step = 0; step < 4; step++) {
        for (const { losses, correct } of trainer.step(batchOf(step, 16, 9), step, 1e-2)) {
          losses[Symbol.dispose]();
          correct[Symbol.dispose]();
        }
      }
    }
    used.push(gpu.memory.current);
  }
  assertEquals(used[1], used[0]);
});
