import { assertEquals } from "@std/assert";
import { describeModel } from "../../models/mod.ts";
import { parameterSpecifications } from "../../models/layers.ts";
import { inFolder } from "../testing.ts";
import { FOLDER } from "./published_checkpoints.ts";

interface Size {
  readonly parameters: number;
  readonly config: Record<string, unknown>;
}

const SIZES: Readonly<Record<string, Size>> = JSON.parse(
  await Deno.readTextFile(`${FOLDER}/sizes.json`),
);

/** How many parameters fla gives to what its configs say where they are silent. */
const FLA_SIZES: Readonly<Record<string, number>> = JSON.parse(
  await Deno.readTextFile(`${FOLDER}/fla_sizes.json`),
);
/** The first layer has no lower bounds, for which fla keeps a row all the same. */
const WITHOUT_EFFECT: Readonly<Record<string, number>> = {
  HGRNForCausalLM: 2048,
  HGRN2ForCausalLM: 2048,
};
const FLA = Object.entries(FLA_SIZES).map(([name, stored]): [string, Size] => {
  const parameters = stored - (WITHOUT_EFFECT[name] ?? 0);
  return [name, { parameters, config: { architectures: [name] } }];
});

for (const [name, { parameters, config }] of [...Object.entries(SIZES), ...FLA]) {
  Deno.test(`${name} has as many parameters as its reference gives it`, () =>
    inFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
      const { configuration } = await describeModel(folder);
      const sizes = parameterSpecifications(configuration).map(({ shape }) =>
        shape.reduce((product, extent) => product * extent, 1)
      );
      assertEquals(sizes.reduce((sum, size) => sum + size, 0), parameters);
    }));
}
