import { type Gpu, openGpu } from "../kernels/gpu/mod.ts";
import { loadModel, type Model } from "../models/mod.ts";
import { ZOO, zooDirectory } from "../models/zoo/mod.ts";
import { checkTaskName, createTask } from "./registry.ts";
import type { Answers, Subject, SubjectCard, SubjectSource } from "./subject.ts";
import { type Sample, scoredPositions } from "./task.ts";
import { parameterSpecifications, SEGMENT_TOKENS, stateBytesOf } from "../models/model.ts";
import type { Recipe } from "./training/recipe.ts";

/** Steps that are timed together: a wait for the GPU costs about 10 ms however short the work is. */
const TIMED_STEPS = 8;
/** Of several rounds the fastest counts: another process on the machine only ever adds. */
const TIMED_ROUNDS = 3;

/** A model that `deno task train` made, with the recipe beside it, as a subject of sweeps. */
class ModelSubject implements Subject, AsyncDisposable {
  readonly name: string;
  readonly family: string;
  readonly parameters: number;
  readonly trainLength: number;
  readonly tasks: readonly string[];
  readonly window: number | undefined;
  readonly segmentTokens: number = SEGMENT_TOKENS;
  readonly #card: SubjectCard;
  readonly #model: Model;

  constructor(card: SubjectCard, model: Model) {
    this.#card = card;
    this.#model = model;
    this.name = card.name;
    this.family = card.family;
    this.parameters = card.parameters;
    this.trainLength = card.trainLength;
    this.tasks = card.tasks;
    this.window = card.window;
  }

  task: SubjectCard["task"] = (name, options) => this.#card.task(name, options);

  stateBytes(length: number): number {
    return this.#model.stateBytes(length);
  }

  async answer(samples: readonly Sample[]): Promise<Answers> {
    const { gpu } = this.#model;
    const time = samples[0].tokens.length;
    const tokens = new Uint32Array(samples.length * time);
    const labels = new Uint32Array(samples.length * time);
    samples.forEach((sample, index) => {
      tokens.set(sample.tokens, index * time);
      labels.set(sample.labels, index * time);
    });
    gpu.resetPeak();
    const started = performance.now();
    const scores = await this.#model.score({ batch: samples.length, time, tokens, labels });
    const prefillMilliseconds = performance.now() - started;
    const correct: Uint8Array[] = [];
    const nll: Float32Array[] = [];
    let start = 0;
    for (const sample of samples) {
      const end = start + scoredPositions(sample).length;
      correct.push(Uint8Array.from(scores.correct.subarray(start, end)));
      nll.push(scores.nll.slice(start, end));
      start = end;
    }
    return { correct, nll, prefillMilliseconds, peakBytes: gpu.memory.peak };
  }

  async stepMilliseconds(length: number): Promise<number> {
    const { gpu, configuration } = this.#model;
    const tokens = Uint32Array.from({ length }, (_, t) => t % configuration.vocabulary);
    let { logits, state } = this.#model.prefill(tokens);
    const advance = (count: number): void => {
      for (let i = 0; i < count; i++) {
        logits[Symbol.dispose]();
        ({ logits, state } = this.#model.advance([i], state));
      }
    };
    const timed = async (steps: number): Promise<number> => {
      const started = performance.now();
      advance(steps);
      await gpu.sync();
      return performance.now() - started;
    };
    await timed(1); // compiles the kernels
    let fastest = Infinity;
    for (let round = 0; round < TIMED_ROUNDS; round++) {
      const wait = await timed(0);
      fastest = Math.min(fastest, Math.max(0, await timed(TIMED_STEPS) - wait));
    }
    logits[Symbol.dispose]();
    state[Symbol.dispose]();
    return fastest / TIMED_STEPS;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#model[Symbol.dispose]();
    this.#model.gpu.trim();
    return Promise.resolve();
  }
}

/**
 * The committed models by name, and any folder that `deno task train` wrote by its path. They share
 * one GPU, which opens with the first.
 */
export class ModelSource implements SubjectSource, AsyncDisposable {
  #gpu: Promise<Gpu> | undefined;

  /** The adapter's name. */
  async adapter(): Promise<string> {
    return (await this.#open()).adapter.name;
  }

  /** The cards of the named models; of all committed ones where `names` is empty. */
  async find(names: readonly string[]): Promise<readonly SubjectCard[]> {
    return await Promise.all((names.length === 0 ? ZOO : names).map(readCard));
  }

  /** Loads a model. */
  async open(card: SubjectCard): Promise<Subject & AsyncDisposable> {
    const model = await loadModel(await this.#open(), directoryOf(card.name));
    return new ModelSubject(card, model);
  }

  /** Closes the GPU, where one was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    const gpu = await this.#gpu?.catch(() => undefined); // whoever asked for it has the error
    await gpu?.[Symbol.asyncDispose]();
  }

  #open(): Promise<Gpu> {
    return this.#gpu ??= openGpu();
  }
}

/** A committed model's folder, or the folder that a path names. */
function directoryOf(name: string): URL | string {
  return name.includes("/") || name.includes("\\") ? name : zooDirectory(name);
}

async function readCard(name: string): Promise<SubjectCard> {
  const directory = directoryOf(name);
  const recipe = JSON.parse(await readText(directory, "recipe.json")) as Recipe;
  const { model } = recipe;
  return {
    name,
    family: model.family,
    parameters: parameterSpecifications(model).reduce(
      (sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1),
      0,
    ),
    trainLength: recipe.length,
    tasks: recipe.tasks.map((task) => task.name),
    stateBytes: stateBytesOf(model),
    fingerprint: await digest(directory, "model.safetensors"),
    task: async (taskName, options = {}) => {
      const known = recipe.tasks.find((task) => task.name === taskName);
      checkTaskName(taskName);
      return await createTask(taskName, { ...known?.options, ...options });
    },
  };
}

async function readBytes(directory: URL | string, file: string): Promise<ArrayBuffer> {
  if (typeof directory === "string") {
    return (await Deno.readFile(`${directory}/${file}`)).buffer;
  }
  return await (await fetch(new URL(file, directory))).arrayBuffer();
}

async function readText(directory: URL | string, file: string): Promise<string> {
  try {
    return new TextDecoder().decode(await readBytes(directory, file));
  } catch (error) {
    throw new Error(
      `Cannot find a model in ${directory} as its ${file} cannot be read: a model is a name of ${
        ZOO.join(", ")
      }, or the path of a folder that deno task train wrote`,
      { cause: error },
    );
  }
}

async function digest(directory: URL | string, file: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", await readBytes(directory, file));
  return [...new Uint8Array(hash, 0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
