import { exists } from "../../models/checkpoints/download.ts";
import { intervene, type ModelConfiguration } from "../../models/mod.ts";

/** A model as it is asked for: which, and what is changed in it. */
export interface ModelName {
  /** All of it, as results call it. */
  readonly name: string;
  /** The model itself: a committed one's name, a path, `hf:owner/name`. */
  readonly model: string;
  /** Interventions, in their order. */
  readonly changes: readonly string[];
}

/** Takes `model+change+change` apart; a path that there is stays whole. */
export async function parseName(name: string): Promise<ModelName> {
  if (await exists(name)) {
    return { name, model: name, changes: [] };
  }
  const [model, ...changes] = name.split("+");
  return { name, model, changes };
}

/**
 * A model's configuration with what its name changes.
 *
 * @throws {RangeError} for an unknown intervention, or one that does not fit the model.
 */
export function changed(
  configuration: ModelConfiguration,
  { name, changes }: ModelName,
  trainLength: number | undefined,
): ModelConfiguration {
  if (changes.length === 0) return configuration;
  if (trainLength === undefined) {
    throw new RangeError(
      `Cannot change ${name} as its files do not say at which length it was trained`,
    );
  }
  return intervene(configuration, changes, { trainLength });
}
