/**
 * Writes the JSON schemas of sweeps and of recipes, from the schemas that check their files:
 *
 *     deno run -A .ci/schemas.ts
 *
 * @module
 */
import { toJsonSchema } from "@valibot/to-json-schema";
import { fromFileUrl } from "@std/path";
import { RULER_OPTIONS, SWEEP } from "../tasks/sweep/sweep_file.ts";
import { OPTION, RECIPE } from "../tasks/training/recipe_file.ts";

/** The JSON schemas by the files that hold them, from the repository's root. */
export function schemas(): Record<string, unknown> {
  return {
    "tasks/sweep/sweep.schema.json": schemaOf(SWEEP, "A sweep of Lengthwise"),
    "tasks/training/recipe.schema.json": schemaOf(RECIPE, "A recipe of Lengthwise"),
  };
}

function schemaOf(schema: typeof SWEEP | typeof RECIPE, title: string): unknown {
  // What JSON Schema cannot say, such as that a number is finite, a file's reader checks alone.
  const made = toJsonSchema(schema, {
    errorMode: "ignore",
    typeMode: "input",
    definitions: { option: OPTION, ruler: RULER_OPTIONS },
  });
  // A schema stands alone: some readers do not follow a reference into another file.
  const used = JSON.stringify([made.properties, made.$defs]);
  const definitions = Object.entries(made.$defs ?? {})
    .filter(([name]) => schema === RECIPE ? name !== "ruler" : used.includes(`#/$defs/${name}"`));
  return { ...made, title, $defs: Object.fromEntries(definitions) };
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
