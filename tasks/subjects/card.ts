import type { ModelConfiguration } from "../../models/mod.ts";
import { parameterCount, sightOf, stateBytesOf } from "../../models/layers.ts";
import type { SubjectCard } from "../subject.ts";

/** What a card says of a model that its configuration tells. */
export function describeConfiguration(
  configuration: ModelConfiguration,
): Pick<
  SubjectCard,
  "family" | "parameters" | "window" | "sinks" | "reach" | "carries" | "stateBytes"
> {
  return {
    family: configuration.family,
    parameters: parameterCount(configuration),
    ...sightOf(configuration),
    stateBytes: stateBytesOf(configuration),
  };
}
