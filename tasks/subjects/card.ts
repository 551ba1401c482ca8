import type { ModelConfiguration } from "../../models/mod.ts";
import { parameterSpecifications, sightOf, stateBytesOf } from "../../models/layers.ts";
import type { SubjectCard } from "../subject.ts";

/** What a card says of a model that its configuration tells. */
export function describeConfiguration(
  configuration: ModelConfiguration,
): Pick<SubjectCard, "family" | "parameters" | "window" | "sinks" | "reach" | "stateBytes"> {
  return {
    family: configuration.family,
    parameters: parameterSpecifications(configuration).reduce(
      (sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1),
      0,
    ),
    ...sightOf(configuration),
    stateBytes: stateBytesOf(configuration),
  };
}
