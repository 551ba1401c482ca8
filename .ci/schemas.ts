/**
 * Writes the JSON schemas of sweeps and of recipes, from the schemas that check their files:
 *
 *     deno run -A .ci/schemas.ts
 *
 * @module
 */
import { toJsonSchema } from "@valibot/to-json-schema";
import { fromFileUrl } from "@std/path";
import configuration from "../deno.json" with { type: "json" };
import { RULER_OPTIONS, SWEEP } from "../tasks/sweep/sweep_file.ts";
import { OPTION, RECIPE } from "../tasks/training/recipe_file.ts";

/** The JSON schemas by the files that hold them, from the repository's root. */
export function schemas(): Record<string, unknown> {
  return Object.fromEntries(
    ([
      ["tasks/sweep/sweep.schema.json", SWEEP, "A sweep of Lengthwise"],
      ["tasks/training/recipe.schema.json", RECIPE, "A recipe of Lengthwise"],
    ] as const).map(([path, schema, title]) => [path, schemaOf(schema, path, title)]),
  );
}

function schemaOf(schema: typeof SWEEP | typeof RECIPE, path: string, title: string): unknown {
  // What JSON Schema cannot say, such as that a number is finite, a file's reader checks alone.
  const { $schema, ...made } = toJsonSchema(schema, {
    errorMode: "ignore",
    typeMode: "input",
    definitions: { option: OPTION, ruler: RULER_OPTIONS },
  });
  // A schema stands alone: some readers do not follow a reference into another file.
  const used = JSON.stringify([made.properties, made.$defs]);
  const definitions = Object.entries(made.$defs ?? {})
    .filter(([name]) => schema === RECIPE ? name !== "ruler" : used.includes(`#/$defs/${name}"`));
  const { name, version } = configuration;
  const $id = `https://jsr.io/${name}/${version}/${path}`; // where the published package has it
  return { $schema, $id, title, ...made, $defs: Object.fromEntries(definitions) };
}

if (import.meta.main) {
  for (const [path, schema] of Object.entries(schemas())) {
    const file = fromFileUrl(new URL(`../${path}`, import.meta.url));
    await Deno.writeTextFile(file, JSON.stringify(schema, undefined, 2) + "\n");
  }
  const files = Object.keys(schemas());
  await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", ...files],
    cwd: fromFileUrl(new URL("..", import.meta.url)),
  }).output();
}
