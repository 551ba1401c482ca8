import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runSweep, type Subject, type SweepConfiguration } from "../../tasks/mod.ts";
import { runOf } from "../../tasks/commands/run_folder.ts";
import { resultsTable } from "../../tasks/commands/table.ts";
import { describeEffects, weigh } from "../../tasks/report/learning.ts";
import { makePictures } from "../../tasks/report/pictures.ts";
import { joinRuns, type Results } from "../../tasks/report/runs.ts";
import { zerosOf } from "../../tasks/report/zeros.ts";
import type { Row } from "../../tasks/sweep/rows.ts";
import { inFolder } from "../testing.ts";
import { oracles, windowOracle } from "./window_oracle.ts";

const GRID: SweepConfiguration = {
  name: "changes",
  models: [],
  tasks: ["mqar"],
  lengths: [64, 256],
  depths: [],
  loads: [4],
  seeds: [0],
  samples: 16,
};

/** A committed model that was trained here, with changes behind its name. */
function committed(
  model: string,
  window: number,
  changes: readonly string[] = [],
): Subject & AsyncDisposable {
  const name = [model, ...changes].join("+");
  return {
    ...windowOracle(name, window, ["mqar"]),
    description: { kind: "committed", name, model, changes },
    training: { seed: 1, tokens: 1000, learningRate: 0.003 },
  };
}

/** The results of a sweep of models, by way of its folder. */
async function swept(models: readonly (Subject & AsyncDisposable)[]): Promise<Results> {
  let results: Results | undefined;
  await inFolder(async (out) => {
    const { table } = await runSweep(GRID, oracles(models), { out });
    results = joinRuns([await runOf(out, { name: "run", rows: table })]);
  });
  return results!;
}

Deno.test("a model that was changed is judged by whether its unchanged weights learned", async () => {
  const results = await swept([
    committed("whole", 64),
    committed("whole", 4, ["window4"]),
    committed("lost", 2),
    committed("lost", 1, ["window1"]),
  ]);
  const { learning, effects, claimed } = weigh(results);
  assertEquals(learning.map(({ model, learned }) => [model, learned.length]), [
    ["whole", 1],
    ["lost", 0],
  ]);
  const drawn = new Set(claimed.rows.map(({ model }) => model));
  assertEquals(drawn, new Set(["whole", "whole+window4"]), "a change keeps its curve");
  const [whole, lost] = describeEffects(effects);
  assert(
    /^whole\+window4 has the weights of whole, which learned it: at the training length, window4 takes it from 1\.00 .* to 0\.\d\d .* at 64 tokens\.$/
      .test(whole),
    whole,
  );
  assertEquals(
    lost,
    "lost+window1 has the weights of lost, which did not learn it, so that nothing is said of the change.",
  );
  const picture = makePictures(results).find(({ section }) => section === "accuracy")!;
  assertStringIncludes(picture.notes!.join(), whole);
  assert(picture.legend!.some(({ model }) => model === "whole+window4"));
});

Deno.test("a changed model without the unchanged one is not judged", async () => {
  const results = await swept([committed("whole", 4, ["window4"])]);
  const { learning, effects, claimed } = weigh(results);
  assertEquals(learning, []);
  assertEquals(claimed.rows, results.rows);
  const [told] = describeEffects(effects);
  assertStringIncludes(told, "whether its weights learned the task is not judged");
  const traits = new Map([["whole+window4", { changes: ["window4"], carries: false }]]);
  assertStringIncludes(resultsTable(results.rows, Infinity, traits), told);
});

Deno.test("a window explains no 0 of a model whose recurrent layers carry the past", async () => {
  const zero = (carries: boolean): Promise<readonly string[]> =>
    swept([{ ...committed("hybrid", 2), carries }]).then((results) => {
      const rows = results.rows.map((row): Row =>
        row.metric === "accuracy" ? { ...row, value: 0, ci_low: 0, ci_high: 0.2 } : row
      );
      const laws = rows.map((row) => row.metric === "window_law" ? { ...row, value: 0 } : row);
      return zerosOf({ ...results, rows: laws }).flatMap(({ why }) => why);
    });
  const past = "the answers stand farther back than the model’s attention reaches";
  const own = await zero(true);
  assert(!own.includes(past), own.join());
  assert(own.every((why) => why.startsWith("it did not learn the task: ")), own.join());
  assertEquals(own.length, 2);
  assert((await zero(false)).includes(past));
});
