import { parameterCount } from "../../models/layers.ts";
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

/**
 * A model whose perceptrons are made wider or narrower until its parameters are as near to a number as
 * can be had.
 *
 * @throws {RangeError} where it is more than 5% off then: comparisons are between equals.
 */
export function matched(model: ModelConfiguration, parameters: number): ModelConfiguration {
  const withHidden = (hidden: number): ModelConfiguration => ({
    ...model,
    layers: model.layers.map((layer) =>
      layer.channelMixer ? { ...layer, channelMixer: { ...layer.channelMixer, hidden } } : layer
    ),
  });
  const [none, one] = [withHidden(1), withHidden(2)].map(parameterCount);
  const each = one - none;
  const hidden = each === 0 ? 1 : Math.max(1, 1 + Math.round((parameters - none) / each));
  const found = each === 0 ? model : withHidden(hidden);
  const count = parameterCount(found);
  if (Math.abs(count / parameters - 1) > 0.05) {
    throw new RangeError(
      `Cannot match ${model.family} to ${parameters} parameters: the nearest is ${count}`,
    );
  }
  return found;
}
