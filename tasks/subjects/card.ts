import type { ModelConfiguration } from "../../models/mod.ts";
import { parameterSpecifications, stateBytesOf, windowOf } from "../../models/layers.ts";
import type { SubjectCard } from "../subject.ts";

/** What a card says of a model that its configuration tells. */
export function describeConfiguration(
  configuration: ModelConfiguration,
): Pick<SubjectCard, "family" | "parameters" | "window" | "stateBytes"> {
  return {
    family: configuration.family,
    parameters: parameterSpecifications(configuration).reduce(
      (sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1),
      0,
    ),
    window: windowOf(configuration),
    stateBytes: stateBytesOf(configuration),
  };
}
