import { assert, assertEquals } from "@std/assert";
import { parameterCount } from "../../models/layers.ts";
import { COMMITTED_MODELS, zooDirectory } from "../../models/mod.ts";
import { createTask } from "../../tasks/registry.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { inForm } from "../../tasks/subjects/description.ts";
import { tokensTrained } from "../../tasks/training/batch.ts";
import { findRecipe } from "../../tasks/training/recipe.ts";
import { parseRecipe } from "../../tasks/training/recipe_file.ts";

const MIXTURE = COMMITTED_MODELS.filter(({ recipe }) => recipe.endsWith("-mixture"));

Deno.test("each committed model is a training by the recipe of today", async () => {
  for (const { name, recipe, seed } of COMMITTED_MODELS) {
    const path = new URL("recipe.json", zooDirectory(name));
    const written = parseRecipe(await Deno.readTextFile(path), name);
    assertEquals(written, { ...findRecipe(recipe), seed }, name);
  }
});

Deno.test("the mixture's models: five architectures, three trainings each, equal but for what is compared", async () => {
  const recipes = [...new Set(MIXTURE.map(({ recipe }) => recipe))].map(findRecipe);
  assertEquals(recipes.map(({ model }) => model.family), [
    "transformer",
    "mamba2",
    "gla",
    "griffin",
    "mamba2-attention",
  ]);
  for (const { name } of recipes) {
    const seeds = MIXTURE.filter(({ recipe }) => recipe === name).map(({ seed }) => seed);
    assertEquals(seeds, [1, 2, 3]);
  }
  const [first, ...others] = recipes.map(({ name: _, model: __, learningRate: ___, ...rest }) =>
    rest
  );
  for (const other of others) assertEquals(other, first);
  assert(first.targetAccuracy >= 1, "no training ends early");
  const counts = recipes.map(({ model }) => parameterCount(model));
  assert(Math.max(...counts) <= 1.05 * Math.min(...counts), `parameters: ${counts}`);
  for (const { learningRate } of recipes) assert([2e-3, 5e-3, 1e-2].includes(learningRate));
  const tasks = await Promise.all(
    first.tasks.map(({ name, options }) => createTask(name, options)),
  );
  const tokens = recipes.map((recipe) => tokensTrained(recipe, tasks, recipe.steps));
  assertEquals(new Set(tokens).size, 1);
});

Deno.test("README says of the mixture's models what they are", async () => {
  const readme = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  const rows = [...readme.matchAll(/^\| `(\S+-mixture)` +\|(.*)\|$/gm)]
    .map(([, name, cells]) => [name, ...cells.split("|").map((cell) => cell.trim())]);
  await using source = new ModelSource();
  const cards = await source.find(rows.map(([name]) => name));
  assertEquals(cards.length, 5);
  const short = (bytes: number): string =>
    bytes < 1e6 ? bytes.toLocaleString("en") : `${(bytes / 1e6).toFixed(2)}M`;
  assertEquals(
    rows,
    cards.map(({ name, parameters, training, stateBytes }) => [
      name,
      parameters.toLocaleString("en"),
      String(training!.learningRate),
      short(stateBytes!(64)),
      short(stateBytes!(2048)),
    ]),
  );
  const tokens = new Set(cards.map(({ training }) => training!.tokens! / 1e6));
  assertEquals([...tokens].map((millions) => `${millions.toFixed(1)}M tokens`), ["7.4M tokens"]);
  assert(readme.includes("on 7.4M tokens of four tasks"));
});

Deno.test("what bears a recipe's name and is of another architecture or form is not pooled with its trainings", async () => {
  await using source = new ModelSource();
  for (
    const other of [
      { model: "transformer-mixture", name: "gla-mixture" },
      { model: "gla-mixture", dtype: "int8" },
      { model: "gla-mixture-s2", name: "gla-mixture" },
    ] as const
  ) {
    const cards = await source.find([other, "gla-mixture-s2", "gla-mixture-s3"]);
    assertEquals(cards[1].variant, undefined, JSON.stringify(other));
  }
});

Deno.test("trainings by a recipe are compared as one model, unless one is given a name", async () => {
  await using source = new ModelSource();
  const cards = await source.find([
    "gla-mixture",
    "gla-mixture-s2",
    "transformer-mixture-s3+window64",
    inForm("gla-mixture-s2", "int8"),
    { model: "gla-mixture-s2", name: "mine" },
    "gla-niah",
  ]);
  assertEquals(cards.map(({ name, variant, training }) => [name, variant, training?.seed]), [
    ["gla-mixture", undefined, 1],
    ["gla-mixture-s2", "gla-mixture", 2],
    ["transformer-mixture-s3+window64", "transformer-mixture+window64", 3],
    ["gla-mixture-s2 in int8", "gla-mixture in int8", 2],
    ["mine", undefined, 2],
    ["gla-niah", undefined, 1],
  ]);
});
