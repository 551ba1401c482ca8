import { architecture, type ArchitectureOptions, intervene } from "../../models/mod.ts";
import type { ModelConfiguration } from "../../models/mod.ts";
import type { Recipe } from "../training/recipe.ts";

/** Seeds of initial values and training data: one ranks nothing. */
export const TRAINING_SEEDS = [1, 2, 3] as const;

/** The axes that an experiment does not have. */
export const NO_AXES = { models: [], depths: [], loads: [] } as const;

/** What a variant of an experiment is but for its model. */
export type Setting = Omit<Recipe, "name" | "model">;

/** What a variant's architecture is, and what is changed in it before it is trained. */
export interface VariantOptions extends ArchitectureOptions {
  /** Changes of the attention, such as `["alibi"]`: the model is trained with them. */
  readonly changes?: readonly string[];
  /** Whether a perceptron stands behind each mixer of architectures that have one. @default true */
  readonly perceptron?: boolean;
}

/** A named architecture, changed before it is trained. */
export function variantModel(
  family: string,
  { changes = [], perceptron = true, ...options }: VariantOptions,
  trainLength: number,
): ModelConfiguration {
  const whole = architecture(family, options);
  const model = perceptron
    ? whole
    : { ...whole, layers: whole.layers.map(({ channelMixer: _, ...layer }) => layer) };
  return changes.length === 0 ? model : intervene(model, changes, { trainLength });
}
