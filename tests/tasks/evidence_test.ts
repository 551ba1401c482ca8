import { assert, assertEquals } from "@std/assert";
import { parseHTML } from "linkedom";
import { boundedMean, formatRows, parseRows, type Row } from "../../tasks/mod.ts";
import { resultsTable } from "../../tasks/commands/table.ts";
import { curvesOf, panels } from "../../tasks/report/curves.ts";
import { describeDifferences } from "../../tasks/report/differences.ts";
import {
  describeFailures,
  fewTrainings,
  hasLearned,
  learningOf,
  weigh,
} from "../../tasks/report/learning.ts";
import { taskMeans } from "../../tasks/report/mean.ts";
import { makePage } from "../../tasks/report/page.ts";
import { makePictures } from "../../tasks/report/pictures.ts";
import { joinRuns, type Results } from "../../tasks/report/runs.ts";
import { withInterval } from "../../tasks/report/theme.ts";
import { exampleRows } from "./example_rows.ts";
import { trainingRows } from "./example_trainings.ts";

/** Rows as a report has them: through the CSV. */
function results(rows: readonly Row[]): Results {
  return joinRuns([{ name: "run", rows: parseRows(formatRows(rows), "example") }]);
}

const RESULTS = results(trainingRows());

Deno.test("trainings of one model are one, and each is judged at its training length", () => {
  assertEquals(RESULTS.models.map(({ model, trainSeeds }) => [model, trainSeeds]), [
    ["steady", [1, 2, 3]],
    ["moody", [1, 2, 3]],
    ["lost", [1, 2, 3]],
  ]);
  const [mqar] = panels(RESULTS.rows, "accuracy");
  const learning = learningOf(mqar);
  assertEquals(
    learning.map(({ model, length, learned, failed }) => [
      model,
      length,
      learned.map(({ seed }) => seed),
      failed.map(({ seed }) => seed),
    ]),
    [
      ["steady", 64, [1, 2, 3], []],
      ["moody", 64, [1, 3], [2]],
      ["lost", 64, [], [1, 2, 3]],
    ],
  );
  assertEquals(learning.map(hasLearned), [true, true, false]);
  const [moody, lost] = describeFailures(learning);
  assert(moody.startsWith("1 of 3 trainings of moody did not learn it (mean 0."), moody);
  assert(moody.endsWith("where chance is 0.04), it is in the mean all the same."), moody);
  assert(lost.startsWith("None of 3 trainings of lost learned it (0."), lost);
  assert(lost.endsWith("so that nothing is said of other lengths."), lost);
  // Parity at 0.7 is nearer to a coin's 0.5 than to 1.
  const half = trainingRows().filter(({ task }) => task === "parity")
    .map((row) =>
      row.metric === "accuracy" ? { ...row, value: 0.7, ci_low: 0.58, ci_high: 0.8 } : row
    );
  assert(learningOf(panels(results(half).rows, "accuracy")[0]).every((one) => !hasLearned(one)));
});

Deno.test("who was asked at longer lengths alone, or was trained elsewhere, is not judged", () => {
  const longer = trainingRows().filter(({ length }) => length > 64);
  assertEquals(weigh(results(longer)).learning, []);
  const elsewhere = results(exampleRows());
  const { learning, claimed } = weigh(elsewhere);
  assertEquals(learning, []);
  assertEquals(claimed.rows, elsewhere.rows);
});

Deno.test("a load that was asked at longer lengths alone is judged by the others", () => {
  const loads = trainingRows().filter(({ task }) => task === "mqar")
    .map((row) => ({ ...row, load: row.length > 64 ? 16 : 4 }));
  const { learning, claimed } = weigh(results(loads));
  assertEquals(new Set(learning.map(({ task }) => task)), new Set(["mqar, load 4"]));
  const left = new Set(claimed.rows.map(({ model, load }) => `${model} ${load}`));
  assertEquals(left, new Set(["steady 4", "steady 16", "moody 4", "moody 16"]));
});

Deno.test("each training is drawn; a model that did not learn has a statement, and no curve", () => {
  const pictures = makePictures(RESULTS);
  const picture = pictures.find(({ name }) => name === "accuracy-mqar")!;
  const { document } = parseHTML(picture.svg);
  const lines = (description: string): number =>
    document.querySelectorAll(`[aria-description="${description}"] path`).length;
  assertEquals(lines("curve"), 2);
  assertEquals(lines("training"), 5);
  assertEquals(lines("failed training"), 1);
  assertEquals(lines("distance law"), 1);
  assertEquals(picture.notes!.length, 3);
  assert(picture.notes![2].includes("trainings of lost"));
  const legends = [...document.querySelectorAll('[aria-label="legend"]')]
    .map((item) => item.textContent);
  assertEquals(legends, ["steady", "moody", "right up to the training distance"]);
  for (const { name, svg } of pictures.filter(({ section }) => section !== "cost")) {
    assert(!svg.includes("lost"), `${name} has a curve of what did not learn`);
  }
  assert(pictures.find(({ name }) => name === "state-bytes")!.svg.includes("lost"));
  const html = makePage(RESULTS, pictures);
  assert(html.includes("None of 3 trainings of lost learned it"));
  const table = resultsTable(RESULTS.rows);
  assert(table.includes("None of 3 trainings of lost learned it"), table);
});

Deno.test("of a task that nobody learned there is a statement", () => {
  const lost = results(trainingRows().filter(({ family }) => family === "griffin"));
  const pictures = makePictures(lost);
  assert(pictures.every(({ section }) => section === "cost"));
  const { document } = parseHTML(makePage(lost, pictures));
  const notes = [...document.querySelectorAll("#section-accuracy .note")]
    .map(({ textContent }) => textContent!);
  assertEquals(notes.length, 2);
  assert(notes[0].startsWith("mqar: None of 3 trainings of lost learned it"), notes[0]);
  assert(notes[1].startsWith("parity: None of 3 trainings of lost learned it"), notes[1]);
});

Deno.test("an interval over trainings is of their means over tasks: who fails fails in all", () => {
  const { claimed } = weigh(RESULTS);
  const [mean] = taskMeans(claimed.rows);
  assertEquals(mean.curves.map(({ model }) => model), ["steady", "moody"]);
  const [, { points: [point] }] = mean.curves;
  const ofTasks = panels(RESULTS.rows, "accuracy").map(({ rows }) =>
    curvesOf(rows.filter(({ model }) => model === "moody"), "accuracy")[0].points[0].trainings!
  );
  const means = [0, 1, 2].map((i) => (ofTasks[0][i].value + ofTasks[1][i].value) / 2);
  const { low, high } = boundedMean(means);
  assertEquals([point.low, point.high], [low, high]);
  assertEquals(point.trainings!.map(({ seed }) => seed), [1, 2, 3]);
});

Deno.test("fewer than three trainings, or five where some failed, are told, whatever the samples' seeds", () => {
  const few = (rows: readonly Row[]): ReturnType<typeof fewTrainings> => {
    const found = results(rows);
    return fewTrainings(found, weigh(found).learning);
  };
  assertEquals(few(trainingRows()), { few: [], bimodal: ["moody"] });
  const two = trainingRows().filter((row) => row.train_seed! < 3);
  assertEquals(few(two).few, ["steady", "moody", "lost"]);
  assertEquals(few(exampleRows()).few.length, 5);
  const html = makePage(RESULTS, []);
  assert(html.includes("Of moody some trainings learned and some did not"));
  assert(!html.includes("is of one or two trainings"));
  const published = results(exampleRows());
  assertEquals(new Set(published.rows.map(({ seed }) => seed)).size, 3);
  assert(makePage(published, []).includes("Each model here is of one or two trainings"));
  const mixed = results([
    ...trainingRows(),
    ...exampleRows().filter(({ model }) => model === "gla"),
  ]);
  assert(makePage(mixed, []).includes("gla is of one or two trainings"));
});

Deno.test("in what compared models differ is said, and what they share is not", () => {
  assertEquals(describeDifferences(RESULTS.rows), [
    "The models differ in parameters from 20,000 (steady) to 60,000 (lost).",
  ]);
  const alike = RESULTS.rows.filter(({ model }) => model !== "lost");
  assertEquals(describeDifferences(alike), []);
  const more = alike.map((row) => row.model === "moody" ? { ...row, train_tokens: 2e6 } : row)
    .map((row) => row.model === "steady" ? { ...row, state_bytes: 1024 } : row);
  assertEquals(describeDifferences(more), [
    "The models differ in tokens of training from 1M (steady) to 2M (moody) and bytes of state at the training length from 1 KiB (steady) to 4 KiB (moody).",
  ]);
  const pictures = makePictures(RESULTS);
  const mean = pictures.find(({ section }) => section === "mean")!;
  assertEquals(mean.notes, [], "those in the mean are alike");
});

Deno.test("intervals are written as intervals", () => {
  assertEquals(withInterval({ value: 1, low: 0.757, high: 1 }), "1.00 [.76, 1.00]");
  assertEquals(withInterval({ value: 0.05, low: 0, high: 0.2 }), "0.05 [.00, .20]");
  assertEquals(withInterval({ value: 0.5, low: NaN, high: NaN }), "0.50");
  const digits = (value: number): string => value.toPrecision(3);
  assertEquals(withInterval({ value: 5.5, low: 4.81, high: 6.3 }, digits), "5.50 [4.81, 6.30]");
});

Deno.test("a table is at most as wide as the screen, and continues below", () => {
  const table = resultsTable(exampleRows(), 100);
  const lines = table.split("\n");
  assert(Math.max(...lines.map(({ length }) => length)) <= 100, table);
  const mqar = table.split("\n\n").slice(0, 2).join("\n");
  for (const length of [64, 128, 256, 512, 1024, 2048]) assert(mqar.includes(` ${length}`));
  assertEquals(mqar.match(/^ +transformer /gm)!.length, 2);
  assert(resultsTable(exampleRows(), 10).includes("transformer"), "a column a part at the least");
});
