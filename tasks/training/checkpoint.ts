import * as v from "valibot";
import { storeParameters } from "../../models/checkpoints/checkpoint.ts";
import { replaceFile } from "../../models/checkpoints/replace_file.ts";
import { overwrite } from "../../models/matrices.ts";
import type { Gpu } from "../../kernels/gpu/mod.ts";
import {
  type MixerState,
  readSafetensors,
  type StoredTensor,
  Variable,
  writeSafetensors,
} from "../../models/mod.ts";
import {
  check,
  exactly,
  integer,
  listOf,
  NOT_NEGATIVE,
  NUMBER,
  optional,
  parseJson,
} from "../../models/schema.ts";
import { canonical } from "../canonical.ts";
import type { Recipe } from "./recipe.ts";
import { Schedule } from "./schedule.ts";
import type { Trainer } from "./trainer.ts";

/** What stands beside the tensors. */
const NOTES = v.object({
  step: integer(0, 2 ** 31),
  seconds: NOT_NEGATIVE,
  schedule: exactly<ReturnType<Schedule["snapshot"]>>({
    recent: listOf(listOf(v.nullable(NUMBER))),
    cooldownStart: optional(integer(0, 2 ** 31)),
  }),
  positions: optional(listOf(integer(0, Number.MAX_SAFE_INTEGER))),
});
/** The file of a training that is under way, in its folder. */
export const CHECKPOINT = "checkpoint.safetensors";

/** Where a training run stands, beside its tensors. */
export interface Progress {
  /** The next step. */
  readonly step: number;
  /** The schedule. */
  readonly schedule: Schedule;
  /** Seconds trained so far. */
  readonly seconds: number;
}

/** A training whose loss or weights are no longer finite. Its last checkpoint is one before that. */
export class DivergedError extends Error {
  /** The error's name. */
  override readonly name = "DivergedError";

  /**
   * Of a recipe's training.
   *
   * @param what What is not finite, and when.
   */
  constructor({ name, learningRate }: Recipe, what: string) {
    super(
      `Cannot continue training ${name} as ${what}: lower --learning-rate (now ${learningRate}) and start again, or --resume from the last checkpoint`,
    );
  }
}

/**
 * Writes parameters, optimizer and schedule; a run that is killed meanwhile keeps the one before.
 *
 * @throws {DivergedError} where a value is not finite: the checkpoint before stays.
 */
export async function saveCheckpoint(
  directory: string,
  recipe: Recipe,
  trainer: Trainer,
  progress: Progress,
): Promise<void> {
  const tensors = await storeParameters(trainer.model);
  const moments = [...trainer.moments].flatMap(([name, { first, second }]) => [
    [`first_moment.${name}`, first] as const,
    [`second_moment.${name}`, second] as const,
  ]);
  const values = await trainer.model.gpu.read(moments.map(([, tensor]) => tensor));
  moments.forEach(([name, { shape }], index) => {
    tensors.set(name, { shape, data: values[index] as Float32Array });
  });
  for (const [name, { data }] of tensors) requireFinite(name, data, recipe, progress.step);
  const { carried } = trainer;
  const states = (carried ?? []).flatMap((state, layer) =>
    Object.entries(state.tensors).map(([name, { tensor }]) =>
      [`state.${layer}.${name}`, tensor] as const
    )
  );
  const stateValues = await trainer.model.gpu.read(states.map(([, tensor]) => tensor));
  states.forEach(([name, { shape }], index) => {
    tensors.set(name, { shape, data: stateValues[index] as Float32Array });
  });
  const bytes = writeSafetensors(tensors, {
    ...(carried ? { positions: JSON.stringify(carried.map(({ position }) => position)) } : {}),
    recipe: JSON.stringify(recipe),
    step: `${progress.step}`,
    seconds: `${progress.seconds}`,
    schedule: JSON.stringify(progress.schedule.snapshot()),
  });
  await replaceFile(`${directory}/${CHECKPOINT}`, bytes);
}

/**
 * Checks that a training's weights are numbers: its last losses were those of the weights before.
 *
 * @throws {DivergedError} where one is not.
 */
export async function checkFinite(
  trainer: Trainer,
  recipe: Recipe,
  step: number,
): Promise<void> {
  for (const [name, { data }] of await storeParameters(trainer.model)) {
    requireFinite(name, data, recipe, step);
  }
}

function requireFinite(
  name: string,
  data: StoredTensor["data"],
  recipe: Recipe,
  step: number,
): void {
  const place = data.findIndex((value) => !Number.isFinite(value));
  if (place < 0) return;
  throw new DivergedError(recipe, `a value of ${name} is ${data[place]} after step ${step}`);
}

/**
 * Puts a run back where its last checkpoint was.
 *
 * @returns undefined where the directory holds no checkpoint.
 * @throws {Error} where the checkpoint is damaged or of another recipe.
 */
export async function restoreCheckpoint(
  directory: string,
  recipe: Recipe,
  trainer: Trainer,
): Promise<Progress | undefined> {
  const path = `${directory}/${CHECKPOINT}`;
  let bytes;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const { tensors, metadata } = readSafetensors(bytes, path);
  if (canonical(parseJson(metadata.recipe ?? "null", path)) !== canonical(recipe)) {
    throw new Error(
      `Cannot resume from ${path} as it was made by another recipe: train into another folder with --out, or leave --resume out to begin anew`,
    );
  }
  const load = (name: string, target: { write(data: Float32Array): void }): void => {
    const stored: StoredTensor | undefined = tensors.get(name);
    if (stored === undefined) throw new Error(`Cannot resume from ${path} as it lacks ${name}`);
    target.write(stored.data);
  };
  for (const [name, variable] of trainer.model.parameters) {
    load(name, { write: (data) => overwrite(variable, data) });
  }
  for (const [name, { first, second }] of trainer.moments) {
    load(`first_moment.${name}`, first);
    load(`second_moment.${name}`, second);
  }
  const notes = check(
    NOTES,
    Object.fromEntries(
      ["step", "seconds", "schedule", "positions"].flatMap((name) =>
        metadata[name] === undefined
          ? []
          : [[name, parseJson(metadata[name], `${name} of ${path}`)]]
      ),
    ),
    path,
  );
  if (notes.positions !== undefined) {
    trainer.carried = restoreStates(trainer.model.gpu, tensors, notes.positions);
  }
  const { step, seconds, schedule } = notes;
  return { step, seconds, schedule: new Schedule(recipe, schedule) };
}

/** The states of all layers, as {@linkcode saveCheckpoint} wrote them. */
function restoreStates(
  gpu: Gpu,
  stored: ReadonlyMap<string, StoredTensor>,
  positions: readonly number[],
): MixerState[] {
  return positions.map((position, layer) => {
    const prefix = `state.${layer}.`;
    const entries = [...stored].filter(([name]) => name.startsWith(prefix));
    return {
      position,
      tensors: Object.fromEntries(entries.map(([name, { shape, data }]) => [
        name.slice(prefix.length),
        new Variable(gpu.tensor(shape, data)),
      ])),
    };
  });
}
