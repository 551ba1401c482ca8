/**
 * The committed models: small, trained by `./run train --zoo`, each with its recipe and its
 * training log beside it.
 *
 * @module
 */
import type { Gpu } from "../../kernels/gpu/mod.ts";
import { loadModel } from "../checkpoints/checkpoint.ts";
import { didYouMean } from "../did_you_mean.ts";
import type { Model } from "../model.ts";

/** A committed model: one training by a recipe. */
export interface CommittedModel {
  /** The recipe's name, with the training's seed behind it where that is not the first. */
  readonly name: string;
  /** The recipe's name: architecture, then what it is trained on. */
  readonly recipe: string;
  /** The seed of the initial values and of the data. */
  readonly seed: number;
}

/** Trainings of each recipe of the mixture: one training says nothing of an architecture. */
const SEEDS = [1, 2, 3];
/** One training each. */
const SINGLE: readonly string[] = [
  "transformer-niah",
  "mamba2-niah",
  "gla-niah",
  "griffin-niah",
  "mamba2-attention-niah",
  "mamba2-parity",
  "deltanet-negative-parity",
  "transformer-text",
  "mamba2-text",
  "gla-text",
  "griffin-text",
  "mamba2-attention-text",
];

/** The committed models. */
export const COMMITTED_MODELS: readonly CommittedModel[] = [
  ...["transformer", "mamba2", "gla", "griffin", "mamba2-attention"].flatMap((family) =>
    SEEDS.map((seed) => {
      const recipe = `${family}-mixture`;
      return { name: seed === SEEDS[0] ? recipe : `${recipe}-s${seed}`, recipe, seed };
    })
  ),
  ...SINGLE.map((name) => ({ name, recipe: name, seed: 1 })),
];

/** The committed models' names. */
export const ZOO: readonly string[] = COMMITTED_MODELS.map(({ name }) => name);

/** Where a committed model's files are. @throws {RangeError} for a name that none has. */
export function zooDirectory(name: string): URL {
  if (!ZOO.includes(name)) {
    throw new RangeError(
      didYouMean("committed model", name, ZOO, "./run sweep --help lists all"),
    );
  }
  return new URL(`./${name}/`, import.meta.url);
}

/** Loads a committed model. @throws {RangeError} for a name that none has. */
export function loadZooModel(gpu: Gpu, name: string): Promise<Model> {
  return loadModel(gpu, zooDirectory(name));
}
