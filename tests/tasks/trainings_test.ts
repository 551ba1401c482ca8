import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { architecture } from "../../models/mod.ts";
import { createTask } from "../../tasks/registry.ts";
import { boundedMean } from "../../tasks/statistics.ts";
import { curvesOf } from "../../tasks/report/curves.ts";
import { joinRuns } from "../../tasks/report/runs.ts";
import { tellResults } from "../../tasks/commands/running.ts";
import { resultsTable } from "../../tasks/commands/table.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { enumerateCells } from "../../tasks/sweep/cells.ts";
import {
  checkConfiguration,
  hashOf,
  type SweepConfiguration,
} from "../../tasks/sweep/configuration.ts";
import { SWEEPS } from "../../tasks/experiments/mod.ts";
import { mergeSweep } from "../../tasks/sweep/merge.ts";
import { findModels } from "../../tasks/sweep/models.ts";
import { formatRows, parseRows, type Row } from "../../tasks/sweep/rows.ts";
import { runSweep } from "../../tasks/sweep/run.ts";
import { shardFolder } from "../../tasks/sweep/shards.ts";
import {
  recipesOf,
  trainedModels,
  type Training,
  TUNING_SEED,
} from "../../tasks/sweep/trainings.ts";
import { bestRates, variantRows } from "../../tasks/sweep/variants.ts";
import { trainingBatch } from "../../tasks/training/batch.ts";
import { isFinished, trainOnce } from "../../tasks/training/once.ts";
import type { Recipe } from "../../tasks/training/recipe.ts";
import { inFolder, testGpu } from "../testing.ts";
import { oracles, windowOracle } from "./window_oracle.ts";

const RECIPE: Recipe = {
  name: "tiny",
  model: architecture("transformer", { vocabulary: 16, width: 16, layers: 1 }),
  tasks: [{ name: "induction", options: { vocabulary: 16 } }],
  length: 16,
  batch: 4,
  learningRate: 3e-3,
  warmupSteps: 2,
  firstTaskSteps: 0,
  targetAccuracy: 1,
  steps: 10,
  seed: 7,
};

const TRAINING: Training = {
  recipe: RECIPE,
  learningRates: [1e-3, 3e-3],
  seeds: [1, 2],
  interventions: ["yarn2", "window8+sinks2"],
};

const SWEEP: SweepConfiguration = {
  name: "tiny",
  trainings: [{ ...TRAINING, learningRates: undefined, seeds: [1], interventions: ["window8"] }],
  models: [],
  tasks: [],
  lengths: [16, 32],
  depths: [],
  loads: [],
  seeds: [0, 1],
  samples: 4,
};

Deno.test("a training is one model a rate and seed, each as it is and with its interventions", () => {
  const models = trainedModels([TRAINING]);
  assertEquals(models.length, 2 * 2 * 3);
  assertEquals(models.slice(0, 4).map(({ name }) => name), [
    "tiny-lr0.001-s1",
    "tiny-lr0.001-s1+yarn2",
    "tiny-lr0.001-s1+window8+sinks2",
    "tiny-lr0.001-s2",
  ]);
  assertEquals(models[1].variant, "tiny+yarn2");
  assertEquals([models[1].recipe.learningRate, models[1].recipe.seed], [1e-3, 1]);
  assertEquals(recipesOf([TRAINING]).map(({ name }) => name), [
    "tiny-lr0.001-s1",
    "tiny-lr0.001-s2",
    "tiny-lr0.003-s1",
    "tiny-lr0.003-s2",
  ]);
  assertEquals(trainedModels(SWEEP.trainings!).map(({ name }) => name), [
    "tiny-s1",
    "tiny-s1+window8",
  ]);
});

Deno.test("trainings that make no sense are refused before anything is trained", () => {
  const wrong: [Partial<Training>, string][] = [
    [{ seeds: [] }, "must have at least one seed"],
    [{ seeds: [1, 1] }, "is listed twice"],
    [{ seeds: [-1] }, "must be an integer"],
    [{ learningRates: [0] }, "learning rates must be greater than 0"],
    [{ learningRates: [] }, "learning rates must be greater than 0"],
  ];
  for (const [change, message] of wrong) {
    const trainings = [{ ...TRAINING, ...change }];
    assertThrows(() => checkConfiguration({ ...SWEEP, trainings }), RangeError, message);
  }
});

Deno.test("points stand in for lengths × loads, and an architecture has its longest length", async () => {
  const near = windowOracle("near", 32, ["mqar"]);
  const far = windowOracle("far", 64, ["mqar", "induction"]);
  const cards = await oracles([near, far]).find([]);
  const cellsOf = async (change: Partial<SweepConfiguration>): Promise<string[]> => {
    const configuration: SweepConfiguration = { ...SWEEP, trainings: [], seeds: [0], ...change };
    checkConfiguration(configuration);
    return (await enumerateCells(configuration, cards)).flatMap(({ cells }) =>
      cells.map(({ model, task, length, load }) => `${model} ${task} ${length} ${load ?? "-"}`)
    );
  };
  const points = [{ length: 16, load: 2 }, { length: 16, load: 3 }, { length: 64, load: 8 }];
  assertEquals(await cellsOf({ lengths: [32], points }), [
    "near mqar 16 2",
    "near mqar 16 3",
    "near mqar 64 8",
    "far mqar 16 2",
    "far mqar 16 3",
    "far induction 32 -",
    "far mqar 64 8",
  ]);
  const [{ family }] = cards;
  assertEquals(
    (await cellsOf({ lengths: [], points, longest: { [family]: 16 } }))
      .filter((cell) => cell.startsWith("near")),
    ["near mqar 16 2", "near mqar 16 3"],
  );
  assertThrows(
    () => checkConfiguration({ ...SWEEP, lengths: [] }),
    RangeError,
    "at least one length",
  );
  assertThrows(
    () => checkConfiguration({ ...SWEEP, points: [points[0], points[0]] }),
    RangeError,
    "point 16 with 2 is listed twice",
  );
});

function rowOf(
  model: string,
  length: number,
  seed: number,
  value: number,
  metric = "accuracy",
): Row {
  return {
    model,
    family: "transformer",
    parameters: 1,
    state_bytes: 1,
    train_length: 16,
    task: "induction",
    length,
    seed,
    samples: 100,
    metric,
    value,
    ...(metric === "accuracy" ? { ci_low: value - 0.02, ci_high: value + 0.02 } : {}),
    prefill_ms: 10 + seed,
    adapter: "none",
    version: "0",
  };
}

/** The tokens of a recipe without points, counted from its batches. */
async function tokensOfTraining(recipe: Recipe): Promise<number> {
  const tasks = await Promise.all(recipe.tasks.map((task) => createTask(task.name, task.options)));
  const steps = Array.from({ length: recipe.steps }, (_, step) => step);
  return steps.reduce((sum, step) => sum + trainingBatch(recipe, tasks, step).tokens.length, 0);
}

Deno.test("the best rate is that of the training length's cells, a model without results counting 0", () => {
  const training = { ...TRAINING, interventions: [] };
  const rows = [
    rowOf("tiny-lr0.001-s1", 16, 0, 0.6),
    rowOf("tiny-lr0.001-s2", 16, 0, 0.5),
    rowOf("tiny-lr0.003-s1", 16, 0, 0.9),
    rowOf("tiny-lr0.003-s1", 32, 0, 0.1),
  ];
  assertEquals(bestRates([training], rows).get("tiny"), 1e-3); // 0.55 against (0.9 + 0) / 2
  assertEquals(
    bestRates([training], [...rows, rowOf("tiny-lr0.003-s2", 16, 0, 0.9)]).get("tiny"),
    3e-3,
  );
  // Samples that are not reported decide, where there are any.
  const tuning = [1, 2].flatMap((seed) => [
    rowOf(`tiny-lr0.001-s${seed}`, 16, TUNING_SEED, 0.3),
    rowOf(`tiny-lr0.003-s${seed}`, 16, TUNING_SEED, 0.4),
  ]);
  assertEquals(bestRates([training], [...rows, ...tuning]).get("tiny"), 3e-3);
});

Deno.test("a sweep that was stopped while rates were compared has nothing to report, and says so", () =>
  inFolder(async (folder) => {
    const rows = [rowOf("tiny-lr0.001-s1", 16, TUNING_SEED, 0.3)];
    const log = console.log;
    const said: string[] = [];
    console.log = (text: string) => said.push(text);
    try {
      await tellResults(rows, [TRAINING], folder);
    } finally {
      console.log = log;
    }
    assertEquals(said, ["no cell that is reported has a result yet"]);
  }));

Deno.test("among several rates one is chosen on samples of its own, up to the training length", async () => {
  await using source = new ModelSource();
  const cellsOf = async (learningRates: number[] | undefined): Promise<string[]> => {
    const trainings = [{ ...TRAINING, learningRates, seeds: [1] }];
    const configuration = { ...SWEEP, trainings, seeds: [0] };
    const cards = await findModels(configuration, source, { folder: "nowhere", train: false });
    return (await enumerateCells(configuration, cards)).flatMap(({ cells }) =>
      cells.filter(({ seed }) => seed === TUNING_SEED)
        .map(({ model, length }) => `${model} ${length}`)
    );
  };
  assertEquals(await cellsOf(undefined), []);
  assertEquals(await cellsOf([1e-3, 3e-3]), ["tiny-lr0.001-s1 16", "tiny-lr0.003-s1 16"]);
});

Deno.test("a variant's interval is that of its trainings, and each of them is there", () => {
  const rows = [1, 2, 3].flatMap((seed) => [
    ...[0, 1].map((samples) => rowOf(`tiny-s${seed}`, 16, samples, [0, 0.2, 0.5, 0.8][seed])),
    rowOf(`tiny-s${seed}`, 32, 0, 0.4),
    rowOf(`tiny-s${seed}`, 16, 0, 0.25, "chance"),
    rowOf(`tiny-s${seed}+yarn2`, 16, 0, 0.7),
    rowOf(`tiny-s${seed}`, 16, TUNING_SEED, 1),
  ]);
  const training = { recipe: RECIPE, seeds: [1, 2, 3], interventions: ["yarn2"] };
  const found = variantRows([training], [...rows, rowOf("other", 16, 0, 0.9)]);
  assertEquals(found.length, 3 * 5 + 1, "what rates are chosen by is not reported");
  const models = joinRuns([{ name: "", rows: found }]).models;
  assertEquals(models.map(({ model, trainSeeds }) => [model, trainSeeds]), [
    ["tiny", [1, 2, 3]],
    ["tiny+yarn2", [1, 2, 3]],
    ["other", []],
  ]);
  const [{ points: [first, longer] }, changed, other] = curvesOf(found, "accuracy");
  assertEquals([first.value, first.samples], [0.5, 600]);
  assertEquals(first.trainings, [
    { seed: 1, value: 0.2 },
    { seed: 2, value: 0.5 },
    { seed: 3, value: 0.8 },
  ]);
  const { low, high } = boundedMean([0.2, 0.5, 0.8]);
  assertEquals([first.low, first.high], [low, high]);
  assert(resultsTable(found).includes("0.50 [.13, .87]"), resultsTable(found));
  // That three agree does not say that a fourth does.
  assert(Math.abs(longer.value - 0.4) < 1e-12 && longer.high - longer.low > 0.4);
  const [{ points: [chance] }] = curvesOf(found, "chance");
  assertEquals([chance.value, chance.low], [0.25, NaN]);
  assertEquals([changed.model, changed.points[0].trainings!.length], ["tiny+yarn2", 3]);
  assertEquals(other.points[0].trainings, undefined);
  const csv = formatRows(found);
  assertEquals(parseRows(csv, "variants.csv"), JSON.parse(JSON.stringify(found)));
  // From what sweep.csv alone says, it is the same but for what rates are chosen by.
  const named = rows.map((row) => ({
    ...row,
    variant: row.model.replace(/-s\d/, ""),
    train_seed: Number(row.model.match(/-s(\d)/)![1]),
  }));
  const joined = joinRuns([{ name: "", rows: named }]);
  assertEquals(curvesOf(joined.rows, "accuracy")[0].points[0], first);
});

Deno.test("older results, means over trainings, are read as they are", () => {
  const mean = { ...rowOf("tiny", 16, 0, 0.5), training_seeds: 3 };
  const csv = formatRows([mean]);
  assert(csv.split("\r\n")[0].endsWith(",version,training_seeds"));
  const [row] = parseRows(csv, "variants.csv");
  assertEquals(row.training_seeds, 3);
  const { models, rows } = joinRuns([{ name: "", rows: [row] }]);
  assertEquals(models[0].trainSeeds, [1, 2, 3]);
  const [{ points: [point] }] = curvesOf(rows, "accuracy");
  assert(Math.abs(point.low - 0.48) < 2e-3 && point.trainings === undefined);
});

Deno.test("a sweep trains its models once, continues without training, and refuses another recipe", () =>
  inFolder(async (folder) => {
    const out = join(folder, "results");
    const trained: string[] = [];
    await using source = new ModelSource({ onTraining: ({ name }) => trained.push(name) });
    const { rows, failed, total } = await runSweep(SWEEP, source, { out });
    assertEquals([failed.length, total], [0, 2 * 2 * 2]);
    assertEquals(trained, ["tiny-s1"]);
    assertEquals(
      [...new Set(rows.map(({ model }) => model))],
      ["tiny-s1", "tiny-s1+window8"],
    );
    assert(rows.some(({ model, metric }) => model.endsWith("+window8") && metric === "window_law"));
    assert(await isFinished(join(out, "models", "tiny-s1")));
    const again = await runSweep(SWEEP, source, { out, resume: true });
    assertEquals([again.resumed, trained.length], [total, 1]);
    // Another sweep in the same folder of models, with another recipe of that name.
    const trainings = [{ ...SWEEP.trainings![0], recipe: { ...RECIPE, steps: 20 } }];
    const other = await runSweep({ ...SWEEP, trainings }, source, {
      out: join(folder, "other"),
      models: join(out, "models"),
    });
    assertEquals(other.failed.length, total);
    assert(other.failed[0].reason.includes("it holds a model of another recipe"));
  }));

Deno.test("of two that train one model at once the second finds it finished", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const trained: number[] = [];
    await Promise.all(
      [0, 1].map((who) => trainOnce(gpu, RECIPE, join(folder, "tiny"), () => trained.push(who))),
    );
    assertEquals(trained.length, 1);
  }));

Deno.test("shards train into one folder of models, and their merge is the whole", () =>
  inFolder(async (folder) => {
    const trained: string[] = [];
    await using source = new ModelSource({ onTraining: ({ name }) => trained.push(name) });
    const trainings = [{ ...SWEEP.trainings![0], seeds: [1, 2] }];
    const configuration = { ...SWEEP, trainings };
    for (const index of [0, 1, 2]) {
      const shard = { index, count: 3 };
      const out = shardFolder(folder, shard);
      await runSweep(configuration, source, { out, shard, models: join(folder, "models") });
    }
    assertEquals(trained, ["tiny-s1", "tiny-s2"]);
    const { missing, failed, rows } = await mergeSweep([folder], source, folder);
    assertEquals([missing.length, failed.length], [0, 0]);
    const means = curvesOf(variantRows(trainings, rows), "accuracy").flatMap(({ model, points }) =>
      points.map(({ length, trainings, samples }) => [model, length, trainings!.length, samples])
    );
    assertEquals(means, [
      ["tiny", 16, 2, 16],
      ["tiny", 32, 2, 16],
      ["tiny+window8", 16, 2, 16],
      ["tiny+window8", 32, 2, 16],
    ]);
    const known = rows.map(({ train_seed, learning_rate, train_tokens }) => [
      ...[train_seed, learning_rate, train_tokens],
    ]);
    const tokens = await tokensOfTraining(trainings[0].recipe);
    assertEquals(new Set(known.map(String)), new Set([`1,0.003,${tokens}`, `2,0.003,${tokens}`]));
  }));

Deno.test("what is estimated is not trained, and who cannot train says so", () =>
  inFolder(async (folder) => {
    await using source = new ModelSource();
    const cards = await findModels(SWEEP, source, { folder, train: false });
    assertEquals(cards.map(({ name, trainLength }) => [name, trainLength]), [
      ["tiny-s1", 16],
      ["tiny-s1+window8", 16],
    ]);
    assertEquals(cards[1].window, 8);
    await using subject = await source.open(cards[1]);
    assertEquals(subject.stateBytes(100), subject.stateBytes(8));
    assertEquals(await Array.fromAsync(Deno.readDir(folder)), []);
    await assertRejects(
      () => runSweep(SWEEP, oracles([]), { out: join(folder, "results") }),
      Error,
      "these models are not trained by recipes",
    );
  }));

for (const [name, configuration] of Object.entries(SWEEPS)) {
  const { trainings = [] } = configuration;
  if (trainings.length === 0) continue;
  Deno.test(`${name}: its models build, its tasks fit its lengths, and it prints and hashes`, async () => {
    checkConfiguration(configuration);
    assertEquals(JSON.parse(JSON.stringify(configuration)), configuration);
    assert(/^[0-9a-f]{64}$/.test(await hashOf(configuration)));
    assert(trainings.every(({ seeds }) => seeds.length >= 3) && configuration.seeds.length >= 3);
    await using source = new ModelSource();
    const cards = await findModels(configuration, source, { folder: "nowhere", train: false });
    const grid = await enumerateCells(configuration, cards);
    assertEquals(grid.length, trainedModels(trainings).length);
    for (const { recipe } of trainings) {
      const tasks = await Promise.all(
        recipe.tasks.map(({ name, options }) => createTask(name, options)),
      );
      for (const point of recipe.points ?? [{ length: recipe.length }]) {
        assert(point.length <= recipe.length, `${recipe.name} at ${point.length}`);
        const small = { ...recipe, batch: tasks.length, points: [point], firstTaskSteps: 0 };
        assertEquals(trainingBatch(small, tasks, 0).time, point.length);
      }
    }
  });
}
