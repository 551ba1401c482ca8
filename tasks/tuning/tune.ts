import {
  adapterIdentity,
  type Gpu,
  measureCopyBandwidth,
  type NotedProblem,
} from "../../kernels/gpu/mod.ts";
import { architecture } from "../../models/mod.ts";
import { driverHere } from "./driver.ts";
import type { TunedAdapter, TunedClass } from "./file.ts";
import { classesOf, measureClass } from "./measure.ts";
import { randomModel, SHAPES } from "./shapes.ts";
import { type TracedTokens, traceModel, traceTraining } from "./trace.ts";

/** Layers of a model of a published shape: all are alike. */
const LAYERS = 2;
/** Architectures whose training is tuned. */
const TRAINED = ["transformer", "mamba2", "gla", "gated-deltanet", "rwkv7", "griffin"];

/** How far a tuning is. */
export interface TuningProgress {
  /** What was measured last. */
  readonly last: TunedClass;
  /** Classes that are measured. */
  readonly done: number;
  /** Classes in all. */
  readonly total: number;
}

/** Bytes that an adapter copies in a second from which it is given the sizes of a large one. */
const FAST_BYTES = 3e10;

/** Whether an adapter reads large models in no time. */
export async function isFast(gpu: Gpu): Promise<boolean> {
  return !gpu.adapter.software && await measureCopyBandwidth(gpu) >= FAST_BYTES;
}

/** The prompts that a model is given: on a slow adapter short ones. */
export function tracedTokens(fast: boolean): TracedTokens {
  return { prompts: fast ? [512, 4096] : [256], generated: 3 };
}

/**
 * The problems of the default set: on a fast GPU models of published shapes, in f16 where it has that, and
 * training steps; on a slow adapter small models and their training alone.
 *
 * @param deadline When to look at no more models, as `performance.now()` has it.
 */
export async function defaultProblems(
  gpu: Gpu,
  fast: boolean,
  deadline: number,
): Promise<readonly NotedProblem[]> {
  const notes: NotedProblem[] = [];
  const [vocabulary, width] = fast ? [256, 512] : [64, 64];
  for (const name of TRAINED) {
    if (performance.now() > deadline) return notes;
    const configuration = architecture(name, { vocabulary, width });
    using model = randomModel(gpu, configuration, "f32");
    notes.push(...await traceModel(gpu, model, tracedTokens(fast)));
    if (performance.now() > deadline) return notes;
    const [sequences, time] = fast ? [16, 512] : [16, 64];
    notes.push(...await traceTraining(gpu, configuration, sequences, time));
  }
  if (!fast) return notes;
  const dtype = gpu.supportsF16 ? "f16" : "f32";
  for (const shape of Object.values(SHAPES)) {
    if (performance.now() > deadline) return notes;
    using model = randomModel(gpu, shape(LAYERS), dtype);
    notes.push(...await traceModel(gpu, model, tracedTokens(fast)));
  }
  return notes;
}

/**
 * Measures the candidates of every tunable on the problems that were noted, those that are asked for most
 * first, until the time is over.
 */
export async function tune(
  gpu: Gpu,
  notes: readonly NotedProblem[],
  { models, deadline, signal, onProgress }: {
    /** What was noted, for the record. */
    readonly models: readonly string[];
    /** When to stop, as `performance.now()` has it. */
    readonly deadline: number;
    readonly signal?: AbortSignal;
    readonly onProgress?: (progress: TuningProgress) => void;
  },
): Promise<{ readonly entry: TunedAdapter; readonly left: number }> {
  const classes = classesOf(gpu, notes);
  const measured: TunedClass[] = [];
  for (const each of classes) {
    if (performance.now() > deadline || signal?.aborted) break;
    const last = await measureClass(gpu, each, deadline);
    gpu.trim();
    if (last === undefined) break;
    measured.push(last);
    const done = measured.length;
    onProgress?.({ last, done, total: classes.length });
  }
  const entry: TunedAdapter = {
    adapter: gpu.adapter.name,
    identity: adapterIdentity(gpu.device),
    driver: driverHere(),
    deno: Deno.version.deno,
    measured: new Date().toISOString(),
    models: [...models],
    classes: measured,
  };
  return { entry, left: classes.length - measured.length };
}
