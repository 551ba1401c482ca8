import type { Gpu, NotedProblem } from "../../kernels/gpu/mod.ts";
import type { Model, ModelConfiguration } from "../../models/mod.ts";
import { Trainer } from "../training/trainer.ts";

/** What a model is given while the problems of its kernels are noted. */
export interface TracedTokens {
  /** Lengths of prompts. */
  readonly prompts: readonly number[];
  /** Tokens that are generated behind each. */
  readonly generated: number;
}

/** The problems that a model's kernels are given: reading prompts, and generating tokens behind them. */
export async function traceModel(
  gpu: Gpu,
  model: Model,
  { prompts, generated }: TracedTokens,
): Promise<readonly NotedProblem[]> {
  const { vocabulary } = model.configuration;
  return await gpu.choices.noteWhile(async () => {
    for (const length of prompts) {
      const tokens = Uint32Array.from({ length }, (_, i) => (7 * i + 1) % vocabulary);
      await model.generate(tokens, { maxTokens: generated, record: false });
    }
  });
}

/** The problems of a training step of a model, on so many sequences of so many tokens. */
export async function traceTraining(
  gpu: Gpu,
  model: ModelConfiguration,
  sequences: number,
  time: number,
): Promise<readonly NotedProblem[]> {
  using trainer = new Trainer(gpu, {
    name: model.family,
    model,
    tasks: [],
    length: time,
    batch: sequences,
    learningRate: 1e-3,
    warmupSteps: 1,
    firstTaskSteps: 0,
    targetAccuracy: 1,
    steps: 1,
    seed: 0,
  }, { record: false });
  const rows = sequences * time;
  const batch = {
    sequences,
    time,
    tokens: Uint32Array.from({ length: rows }, (_, i) => (7 * i + 1) % model.vocabulary),
    rows: Uint32Array.from({ length: rows }, (_, i) => i),
    labels: Uint32Array.from({ length: rows }, (_, i) => (5 * i) % model.vocabulary),
    weights: new Float32Array(rows).fill(1 / rows),
    taskOf: new Uint32Array(rows),
  };
  return await gpu.choices.noteWhile(async () => {
    for (const { losses, correct } of trainer.step(batch, 0, 1e-3)) {
      losses[Symbol.dispose]();
      correct[Symbol.dispose]();
    }
    await gpu.sync();
  });
}
