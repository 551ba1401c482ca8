import { visible } from "../names.ts";
import type { SubjectCard, SubjectSource } from "../subject.ts";
import {
  cellKey,
  describeCell,
  enumerateCells,
  type ModelCells,
  taskKey,
  textsOf,
} from "../sweep/cells.ts";
import {
  checkConfiguration,
  gridOf,
  samplesOf,
  type SweepConfiguration,
} from "../sweep/configuration.ts";
import { controlsOf } from "../sweep/controls.ts";
import { type CellEstimate, estimateSweep, type SweepEstimate } from "../sweep/estimate.ts";
import { isJudged } from "../sweep/judges.ts";
import { readJournal } from "../sweep/journal.ts";
import { findModels } from "../sweep/models.ts";
import { cellCost, type Shard, takeShard } from "../sweep/shards.ts";
import { isFinished } from "../training/once.ts";
import type { Recipe } from "../training/recipe.ts";
import { duration } from "./progress.ts";
import { tellLeftOut } from "./running.ts";
import { aligned } from "./table.ts";
import { print } from "./terminal.ts";

/** What of a sweep is estimated. */
export interface DryRunOptions {
  /** This share alone. */
  readonly shard?: Shard;
  /** Tells how long each of so many shards takes. */
  readonly shards?: number;
  /** Called with the whole grid: what it throws ends the estimate. */
  readonly onGrid?: (grid: readonly ModelCells[]) => void;
  /** Where the models are that it trains; those that are not there are estimated untrained. */
  readonly models: string;
  /** A folder whose finished cells are left out. */
  readonly resumed?: string;
}

/** Prints what a sweep would cost. @returns The exit code. */
export async function dryRun(
  configuration: SweepConfiguration,
  source: SubjectSource,
  { shard, shards, models, resumed, onGrid }: DryRunOptions,
): Promise<number> {
  checkConfiguration(configuration);
  const where = { folder: models, train: false, weights: false, onLeftOut: tellLeftOut };
  const cards = await findModels(configuration, source, where);
  const grid = await enumerateCells(configuration, cards, tellLeftOut);
  onGrid?.(grid);
  const journal = resumed === undefined ? undefined : await readJournal(resumed);
  const finished = new Set(journal?.entries.flatMap(({ cell, rows }) => rows ? [cell] : []));
  const left = (shard === undefined ? grid : takeShard(grid, configuration, shard))
    .map((model) => ({
      ...model,
      cells: model.cells.filter((cell) => !finished.has(cellKey(cell))),
    }))
    .filter(({ cells }) => cells.length > 0);
  const here = left.filter(({ card }) => card.isAbsent !== true);
  const absent = left.filter(({ card }) => card.isAbsent === true);
  const estimate = here.length === 0 && absent.length > 0
    ? { adapter: "", cells: [] }
    : await estimateSweep(here, configuration, source);
  if (absent.length === 0 || here.length > 0) print(estimateTable(estimate));
  for (const line of roomLines(estimate)) print(line);
  if (absent.length > 0) print(absentTable(absent, configuration));
  for (const text of textsOf(left)) print(visible(text));
  const judged = left.filter(isJudged);
  if (judged.length > 0) {
    print(
      `besides, another model judges ${
        judged.map(({ card }) => visible(card.name)).join(", ")
      }: its time is not in this estimate`,
    );
  }
  const told = await trainingLine(left.map(({ card }) => card));
  if (told !== undefined) print(told);
  if (shards !== undefined) {
    const costs = new Map(estimate.cells.map((cell) => [cellKey(cell.cell), cell.milliseconds]));
    const times = Array.from(
      { length: shards },
      (_, index) =>
        takeShard(grid, configuration, { index, count: shards })
          .flatMap(({ cells }) => cells)
          .reduce((sum, cell) => sum + (costs.get(cellKey(cell)) ?? 0), 0),
    );
    print(
      `in ${shards} shards: from ${duration(Math.min(...times))} to ${
        duration(Math.max(...times))
      } each`,
    );
  }
  return 0;
}

/** Which cells do not fit into memory, and why. */
function roomLines({ cells }: SweepEstimate): string[] {
  const refused = Map.groupBy(
    cells,
    ({ cell: { model, length }, noRoom }) =>
      noRoom === undefined ? undefined : visible(`${model} at ${length}: ${noRoom}`),
  );
  return [...refused].flatMap(([line, group]) =>
    line === undefined ? [] : [`${group.length} of ${cells.length} cells cannot be run, ${line}`]
  );
}

/** What an adapter is taken to do in a second where nothing was measured: 10 TFLOP. */
const ASSUMED_FLOPS = 1e13;
const F32_BYTES = 4;
/** A multiplication and an addition. */
const FLOP_PER_WEIGHT = 2;

/** What is known of models whose weights are not on this machine: nothing is measured. */
function absentTable(
  models: readonly ModelCells[],
  configuration: SweepConfiguration,
): string {
  const lines = models.map(({ card, tasks, cells }) => {
    const { weightBytes: weights = F32_BYTES * card.parameters } = card;
    const states = cells.map(({ length }) => card.stateBytes?.(length) ?? 0);
    const tokens = cells.reduce((sum, cell) => {
      const task = tasks.get(taskKey(cell))!;
      const count = samplesOf(gridOf(configuration, cell.task), task.metric, cell.length);
      const control = controlsOf(task, cell.length);
      return sum + count * (cell.length + control.count * control.length);
    }, 0);
    const work = cells.reduce(
      (sum, cell) =>
        sum + FLOP_PER_WEIGHT * cellCost(card, cell, configuration, tasks.get(taskKey(cell))!),
      0,
    );
    return { name: card.name, cells: cells.length, tokens, weights, states, work };
  });
  const gigabytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(2);
  const hours = (work: number): string => (work / ASSUMED_FLOPS / 3600).toFixed(1);
  const total = lines.reduce((sum, { work }) => sum + work, 0);
  return [
    "models whose weights are not on this machine: what their configurations say",
    aligned([
      ["", "cells", "tokens", "weights, GiB", "largest state, GiB", "PFLOP", "hours"],
      ...lines.map(({ name, cells, tokens, weights, states, work }) => [
        name,
        String(cells),
        tokens.toLocaleString("en"),
        gigabytes(weights),
        gigabytes(states.reduce((a, b) => Math.max(a, b), 0)),
        (work / 1e15).toPrecision(3),
        hours(work),
      ]),
    ]),
    `hours are those of an adapter that does 10 TFLOP/s, ${
      hours(total)
    } in all, without the tokens of replies; once the weights are here, --dry-run measures`,
  ].join("\n");
}

/** What is still to be trained before such models are asked. */
async function trainingLine(cards: readonly SubjectCard[]): Promise<string | undefined> {
  const recipes = new Map<string, Recipe>(); // by their folders: interventions share one
  for (const { description } of cards) {
    if (description?.kind === "recipe") recipes.set(description.folder, description.recipe);
  }
  const missing: Recipe[] = [];
  for (const [folder, recipe] of recipes) if (!await isFinished(folder)) missing.push(recipe);
  if (missing.length === 0) return undefined;
  const most = missing.reduce(
    (sum, { steps, batch, length }) => sum + steps * batch * length,
    0,
  );
  const models = missing.length === 1 ? "a model is" : `${missing.length} models are`;
  return `besides, ${models} trained first: at most ${
    missing.reduce((sum, { steps }) => sum + steps, 0).toLocaleString("en")
  } steps of ${most.toLocaleString("en")} tokens; their time is not in this estimate`;
}

/** An estimate as text: model × length, what the cells of each take together, and the most memory. */
function estimateTable({ adapter, cells }: SweepEstimate): string {
  if (cells.length === 0) return "no cells";
  const models = Map.groupBy(cells, ({ cell }) => cell.model);
  const lengths = [...new Set(cells.map(({ cell }) => cell.length))].sort((a, b) => a - b);
  const table = (
    head: readonly string[],
    of: (cells: readonly CellEstimate[]) => readonly string[],
  ): string =>
    aligned([
      ["", ...head],
      ...[...models].map(([model, cells]) => [model, ...of(cells)]),
    ]);
  const byLength = (
    title: string,
    of: (cells: readonly CellEstimate[]) => string,
  ): string =>
    `${title}\n${
      table(lengths.map(String), (cells) =>
        lengths.map((length) => {
          const chosen = cells.filter(({ cell }) => cell.length === length);
          return chosen.length === 0 ? "" : of(chosen);
        }))
    }`;
  const largest = cells.reduce((a, b) => b.peakBytes > a.peakBytes ? b : a);
  return [
    byLength(
      "time of all cells of a length, min:s",
      (cells) => cells.every(({ noRoom }) => noRoom !== undefined) ? "no room" : time(cells),
    ),
    byLength("the most GPU memory of a cell, MiB", (cells) => memory(cells)),
    `in all\n${
      table(
        ["cells", "tokens", "time", "MiB"],
        (cells) => [`${cells.length}`, tokens(cells), time(cells), memory(cells)],
      )
    }`,
    `${cells.length} ${cells.length === 1 ? "cell" : "cells"}, ${tokens(cells)} tokens, about ${
      duration(sum(cells, "milliseconds"))
    } on ${adapter}; at most ${memory(cells)} MiB, by ${describeCell(largest.cell)}`,
  ].join("\n\n");
}

function sum(cells: readonly CellEstimate[], column: "milliseconds" | "tokens"): number {
  return cells.reduce((total, cell) => total + cell[column], 0);
}

function time(cells: readonly CellEstimate[]): string {
  return duration(sum(cells, "milliseconds")).replace(" min", "");
}

function tokens(cells: readonly CellEstimate[]): string {
  return sum(cells, "tokens").toLocaleString("en");
}

function memory(cells: readonly CellEstimate[]): string {
  const bytes = Math.max(...cells.map(({ peakBytes }) => peakBytes));
  const mebibytes = bytes / 2 ** 20;
  return mebibytes < 100 ? mebibytes.toPrecision(3) : Math.round(mebibytes).toLocaleString("en");
}
