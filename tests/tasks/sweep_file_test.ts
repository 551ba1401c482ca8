import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { schemas } from "../../.ci/schemas.ts";
import package_ from "../../deno.json" with { type: "json" };
import { architecture } from "../../models/mod.ts";
import { parseCommand, UsageError } from "../../tasks/commands/options.ts";
import { SWEEP } from "../../tasks/commands/sweep.ts";
import { EVAL } from "../../tasks/commands/eval.ts";
import { parseRows, SWEEPS } from "../../tasks/mod.ts";
import { smallLayout, TASK_NAMES } from "../../tasks/registry.ts";
import { parseBytes, parseTokens } from "../../tasks/sizes.ts";
import { hashOf } from "../../tasks/sweep/configuration.ts";
import { readSweep } from "../../tasks/sweep/sweep_file.ts";
import { findRecipe, RECIPE_DEFAULTS, RECIPES } from "../../tasks/training/recipe.ts";
import { parseRecipe, readRecipe, recipeText } from "../../tasks/training/recipe_file.ts";
import { inFolder } from "../testing.ts";
import { type Ending, ending, ROOT, script } from "./process.ts";
import { writeLlama } from "./tiny_llama.ts";

function main(...args: string[]): Promise<Ending> {
  return ending(script("tasks/main.ts", args));
}

/** Reads a sweep that is written into a file of its own. */
function read(value: unknown, name = "mine.json"): ReturnType<typeof readSweep> {
  return inFolder(async (folder) => {
    const path = join(folder, name);
    await Deno.writeTextFile(path, typeof value === "string" ? value : JSON.stringify(value));
    return await readSweep(path);
  });
}

Deno.test("the JSON schemas are those of the code", async () => {
  for (const [path, schema] of Object.entries(schemas())) {
    const written = JSON.parse(await Deno.readTextFile(join(ROOT, path)));
    assertEquals(written, schema, `${path} is old: deno run -A .ci/schemas.ts writes it`);
    assert(!/"\$ref":"[^#]/.test(JSON.stringify(written)), "it stands alone");
    const { name, version } = package_;
    assertEquals(written.$id, `https://jsr.io/${name}/${version}/${path}`, "where it is published");
  }
});

Deno.test("every sweep and recipe that has a name is what its file says", async () => {
  for (const [name, configuration] of Object.entries(SWEEPS)) {
    const written = { $schema: "x", hash: await hashOf(configuration), ...configuration };
    const again = await read(written);
    assertEquals(again, JSON.parse(JSON.stringify(configuration)), name);
    assertEquals(JSON.stringify(again), JSON.stringify(configuration), "in the same order");
    assertEquals(await hashOf(again), written.hash, name);
  }
  for (const [name, recipe] of RECIPES) {
    assertEquals(parseRecipe(recipeText(recipe, "r.json"), "r.json"), recipe, name);
  }
});

Deno.test("what is usual may be left out of a file, and sizes are as they are typed", () =>
  inFolder(async (folder) => {
    const { grids: _, ...usual } = SWEEPS.default;
    assertEquals(await read({}), { ...usual, name: "mine" });
    const { lengths, trainLength, models, longest, samples, loads } = await read({
      models: ["gla-text", { model: "gla-text", name: "b", trainLength: "2k" }],
      lengths: [64, "4k", "8x", "1.5x"],
      trainLength: "1k",
      longest: { gla: "1m" },
      samples: "1k",
      loads: ["2k", 4],
    });
    assertEquals(lengths, [64, 4096, "8x", "1.5x"]);
    assertEquals([samples, loads], [1024, [2048, 4]]);
    assertEquals([trainLength, longest], [1024, { gla: 2 ** 20 }]);
    assertEquals(models[1], { model: "gla-text", name: "b", trainLength: 2048 });

    const model = architecture("gla", { vocabulary: 64, width: 32 });
    const path = join(folder, "hybrid.json");
    const file = { model, tasks: [{ name: "mqar" }, { name: "induction", options: {} }] };
    await Deno.writeTextFile(path, JSON.stringify({ ...file, length: "1k" }));
    const recipe = {
      ...RECIPE_DEFAULTS,
      ...{ name: "hybrid", model, length: 1024 },
      tasks: [
        { name: "mqar", options: smallLayout("mqar", true) },
        { name: "induction", options: {} },
      ],
    };
    assertEquals(await readRecipe(path) as unknown, recipe);
    const { trainings } = await read({
      trainings: [{ recipe: path }, { recipe: "gla-mixture", seeds: [1, 2] }, {
        recipe: { ...file, name: "inside" },
        interventions: ["nope"],
      }],
    });
    assertEquals(trainings as unknown, [
      { recipe, seeds: [1] },
      { recipe: findRecipe("gla-mixture"), seeds: [1, 2] },
      {
        recipe: { ...recipe, name: "inside", length: RECIPE_DEFAULTS.length },
        ...{ seeds: [1], interventions: ["nope"] },
      },
    ]);
  }));

Deno.test("a mistake in a file is told with its field", async () => {
  const refuses = async (value: unknown, message: string): Promise<void> => {
    await assertRejects(() => read(value), Error, message);
  };
  await refuses("{", "as it is not valid JSON");
  await refuses({ lenghts: [64] }, '"lenghts" is none of its fields (did you mean "lengths"?)');
  await refuses({ lengths: ["twice"] }, '"lengths": item 0 must be tokens (512, "4k")');
  await refuses({ models: [7] }, '"models": item 0 must be a name, or an object');
  await refuses({ models: [{ model: "a", dtype: "f8" }] }, '"dtype" must be one of f32, f16');
  await refuses({ models: [{ name: "a" }] }, '"models" item 0: it must give "model"');
  await refuses({ models: [{ model: "a", trainLength: "2 k" }] }, '"trainLength" must be tokens');
  const more = TASK_NAMES.length - 8;
  await refuses(
    { tasks: ["mqra"] },
    `and ${more} more (did you mean "mqar"?): current value is "mqra"`,
  );
  await refuses({ tasks: ["chess"] }, '"tasks": item 0 must be one of mqar, induction');
  await refuses(
    { taskOptions: { mqar: { pair: 4 } } },
    '"taskOptions", "mqar": "pair" is none of its fields (did you mean "pairs"?)',
  );
  await refuses({ taskOptions: { vt: { file: "x" } } }, '"vt": "file" is none of its fields');
  await refuses(
    { taskOptions: { mqra: {} } },
    '"mqra" is none of its fields (did you mean "mqar"?)',
  );
  await refuses(
    {
      trainings: [{
        recipe: { ...findRecipe("gla-mixture"), tasks: [{ name: "mqar", options: { key: 1 } }] },
      }],
    },
    '"recipe", "tasks" item 0, "options": Unknown option of mqar "key". Did you mean "keys"?',
  );
  await refuses({ depths: [2] }, '"depths": item 0 must be from 0 to 1');
  await refuses(findRecipe("gla-mixture"), "is a recipe: ./run train");
  await refuses({ trainings: [{ recipe: "gla-mixtur" }] }, 'Did you mean "gla-mixture"?');
  await refuses(
    { trainings: [{ recipe: { ...findRecipe("gla-mixture"), steps: 0 } }] },
    '"trainings" item 0, "recipe": "steps" must be a positive integer',
  );
  await assertRejects(() => readSweep("/none.json"), Error, "Cannot read the sweep /none.json: No");
  await assertRejects(() => readRecipe("./none"), Error, "Cannot read the recipe ./none: No");
  await inFolder(async (folder) => {
    const path = join(folder, "sweep.json");
    await Deno.writeTextFile(path, JSON.stringify(SWEEPS.default));
    await assertRejects(() => readRecipe(path), Error, "is a sweep: ./run sweep");
  });
});

Deno.test("what --print prints is what sweep and train read; options come before the file", () =>
  inFolder(async (folder) => {
    const asked = ["--samples", "2", "--lengths", "1k", "--dtype", "f16", "--steps", "7"];
    const file = join(folder, "sweep.json");
    const models = { models: [{ model: "gla-text", dtype: "f32", trainLength: 9 }] };
    const { trainings } = SWEEPS["mqar-small"];
    await Deno.writeTextFile(file, JSON.stringify({ ...models, trainings, samples: 9 }));
    const first = await main("sweep", file, ...asked, "--print");
    assertEquals(first.code, 0, first.stderr);
    const printed = join(folder, "printed.json");
    await Deno.writeTextFile(printed, first.stdout);
    const again = await main("sweep", printed, "--print");
    assertEquals(JSON.parse(again.stdout), JSON.parse(first.stdout));
    const sweep = JSON.parse(first.stdout);
    assertEquals(sweep.models, [{ model: "gla-text", trainLength: 9 }]);
    assertEquals([sweep.name, sweep.samples, sweep.lengths, sweep.dtype], [
      "sweep",
      2,
      [1024],
      "f16",
    ]);
    assert(
      sweep.trainings.every(({ recipe }: { recipe: { steps: number } }) => recipe.steps === 7),
    );

    const words = ["--model", "gla-text", "--task", "text", "--lengths", "1k", "--dtype", "f16"];
    const evaluation = await main("eval", ...words, "--print");
    assertEquals(evaluation.code, 0, evaluation.stderr);
    await Deno.writeTextFile(printed, evaluation.stdout);
    const { models: [one], lengths, dtype } = await readSweep(printed);
    assertEquals([one, lengths, dtype], ["gla-text", [1024], "f16"]);

    const recipe = await main("train", "gla-mixture", "--print", "--length", "1k", "--seed", "5");
    assertEquals(recipe.code, 0, recipe.stderr);
    await Deno.writeTextFile(printed, recipe.stdout);
    const whole = { ...findRecipe("gla-mixture"), length: 1024, seed: 5 };
    assertEquals(await readRecipe(printed), whole);
    const other = await main("train", printed, "--print", "--steps", "3");
    assertEquals(parseRecipe(other.stdout, "-"), { ...whole, steps: 3 });
    const typed = ["--steps", "1k", "--batch", "2k"];
    const sized = await main("train", printed, "--print", ...typed);
    assertEquals(parseRecipe(sized.stdout, "-"), { ...whole, steps: 1024, batch: 2048 });
    const twice = await main("eval", ...words, "--task", "passkey", "--print", "--samples", "1k");
    const { tasks, samples } = JSON.parse(twice.stdout);
    assertEquals([tasks, samples], [["text", "passkey"], 1024]);
  }));

Deno.test("sizes are typed with their units", () => {
  const tokens = ["512", "4k", "1M", "0", "4kb", "-1", "1.5k", "99999m"].map(parseTokens);
  assertEquals(tokens, [512, 4096, 2 ** 20, ...Array(5).fill(undefined)]);
  const bytes = ["80e9", "8GB", "512 MiB", "1.5g", "100", "8ib", "GB", "0"].map(parseBytes);
  assertEquals(bytes, [80e9, 8e9, 2 ** 29, 1.5e9, 100, ...Array(3).fill(undefined)]);
});

Deno.test("eval and sweep take the same words", () => {
  for (const specification of [SWEEP, EVAL]) {
    for (const [models, tasks] of [["--models", "--tasks"], ["--model", "--task"]]) {
      const { values } = parseCommand(specification, [models, "a", `${tasks}=b`]);
      assertEquals([values.get("models"), values.get("tasks")], ["a", "b"]);
    }
  }
  assertThrows(() => parseCommand(EVAL, ["--modell", "a"]), UsageError, "Did you mean");
});

Deno.test("a file's sweep runs in shards, merges and continues, with its models' own settings", () =>
  inFolder(async (folder) => {
    const model = join(folder, "tiny");
    await writeLlama(model);
    const template = join(folder, "turns.jinja");
    await Deno.writeTextFile(template, "Q: {{ messages[0].content }} A:");
    const file = join(folder, "mine.json");
    const sweep = {
      models: ["gla-mixture", { model, name: "turns", template, trainLength: "1k" }],
      tasks: ["mqar", "niah_single_1"],
      ...{ lengths: ["1x"], seeds: [0], samples: 1 },
    };
    await Deno.writeTextFile(file, JSON.stringify(sweep));
    const out = join(folder, "out");
    for (const shard of ["0/2", "1/2"]) {
      const { code, stderr } = await main("sweep", file, "--shard", shard, "--out", out);
      assertEquals(code, 0, stderr);
    }
    const merged = await main("merge", out);
    assertEquals([merged.code, merged.stderr], [0, ""]);
    assert(merged.stdout.includes("2 of 2 cells, from 2 journals"), merged.stdout);
    const rows = parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv")
      .filter(({ metric }) => metric === "accuracy");
    assertEquals(
      rows.map((row) => [row.model, row.task, row.template, row.length, row.train_length]),
      [["gla-mixture", "mqar", undefined, 64, 64], ["turns", "niah_single_1", "turns", 1024, 1024]],
    );
    // Without the file, and with it: it is the same sweep. With another template it is not.
    for (const args of [[], [file]]) {
      const again = await main("sweep", ...args, "--resume", "--out", out);
      assertEquals(again.code, 0, again.stderr);
      assert(again.stdout.includes("2 of 2 cells were there already"), again.stdout);
    }
    await Deno.writeTextFile(template, "{{ messages[0].content }}");
    const other = await main("sweep", "--resume", "--out", out);
    assertEquals(other.code, 1);
    assert(other.stderr.includes("the files of its tasks or the version"), other.stderr);
  }));
