/**
 * The work whose cost `host.ts` measures, and whose dispatches the tests hold: a generated token, a
 * training step and a batch that is scored, of each architecture.
 *
 * @module
 */
import type { Code } from "./checkout.ts";
import type { DataType, Gpu, Tensor } from "../kernels/gpu/mod.ts";
import type { Recipe } from "../tasks/training/recipe.ts";
import type { Trainer } from "../tasks/training/trainer.ts";
import type { TrainingBatch } from "../tasks/training/batch.ts";
import { IGNORED } from "../kernels/loss/mod.ts";
import { threadTime } from "./thread_time.ts";

/** Layers of the models that generate: many, so that the head counts little. */
export const LAYERS = 6;

/** Work that is measured. */
export interface Work extends Disposable {
  /** Tokens, or steps, that a run does. */
  readonly parts: number;
  /** What comes before it, and is not counted. */
  prepare(): Promise<void>;
  /** Queues it; tells how long the thread took for that, in milliseconds. */
  run(): Promise<number>;
}

/**
 * Tokens after a short prompt, the embedding, the head and the choice of the first token counted in.
 * Reading the prompt is not, nor is reading the tokens back.
 *
 * @param tokens How many are generated: the first is the choice of the prompt's logits alone.
 */
export function generation(
  { gpu, models: { architecture, Model } }: Code,
  name: string,
  tokens: number,
): Work {
  const configuration = architecture(name, { vocabulary: 64, width: 64, layers: LAYERS });
  const model = new Model(gpu, configuration, { seed: 1 });
  const prompt = Uint32Array.from({ length: 40 }, (_, i) => i % 64);
  let from: ReturnType<typeof model.prefill>;
  return {
    parts: tokens,
    async prepare(): Promise<void> {
      from = model.prefill(prompt);
      await gpu.sync();
    },
    run: () => withoutReading(gpu, () => model.continueFrom(from, { maxTokens: tokens })),
    [Symbol.dispose]: () => model[Symbol.dispose](),
  };
}

/**
 * Batches of 8 prompts of 256 tokens, each of which is asked for 8 tokens, scored one after the other by a model of
 * two layers: after the second they are replayed. Reading the scores back is not counted.
 */
export function scoring({ gpu, models: { architecture, Model } }: Code, name: string): Work {
  const model = new Model(gpu, architecture(name, { vocabulary: 64, width: 64, layers: 2 }), {
    seed: 1,
  });
  const [batch, time, parts] = [8, 256, 6];
  const tokens = Uint32Array.from({ length: batch * time }, (_, i) => i * 7 % 64);
  const labels = tokens.map((token, i) => i % 32 === 31 ? token : IGNORED);
  return {
    parts,
    prepare: () => gpu.sync(),
    async run(): Promise<number> {
      let host = 0;
      for (let i = 0; i < parts; i++) {
        host += await withoutReading(gpu, () => model.score({ batch, time, tokens, labels }));
      }
      return host;
    },
    [Symbol.dispose]: () => model[Symbol.dispose](),
  };
}

/** How long the thread takes for some work, in milliseconds, what is read back aside. */
async function withoutReading(gpu: Gpu, work: () => Promise<unknown>): Promise<number> {
  const read = gpu.read.bind(gpu);
  let waited = 0;
  gpu.read = <Type extends DataType>(tensors: readonly Tensor<Type>[]) => {
    const start = threadTime();
    const reading = read(tensors);
    waited += threadTime() - start; // what the thread queues while it is on its way is counted
    return reading;
  };
  try {
    const start = threadTime();
    await work();
    return threadTime() - start - waited;
  } finally {
    gpu.read = read;
  }
}

/** A small model in training, of as many layers as it has by default, and a batch of 64 sequences of 32 tokens. */
export async function training(
  { gpu, models, registry, batches, training }: Code,
  name: string,
  options: { readonly record: boolean },
): Promise<{ readonly trainer: Trainer; readonly batch: TrainingBatch }> {
  const tasks = [await registry.createTask("mqar", registry.smallLayout("mqar"))];
  const recipe: Recipe = {
    name,
    model: models.architecture(name, { vocabulary: 64, width: 32 }),
    tasks: [{ name: "mqar", options: registry.smallLayout("mqar") }],
    length: 32,
    batch: 64,
    learningRate: 1e-3,
    warmupSteps: 10,
    firstTaskSteps: 0,
    targetAccuracy: 1,
    steps: 100,
    seed: 0,
  };
  const batch = Array.from({ length: 40 }, (_, step) => batches.trainingBatch(recipe, tasks, step))
    .find(({ time }) => time === recipe.length)!;
  return { trainer: new training.Trainer(gpu, recipe, options), batch };
}

/** Training steps of such a model. */
export async function trainingSteps(code: Code, name: string, steps: number): Promise<Work> {
  const { gpu } = code;
  const { trainer, batch } = await training(code, name, { record: true });
  let step = 0;
  return {
    parts: steps,
    prepare: () => gpu.sync(),
    async run(): Promise<number> {
      let host = 0;
      for (let i = 0; i < steps; i++) {
        const start = threadTime();
        for (const { losses, correct } of trainer.step(batch, step++, 1e-3)) {
          losses[Symbol.dispose]();
          correct[Symbol.dispose]();
        }
        host += threadTime() - start;
        await gpu.sync();
      }
      return host;
    },
    [Symbol.dispose]: () => trainer[Symbol.dispose](),
  };
}

/** Dispatches of a part of some work, and the sum of the kernels' times in milliseconds. */
export async function profile(
  { gpu }: Code,
  work: Work,
): Promise<{ dispatches: number; gpu: number }> {
  await work.prepare();
  gpu.startProfile();
  await work.run();
  const times = await gpu.stopProfile();
  return {
    dispatches: times.reduce((sum, { dispatches }) => sum + dispatches, 0) / work.parts,
    gpu: times.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / work.parts,
  };
}
