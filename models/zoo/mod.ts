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

/** The committed models' names: architecture, then what it was trained on. */
export const ZOO: readonly string[] = [
  "transformer-mixture",
  "mamba2-mixture",
  "gla-mixture",
  "griffin-mixture",
  "griffin-selective-copying",
  "mamba2-attention-mixture",
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
