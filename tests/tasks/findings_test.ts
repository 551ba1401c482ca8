import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { fromFileUrl } from "@std/path";
import { createTask, type Row, SWEEPS } from "../../tasks/mod.ts";
import { Evidence, FINDINGS, together } from "../../tasks/experiments/findings/mod.ts";
import { parameterCount, stateBytesOf } from "../../models/layers.ts";
import { variantModel } from "../../tasks/experiments/experiment.ts";
import { matched } from "../../tasks/training/equal_parameters.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import type { SweepConfiguration } from "../../tasks/sweep/configuration.ts";
import { enumerateCells } from "../../tasks/sweep/cells.ts";
import { recipesOf } from "../../tasks/sweep/trainings.ts";
import { makeResults } from "../../tasks/experiments/findings/page.ts";
import { makePictures } from "../../tasks/report/pictures.ts";
import { joinRuns } from "../../tasks/report/runs.ts";
import { findingLines, findingText, judgeFinding } from "../../tasks/report/finding.ts";
import { tokensTrained } from "../../tasks/training/batch.ts";

/** Variants that differ in size because size is the question. */
const SIZES_DIFFER = new Set(["finding-5"]);
const OTHER_SIZE = new Set(["mamba1-small-state"]);
/** Variants that are trained on more because that is the question, on as many tokens as each other. */
const OTHER_TRAINING = new Set(["mamba1-more-steps", "mamba1-longer"]);

for (const { name, configuration, tuning, claim, source } of FINDINGS) {
  Deno.test(`${name}: one protocol, equal sizes, equal tokens, rates of which three were tried`, async () => {
    assert(claim.endsWith(".") && source.length > 10);
    assertEquals(SWEEPS[name], configuration);
    const trainings = configuration.trainings!;
    const groups = Map.groupBy(trainings, ({ recipe }) => recipe.tasks.map(({ name }) => name)[0]);
    for (const group of name === "finding-10" ? [trainings] : groups.values()) {
      const sizes = group.filter(({ recipe }) => !OTHER_SIZE.has(recipe.name))
        .map(({ recipe }) => parameterCount(recipe.model));
      if (!SIZES_DIFFER.has(name)) {
        assert(Math.max(...sizes) <= 1.05 * Math.min(...sizes), `parameters are ${sizes}`);
      }
      const tokens = { usual: [] as number[], other: [] as number[] };
      for (const { recipe } of group) {
        const tasks = await Promise.all(
          recipe.tasks.map(({ name, options }) => createTask(name, options)),
        );
        const kind = OTHER_TRAINING.has(recipe.name) ? "other" : "usual";
        tokens[kind].push(tokensTrained(recipe, tasks, recipe.steps));
      }
      for (const alike of Object.values(tokens)) {
        assert(Math.max(...alike) <= 1.06 * Math.min(...alike), `tokens are ${alike}`);
      }
    }
    for (const { recipe, seeds } of trainings) {
      assert(seeds.length >= 3 && !seeds.includes(0) && recipe.targetAccuracy >= 1);
      const tuned = tuning.trainings!.find((other) => other.recipe.name === recipe.name)!;
      assertEquals(tuned.seeds, [0]);
      assert(tuned.learningRates!.length >= 3);
      assert(tuned.learningRates!.includes(recipe.learningRate), `${recipe.name}'s rate`);
    }
  });
}

Deno.test("finding-8: what is kept is compared at states of one size", () => {
  const { configuration } = FINDINGS.find(({ name }) => name === "finding-8")!;
  const bytes = configuration.trainings!.map(({ recipe }) => stateBytesOf(recipe.model)(64));
  assert(Math.max(...bytes) <= 1.1 * Math.min(...bytes), `bytes of state are ${bytes}`);
});

function row(model: string, length: number, seed: number, value: number): Row {
  return {
    ...{ model, family: "transformer", parameters: 1, state_bytes: 1, train_length: 32 },
    ...{ train_seed: seed, task: "induction", length, seed: 0, samples: 40, metric: "accuracy" },
    ...{ value, adapter: "none", version: "0" },
  };
}

/** Five trainings of each variant of finding 1, at the training length and at four times that. */
function positions(at4x: Readonly<Record<string, readonly number[]>>, learned = 1): Row[] {
  return Object.entries(at4x).flatMap(([model, values]) =>
    values.flatMap((value, i) => [
      row(model, 32, i + 1, model === "nope" ? learned : 1),
      row(model, 128, i + 1, value),
      { ...row(model, 128, i + 1, 1 / 15), metric: "chance" },
      { ...row(model, 32, i + 1, 1 / 15), metric: "chance" },
    ])
  );
}

const LOW = [0.1, 0.15, 0.08, 0.12, 0.2];
const HIGH = [0.4, 0.5, 0.35, 0.6, 0.45];

Deno.test("a claim holds, does not hold, or is undecided by its trainings", () => {
  const verdictOf = (rows: readonly Row[]): string | undefined =>
    judgeFinding("finding-1", rows)?.verdict;
  assertEquals(verdictOf(positions({ rope: LOW, nope: HIGH, alibi: HIGH })), "holds");
  assertEquals(verdictOf(positions({ rope: HIGH, nope: LOW, alibi: HIGH })), "does not hold");
  assertEquals(verdictOf(positions({ rope: LOW, nope: LOW, alibi: HIGH })), "undecided");
  assertEquals(verdictOf(positions({ rope: LOW, nope: HIGH, alibi: HIGH }, 0.2)), "undecided");
  assertEquals(verdictOf(positions({ rope: LOW, nope: HIGH })), "undecided");
  const most = [...LOW.slice(1), 0.9];
  assertEquals(
    together(FINDINGS[0].check(new Evidence(positions({ rope: most, nope: HIGH, alibi: HIGH })))),
    "undecided",
  );
});

Deno.test("a level is the mean over the seeds of samples", () => {
  const rows = [0.1, 0.3, 0.5].map((value, seed) => ({
    ...row("gla", 64, 1, value),
    ...{ seed, metric: "window_law" },
  }));
  assertAlmostEquals(new Evidence(rows).level("gla", "window_law", { length: 64 })!, 0.3);
});

Deno.test("a place without a load is one of any load, and not of several at once", () => {
  const rows = [1, 2, 3].map((seed) => ({ ...row("gla", 64, seed, 0.5), load: 4 }));
  assertEquals(new Evidence(rows).accuracy("gla", { length: 64 })?.value, 0.5);
  assertEquals(new Evidence(rows).accuracy("gla", { length: 64, load: 8 }), undefined);
  const several = [...rows, { ...row("gla", 64, 1, 0.1), load: 8 }];
  assertThrows(
    () => new Evidence(several).accuracy("gla", { length: 64 }),
    RangeError,
    "Cannot judge gla at 64 tokens as it has several loads",
  );
});

Deno.test("finding-10 asks each model the haystack that it was not trained on", async () => {
  const { configuration } = FINDINGS.find(({ name }) => name === "finding-10")!;
  const recipes = recipesOf(configuration.trainings!);
  await using source = new ModelSource();
  const cards = await source.find(recipes.map(({ name }) => name), { recipes, train: false });
  const asked = async (change: Partial<SweepConfiguration>): Promise<number[]> => {
    const grid = await enumerateCells({ ...configuration, ...change }, cards);
    return grid.map(({ cells }) => new Set(cells.map(({ task }) => task)).size);
  };
  assertEquals(await asked({}), cards.map(() => 3));
  assertEquals(await asked({ unlearned: false }), cards.map(() => 2));
  await assertRejects(
    () => asked({ tasks: [] }),
    RangeError,
    'no task of "tasks" has "taskOptions"',
  );
});

Deno.test("a finding is recognised by its folder and its models, in the terminal and in the report", () => {
  const rows = positions({ rope: LOW, nope: HIGH, alibi: HIGH });
  assertEquals(judgeFinding("default", rows), undefined);
  assertEquals(judgeFinding("finding-1", [...rows, row("other", 32, 1, 1)]), undefined);
  const judged = judgeFinding("results/finding-1-2", rows)!;
  const lines = findingLines(judged);
  assertMatch(lines[0], /^finding-1: Attention with RoPE/);
  assertEquals(lines[1], "verdict: holds");
  assertMatch(lines[3], /rope \.13 \[\.\d\d, \.\d\d\] at 128 tokens, at most \.53/);
  assertMatch(findingText(judged), /Verdict: holds\./);
});

Deno.test("models are matched in parameters by their perceptrons, or refused", () => {
  const model = variantModel("transformer", { vocabulary: 16, width: 32 }, 32);
  const count = parameterCount(matched(model, 30_000));
  assert(Math.abs(count - 30_000) <= 96, `${count} parameters`);
  try {
    matched(variantModel("mamba2", { vocabulary: 16, width: 32 }, 32), 30_000);
    throw new Error("not refused");
  } catch (error) {
    assertMatch(`${error}`, /RangeError: Cannot match mamba2 to 30000 parameters: the nearest/);
  }
});

Deno.test("the page of the findings, its sentences and its pictures are what its results make", async () => {
  const folder = new URL("../../tasks/experiments/results/", import.meta.url);
  const { page, pictures } = await makeResults(fromFileUrl(folder));
  assertEquals(await Deno.readTextFile(new URL("README.md", folder)), page);
  for (const [name, svg] of pictures) {
    assertEquals(await Deno.readTextFile(new URL(name, folder)), svg);
  }
});

Deno.test("a task that was asked with several loads at a length has a picture against the load", () => {
  const rows = [2, 4, 8].flatMap((load) =>
    [1, 2, 3].map((seed) => ({ ...row("gla", 64, seed, 1 / load), task: "mqar", load }))
  );
  const find = (rows: Row[]) =>
    makePictures(joinRuns([{ name: "a", rows }])).find(({ name }) => name === "load-mqar-64");
  const picture = find(rows);
  assertEquals(picture?.tips?.map(({ lines }) => lines.map(({ text }) => text.slice(0, 4))), [
    ["0.50"],
    ["0.25"],
    ["0.13"],
  ]);
  assertEquals(find(rows.filter(({ load }) => load < 8)), undefined);
});
