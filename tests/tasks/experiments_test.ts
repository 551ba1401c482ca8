import { assert, assertEquals } from "@std/assert";
import {
  createTask,
  type Recipe,
  type SweepConfiguration,
  SWEEPS,
  type Training,
} from "../../tasks/mod.ts";
import { parameterCount } from "../../models/layers.ts";
import { tokensTrained } from "../../tasks/training/batch.ts";

function recipesOf(
  { trainings = [] }: SweepConfiguration,
): (Recipe & Pick<Training, "learningRates" | "seeds">)[] {
  return trainings.map(({ recipe, learningRates, seeds }) => ({ ...recipe, learningRates, seeds }));
}

// Gu & Dao 2023, table 2 and appendix E.1.
Deno.test("induction-published is Mamba's: sizes, steps, batch and rates", async () => {
  const { lengths } = SWEEPS["induction-published"];
  assertEquals([lengths[0], lengths.at(-1)], [64, 2 ** 20]);
  const recipes = recipesOf(SWEEPS["induction-published"]);
  const find = (name: string): Recipe =>
    recipes.find((recipe) => recipe.name === `induction-${name}`)!;
  for (const { model, tasks, ...recipe } of recipes) {
    assertEquals(recipe.learningRates, [2e-4, 1e-3]);
    assertEquals(
      [recipe.batch, recipe.length, recipe.warmupSteps, recipe.weightDecay, recipe.schedule],
      [8, 256, 0, 0, "constant"],
    );
    assertEquals(recipe.steps, recipe.name === "induction-rope" ? 409_600 : 204_800);
    const [task] = await Promise.all(tasks.map(({ name, options }) => createTask(name, options)));
    assertEquals([tasks.length, task.name, task.vocabulary], [1, "induction", 16]);
    assert(model.layers.every(({ channelMixer }) => channelMixer === undefined), recipe.name);
    assertEquals(tokensTrained({ ...recipe, model, tasks }, [task], 10), 10 * 8 * 256);
  }
  const sizes = ["rope", "mamba1"].map((name) => parameterCount(find(name).model));
  assertEquals(sizes.map((size) => Math.round(size / 1000)), [136, 68]);
  const [layer] = find("rope").model.layers;
  assert(layer.mixer?.kind === "attention");
  assertEquals([layer.mixer.heads, layer.mixer.headDim], [8, 16]);
  assertEquals([find("mamba1").model.width, find("mamba1").model.layers.length], [64, 2]);
});

// Arora et al. 2024, figure 2, and the configurations of HazyResearch/zoology.
Deno.test("mqar-published is Zoology's: models, data, grid and rates", () => {
  const { points, trainings = [] } = SWEEPS["mqar-published"];
  assertEquals(points?.map(({ length, load }) => [length, load]), [
    [64, 4],
    [64, 8],
    [64, 16],
    [128, 32],
    [256, 64],
    [512, 128],
    [1024, 256],
  ]);
  for (const { recipe, learningRates } of trainings) {
    assertEquals(learningRates, [1e-3, 3.16e-3, 1e-2, 3.16e-2]);
    assertEquals(recipe.tasks, [
      { name: "mqar", options: { vocabulary: 8192, randomFill: true } },
    ]);
    assertEquals(
      recipe.points?.map(({ length, load, weight = 1 }) => [length, load, weight * 20_000]),
      [[64, 4, 100_000], [128, 8, 20_000], [256, 16, 20_000], [256, 32, 20_000], [
        256,
        64,
        20_000,
      ]],
    );
    assertEquals([recipe.batch, recipe.batch * recipe.steps], [256, 32 * 180_000]);
    assert(recipe.targetAccuracy >= 1, "all models read as many tokens");
    assert(recipe.model.layers.every(({ channelMixer }) => channelMixer === undefined));
    assertEquals(recipe.model.vocabulary, 8192);
    for (const { mixer } of recipe.model.layers) {
      if (mixer?.kind !== "attention") continue;
      assertEquals([mixer.heads, mixer.headDim, mixer.rotaryBase], [
        1,
        recipe.model.width,
        undefined,
      ]);
    }
  }
  const names = trainings.map(({ recipe }) => recipe.name);
  for (const name of ["transformer-d64", "transformer-d128", "mamba1-d64-n16", "gla-d256-n24"]) {
    assert(names.includes(`mqar-${name}`), name);
  }
});

for (const name of ["interventions", "interventions-small"]) {
  Deno.test(`${name}: every arm is trained on as many tokens`, async () => {
    const recipes = recipesOf(SWEEPS[name]);
    const tokens: number[] = [];
    for (const recipe of recipes) {
      assert(recipe.targetAccuracy >= 1, `${recipe.name} may end early`);
      const tasks = await Promise.all(
        recipe.tasks.map(({ name, options }) => createTask(name, options)),
      );
      tokens.push(tokensTrained(recipe, tasks, recipe.steps));
    }
    const mean = tokens.reduce((sum, count) => sum + count, 0) / tokens.length;
    for (const [i, count] of tokens.entries()) {
      const off = Math.abs(count / mean - 1);
      assert(off < 0.03, `${recipes[i].name} reads ${count} tokens, the mean is ${mean}`);
    }
  });
}

for (const name of ["induction-small", "mqar-small"]) {
  Deno.test(`${name}: equal tokens, parameters within 5%, the best of three rates, three trainings`, () => {
    const { trainings = [] } = SWEEPS[name];
    const counts = trainings.map(({ recipe }) => parameterCount(recipe.model));
    const middle = (Math.max(...counts) + Math.min(...counts)) / 2;
    assert(counts.every((count) => Math.abs(count / middle - 1) <= 0.05), counts.join());
    for (const { recipe, learningRates, seeds } of trainings) {
      assertEquals([learningRates!.length, seeds.length], [3, 3]);
      assertEquals([recipe.targetAccuracy, recipe.steps], [1, trainings[0].recipe.steps]);
    }
  });
}

Deno.test("an experiment that bears a published name says what it reproduces, and what differs", () => {
  for (const [name, { source, differences = [] }] of Object.entries(SWEEPS)) {
    if (!/published|^paper-|^matched-/.test(name)) continue;
    assert(source !== undefined && differences.length > 0, name);
  }
});

Deno.test("the page of experiments says what each of them takes", async () => {
  const page = await Deno.readTextFile(
    new URL("../../tasks/experiments/README.md", import.meta.url),
  );
  const missing = Object.keys(SWEEPS)
    .filter((name) => name !== "default" && !/-small$|^finding-/.test(name))
    .filter((name) => !page.includes(`\`${name}\` `));
  assertEquals(missing, [], "add a row to tasks/experiments/README.md");
});
