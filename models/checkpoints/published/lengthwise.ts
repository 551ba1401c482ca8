import type { ModelConfiguration } from "../../configuration.ts";
import { parameterSpecifications } from "../../layers.ts";
import type { PublishedFamily, PublishedModel } from "./family.ts";

/** What this package's own `config.json` says its format is. */
export const FORMAT = "lengthwise";

/** This package's own checkpoints, as `saveModel()` writes them. */
export const lengthwise: PublishedFamily = {
  sign: `"format": "${FORMAT}"`,
  matches: (config) => config.values.format === FORMAT,
  read(config): PublishedModel {
    const { format: _, ...values } = config.values;
    const configuration = values as unknown as ModelConfiguration;
    const names = parameterSpecifications(configuration).map(({ name }) => name);
    return { configuration, sources: new Map(names.map((name) => [name, { name }])) };
  },
};
