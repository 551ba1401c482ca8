import { MODEL } from "../../configuration.ts";
import { parameterSpecifications } from "../../layers.ts";
import { check } from "../../schema.ts";
import type { PublishedFamily, PublishedModel } from "./family.ts";

/** What this package's own `config.json` says its format is. */
export const FORMAT = "lengthwise";

/** This package's own checkpoints, as `saveModel()` writes them. */
export const lengthwise: PublishedFamily = {
  sign: `"format": "${FORMAT}"`,
  matches: (config) => config.values.format === FORMAT,
  read(file): PublishedModel {
    const { format: _, ...values } = file.values;
    const configuration = check(MODEL, values, file.source);
    const names = parameterSpecifications(configuration).map(({ name }) => name);
    return { configuration, sources: new Map(names.map((name) => [name, { name }])) };
  },
};
