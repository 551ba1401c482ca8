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

for (const [name, { parameters, config }] of Object.entries(SIZES)) {
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
