import { assert, assertEquals } from "@std/assert";
import { architecture, intervene } from "../../models/mod.ts";
import { sightOf } from "../../models/layers.ts";
import {
  createTask,
  levelsOf,
  type Sample,
  score,
  scoredPositions,
  smallLayout,
  UNSCORED,
  windowLaw,
} from "../../tasks/mod.ts";

/** A sample of ten tokens that asks at the given positions, each resting on another. */
function asking(questions: Readonly<Record<number, number>>): Sample {
  const labels = new Uint32Array(10).fill(UNSCORED);
  const evidence = new Uint32Array(10).fill(UNSCORED);
  for (const [t, position] of Object.entries(questions)) {
    labels[Number(t)] = 1;
    evidence[Number(t)] = position;
  }
  return { tokens: new Uint32Array(10), labels, evidence };
}

Deno.test("the window law counts sinks, but not where an answer rests on everything", () => {
  const sample = asking({ 9: 0, 8: 4, 7: 6 });
  assertEquals(windowLaw([sample], 3, 0), 1 / 3);
  assertEquals(windowLaw([sample], 3, 0, 1), 2 / 3);
  assertEquals(windowLaw([sample], 3, 0.25, 1), (2 + 0.25) / 3);
  assertEquals(windowLaw([{ ...sample, restsOnAll: true }], 3, 0, 1), 1 / 3);
  assertEquals(windowLaw([{ ...sample, evidence: undefined }], 3, 0, 1), undefined);
  const reply = { budget: 2, references: ["a", "b"], match: "all", evidence: [1, 5] } as const;
  const none = new Uint32Array(10).fill(UNSCORED);
  assertEquals(windowLaw([{ ...sample, labels: none, reply }], 5, 0), 0.5);
  assertEquals(windowLaw([{ ...sample, labels: none, reply }], 5, 0, 2), 1);
});

Deno.test("stacked layers hand on what they see: their reach adds up", () => {
  const model = architecture("transformer", { vocabulary: 64, width: 32, layers: 3 });
  const change = (...changes: string[]) => intervene(model, changes, { trainLength: 64 });
  assertEquals(sightOf(model), undefined);
  assertEquals(sightOf(change("window16")), { window: 16, sinks: 0, reach: 46 });
  assertEquals(sightOf(change("window16", "sinks4")), { window: 16, sinks: 4, reach: 46 });
  const griffin = architecture("griffin", { vocabulary: 64, width: 32 });
  const { window, reach, carries } = sightOf(griffin)!;
  assertEquals(window, reach, "it has one layer of attention");
  assertEquals(carries, true, "its recurrent layers carry what stands farther back");
});

Deno.test("levels: a law for each limit of sight, none that says what another does", async () => {
  const task = await createTask("induction", smallLayout("induction"));
  const samples = Array.from(
    { length: 400 },
    (_, index) => task.sample({ length: 128, seed: 0, index, split: "test" }),
  );
  const levels = (options: Parameters<typeof levelsOf>[2]): Record<string, number> =>
    Object.fromEntries(
      levelsOf(task, samples, options).map(({ metric, value }) => [metric, value]),
    );
  assertEquals(Object.keys(levels({})), ["chance"]);
  assertEquals(Object.keys(levels({ window: 32, sinks: 0, reach: 32, trainLength: 128 })), [
    "chance",
    "window_law",
  ]);
  const { window_law, stacked_law, distance_law, chance } = levels({
    ...{ window: 32, sinks: 0, reach: 63, trainLength: 64 },
  });
  const near = (actual: number, share: number): void =>
    assert(Math.abs(actual - (share + (1 - share) * chance)) < 0.07, `${actual} for ${share}`);
  near(window_law, 32 / 128);
  near(stacked_law, 63 / 128);
  near(distance_law, 64 / 128);
});

Deno.test("MQAR: right within the training distance and guessing beyond is 0.63 at 32 times", async () => {
  const task = await createTask("mqar", smallLayout("mqar"));
  const samples = Array.from(
    { length: 2000 },
    (_, index) => task.sample({ length: 2048, seed: 0, index, split: "test" }),
  );
  const levels = levelsOf(task, samples, { trainLength: 64 });
  assertEquals(levels.map(({ metric }) => metric), ["chance", "guess", "distance_law"]);
  assertEquals(levels[1].value, 0.25);
  assert(Math.abs(levels[2].value - 0.63) < 0.015, String(levels[2].value));
});

Deno.test("several questions per sample are scored by how far back their answers stood", async () => {
  const task = await createTask("mqar", smallLayout("mqar"));
  const samples = [asking({ 9: 0, 8: 4 }), asking({ 7: 6 })];
  const nll = samples.map((sample) => new Float32Array(scoredPositions(sample).length));
  const of = (correct: number[][], some = samples) =>
    score(task, some, { correct: correct.map((right) => Uint8Array.from(right)), nll })
      .filter(({ metric }) => metric === "accuracy_at_distance")
      .map(({ distance, value, samples }) => [distance, value, samples]);
  assertEquals(of([[1, 0], [0]]), [["0-15", 1 / 3, 2]]);
  const long = Array.from(
    { length: 50 },
    (_, index) => task.sample({ length: 512, seed: 0, index, split: "test" }),
  );
  // Right where the answer stood less than 64 tokens back, wrong beyond.
  const answers = long.map((sample) =>
    Uint8Array.from(scoredPositions(sample), (t) => Number(t - sample.evidence![t] < 64))
  );
  const scores = score(task, long, {
    correct: answers,
    nll: answers.map(({ length }) => new Float32Array(length)),
  });
  const bands = scores.filter(({ metric }) => metric === "accuracy_at_distance");
  assertEquals(bands.map(({ distance, value }) => [distance, value]), [
    ["0-15", 1],
    ["16-31", 1],
    ["32-63", 1],
    ["64-127", 0],
    ["128-255", 0],
    ["256-511", 0],
  ]);
  // A state's answer rests on all before it: its distance is its position.
  const parity = await createTask("parity", smallLayout("parity"));
  const word = parity.sample({ length: 40, seed: 0, index: 0, split: "test" });
  const right = Uint8Array.from({ length: 40 }, (_, t) => Number(t < 32));
  const byPosition = score(parity, [word], { correct: [right], nll: [new Float32Array(40)] })
    .filter(({ metric }) => metric === "accuracy_at_distance");
  assertEquals(byPosition.map(({ distance, value }) => [distance, value]), [
    ["0-15", 1],
    ["16-31", 1],
    ["32-63", 0],
  ]);
  // One question a sample: its depth says as much.
  const passkey = await createTask("passkey", smallLayout("passkey"));
  const one = passkey.sample({ length: 64, seed: 0, index: 0, split: "test" });
  const scored = score(passkey, [one], {
    correct: [Uint8Array.from([1])],
    nll: [new Float32Array(1)],
  });
  assert(scored.every(({ metric }) => metric !== "accuracy_at_distance"));
});
