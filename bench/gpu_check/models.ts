/**
 * Models of published shapes with random weights, a training step, and the default sweep.
 *
 * @module
 */
import { type Gpu, timeWork } from "../../kernels/gpu/mod.ts";
import {
  architecture,
  type LayerConfiguration,
  type Model,
  type ModelConfiguration,
  ZOO,
} from "../../models/mod.ts";
import { weightBytes } from "../../models/matrices.ts";
import { SWEEPS } from "../../tasks/experiments/mod.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { runSweep } from "../../tasks/sweep/run.ts";
import { randomModel, SHAPES } from "../../tasks/tuning/shapes.ts";
import { timeTraining } from "../../tasks/tuning/trace.ts";
import type { Ceilings } from "../ceilings.ts";
import { type Budget, figure, type Part, part, percent } from "./result.ts";

/** Tokens of a prompt, and generated behind it. */
const PROMPT = 2048;
const GENERATED = 64;
/** Vocabulary and layers of a model that is cut for a slow adapter. */
const CUT_VOCABULARY = 8192;
/** By how much a slow adapter's models are narrower. */
const NARROWER = 4;
/** What reading a prompt takes of the FMA rate, to guess how long it will be. */
const GUESSED_SHARE = 0.1;

/** Decode and prefill of each shape: as many layers as the time and the memory allow. */
export async function checkModels(gpu: Gpu, ceilings: Ceilings, budget: Budget): Promise<Part> {
  const found = part("Models with random weights");
  const dtype = gpu.supportsF16 ? "f16" : "f32";
  found.notes.push(
    `Weights in ${dtype}. "of copy rate" is what reading the weights once a token takes of the copy rate; "of FMA rate" counts two operations a weight and token.`,
  );
  const shapes = Object.entries(SHAPES);
  let longest = 0;
  for (const [i, [name, shape]] of shapes.entries()) {
    if (budget.left < longest) {
      found.notes.push(`${name}: not run, as the one before took more than the time that is left.`);
      continue;
    }
    const start = performance.now();
    const own = budget.share(1 / (shapes.length - i));
    const whole = shape();
    const { configuration, prompt, generated } = sized(gpu, whole, dtype, ceilings, own);
    const isWhole = configuration === whole;
    if (!isWhole) {
      found.notes.push(
        `${name}: ${configuration.layers.length} of ${whole.layers.length} layers of width ${configuration.width} of ${whole.width}, ${configuration.vocabulary} of ${whole.vocabulary} tokens of vocabulary, for lack of speed, memory or time.`,
      );
    }
    try {
      using model = randomModel(gpu, configuration, dtype);
      const bytes = weightBytes(configuration, dtype);
      const prefill = await fastestOf(2, own, async () => {
        using from = await prefillTime(gpu, model, prompt);
        return from.milliseconds;
      });
      const token = await tokenTime(gpu, model, generated, own);
      const parameters = model.parameterCount;
      found.lines.push({
        model: name,
        parameters: `${figure(parameters / 1e6)} M`,
        "prompt tokens": prompt,
        "prefill, ms": figure(prefill),
        "tokens/s": figure(prompt / prefill * 1000),
        "of FMA rate": percent(2 * parameters * prompt / prefill * 1000 / ceilings.flopsPerSecond),
        "a token, ms": figure(token),
        "generated/s": figure(1000 / token),
        "of copy rate": percent(bytes / token * 1000 / ceilings.bytesPerSecond),
      });
    } catch (error) {
      found.notes.push(`${name}: ${(error as Error).message.split("\n")[0]}`);
    }
    gpu.trim();
    longest = Math.max(longest, performance.now() - start);
  }
  return found;
}

/** A shape with as many layers as can be read in the time, and tokens accordingly. */
function sized(
  gpu: Gpu,
  whole: ModelConfiguration,
  dtype: "f32" | "f16",
  { flopsPerSecond, bytesPerSecond }: Ceilings,
  budget: Budget,
): { configuration: ModelConfiguration; prompt: number; generated: number } {
  const seconds = budget.left / 1000;
  const fits = (configuration: ModelConfiguration, prompt: number, generated: number): boolean => {
    const bytes = weightBytes(configuration, dtype);
    const limit = (gpu.memory.limit ?? Infinity) / 4;
    const reading = 2 * bytes / (dtype === "f16" ? 2 : 4) * prompt / flopsPerSecond / GUESSED_SHARE;
    return bytes < limit && 4 * reading + 3 * generated * bytes / bytesPerSecond < seconds / 2;
  };
  if (fits(whole, PROMPT, GENERATED)) {
    return { configuration: whole, prompt: PROMPT, generated: GENERATED };
  }
  for (const prompt of [512, 128, 32]) {
    for (let layers = whole.layers.length; layers > 1; layers = Math.floor(layers / 2)) {
      const vocabulary = Math.min(whole.vocabulary, CUT_VOCABULARY);
      const configuration = { ...whole, vocabulary, layers: whole.layers.slice(0, layers) };
      if (fits(configuration, prompt, 8)) return { configuration, prompt, generated: 8 };
    }
  }
  const vocabulary = Math.min(whole.vocabulary, CUT_VOCABULARY / 4);
  const layers = whole.layers.slice(0, 2).map(narrower);
  const configuration = { ...whole, vocabulary, width: whole.width / NARROWER, layers };
  return { configuration, prompt: 32, generated: 4 };
}

/** A layer with a quarter of the heads, for a model of a quarter of the width. */
function narrower({ mixer, channelMixer }: LayerConfiguration): LayerConfiguration {
  const heads = { ...mixer } as { heads: number; keyHeads?: number };
  heads.heads /= NARROWER;
  if (heads.keyHeads !== undefined) heads.keyHeads /= NARROWER;
  return {
    mixer: heads as LayerConfiguration["mixer"],
    ...(channelMixer && {
      channelMixer: { ...channelMixer, hidden: channelMixer.hidden / NARROWER },
    }),
  };
}

async function fastestOf(
  most: number,
  budget: Budget,
  run: () => Promise<number>,
): Promise<number> {
  let best = await run(); // compiles
  for (let round = 0; round < most && budget.left > 2 * best; round++) {
    best = Math.min(best, await run());
  }
  return best;
}

async function prefillTime(
  gpu: Gpu,
  model: Model,
  length: number,
): Promise<{ milliseconds: number } & Disposable> {
  const { vocabulary } = model.configuration;
  const tokens = Uint32Array.from({ length }, (_, i) => (7 * i + 1) % vocabulary);
  let from: ReturnType<Model["prefill"]> | undefined;
  const milliseconds = await timeWork(gpu, () => {
    from = model.prefill(tokens);
  });
  return {
    milliseconds,
    [Symbol.dispose](): void {
      from?.logits[Symbol.dispose]();
      from?.state[Symbol.dispose]();
    },
  };
}

/** Milliseconds of a generated token: the difference of many and few, so that recording counts for nothing. */
async function tokenTime(gpu: Gpu, model: Model, count: number, budget: Budget): Promise<number> {
  const tokens = Uint32Array.from(
    { length: 16 },
    (_, i) => (7 * i + 1) % model.configuration.vocabulary,
  );
  const generate = async (maxTokens: number): Promise<number> => {
    const start = performance.now();
    await model.generate(tokens, { maxTokens });
    await gpu.sync();
    return performance.now() - start;
  };
  const few = Math.max(1, Math.floor(count / 8));
  await generate(count); // compiles
  const [short, long] = [
    await fastestOf(2, budget, () => generate(few)),
    await fastestOf(2, budget, () => generate(count)),
  ];
  return Math.max(1e-3, long - short) / (count - few);
}

/** A training step of a transformer and of a Mamba-2, the larger the faster the adapter. */
export async function checkTraining(gpu: Gpu, ceilings: Ceilings, budget: Budget): Promise<Part> {
  const found = part("A training step");
  const isLarge = ceilings.flopsPerSecond > 1e12;
  const [width, layers, sequences, time] = isLarge ? [512, 8, 8, 1024] : [64, 2, 16, 64];
  found.notes.push(
    `${layers} layers of width ${width}, ${sequences} sequences of ${time} tokens, forward, backward and AdamW${
      isLarge ? "" : ": small, as the adapter is slow"
    }.`,
  );
  const names = ["transformer", "mamba2", "gla", "gated-deltanet"];
  let longest = 0;
  for (const [i, name] of names.entries()) {
    if (budget.left < longest) {
      found.notes.push(`${name}: not run, as the one before took more than the time that is left.`);
      continue;
    }
    const start = performance.now();
    const own = budget.share(1 / (names.length - i));
    const configuration = architecture(name, { vocabulary: 256, width, layers });
    try {
      const { milliseconds, steps } = await timeTraining(
        gpu,
        configuration,
        sequences,
        time,
        own.left,
      );
      found.lines.push({
        model: name,
        "ms a step": figure(milliseconds),
        "tokens/s": figure(sequences * time / milliseconds * 1000),
        steps,
      });
    } catch (error) {
      found.notes.push(`${name}: ${(error as Error).message.split("\n")[0]}`);
    }
    gpu.trim();
    longest = Math.max(longest, performance.now() - start);
  }
  return found;
}

/** The default sweep, as far as the time goes; texts come from packages, and are left out. */
export async function checkSweep(gpu: Gpu, budget: Budget): Promise<Part> {
  const found = part("The default sweep");
  const models = ZOO.filter((name) => !/-(text|niah)$/.test(name));
  const configuration = { ...SWEEPS.default, models };
  found.notes.push(
    "Without its models of text and of needles, whose books and words are packages.",
  );
  await using source = new ModelSource({}, gpu);
  const out = await Deno.makeTempDir();
  try {
    const start = performance.now();
    const minutes = budget.left / 60_000;
    const result = await runSweep(configuration, source, { out: `${out}/sweep`, minutes });
    const seconds = (performance.now() - start) / 1000;
    found.lines.push({
      cells: result.total,
      "with a result": new Set(result.rows.map(({ model, task, length, seed, load, depth }) =>
        [model, task, length, seed, load, depth].join()
      )).size,
      failed: result.failed.length,
      seconds: figure(seconds),
    });
    if (result.stopped) found.notes.push("It was stopped when its share of the time was over.");
    for (const { reason } of result.failed.slice(0, 3)) found.notes.push(`Failed: ${reason}`);
  } catch (error) {
    found.notes.push((error as Error).message.split("\n")[0]);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
  return found;
}
