import { basename, dirname, resolve } from "@std/path";
import { visible } from "../names.ts";
import type { Progress } from "../sweep/plan.ts";
import { FAILED, type Row } from "../sweep/rows.ts";
import { TUNING_SEED } from "../sweep/trainings.ts";
import { digestKey, type SampleDigest } from "./samples.ts";

/** What a model is, besides what its rows say. */
export interface ModelTraits {
  /** What it is called on the hub, or its folder or file is, where it is a published checkpoint. */
  readonly checkpoint?: string;
  /** What was changed about it after its training. */
  readonly changes: readonly string[];
  /** The model that has the same weights, unchanged, where that was asked too. */
  readonly unchanged?: string;
  /** Whether layers other than limited attention carry the past. */
  readonly carries: boolean;
}

/** A sweep's results under the name of its folder. */
export interface Run {
  /** What it is called in the report. */
  readonly name: string;
  /** The lines of its `sweep.csv`. */
  readonly rows: readonly Row[];
  /** The file of its results, which the report links. */
  readonly csv?: string;
  /** The commands that it was run by, one for each shard that was run by another. */
  readonly commands?: readonly string[];
  /** The machines that it was run on, in words. */
  readonly machines?: readonly string[];
  /** What its models are, where their names do not say it: `turns is results/train/mine, in int8`. */
  readonly models?: readonly string[];
  /** Which texts were asked: "text: all of book.txt". */
  readonly texts?: readonly string[];
  /** The publication that it reproduces. */
  readonly source?: string;
  /** What differs from that, and what of it is not known for sure. */
  readonly differences?: readonly string[];
  /** What became of its samples, where they were logged. */
  readonly samples?: readonly SampleDigest[];
  /** How much of what was planned it has, where that is known. */
  readonly progress?: Progress;
  /** What its models are besides, by their names in {@linkcode Run.rows}. */
  readonly traits?: ReadonlyMap<string, ModelTraits>;
}

/** What is known of how a run was made, besides its rows. */
export type RunOrigin = Omit<Run, "rows" | "samples" | "traits">;

/** A model as a report compares it: in one run, asked in one prompt template. */
export interface ReportModel {
  /** Its label, which no other has: its name, with its run and its template where others share it. */
  readonly model: string;
  /** Its name in the CSV. */
  readonly name: string;
  /** The run that it is of. */
  readonly run: string;
  /** The prompt template of its tasks in words, where it was asked any. */
  readonly template?: string;
  /** Its architecture. */
  readonly family: string;
  /** How many weights it has. */
  readonly parameters: number;
  /** The length that it was trained at, where that is known. */
  readonly trainLength?: number;
  /**
   * The seeds of its trainings, where it was trained here; in an older file, as many as it is the mean
   * of, from 1 upwards.
   */
  readonly trainSeeds: readonly number[];
  /** What it is besides; `unchanged` is a label. */
  readonly traits?: ModelTraits;
}

/** Several runs as one table, in which what is compared has a label of its own. */
export interface Results {
  /** The names of the runs. */
  readonly runs: readonly string[];
  /** What is compared, in the order of the runs. */
  readonly models: readonly ReportModel[];
  /** The rows of all results, the column `model` holding the label. */
  readonly rows: readonly Row[];
  /** The rows of the cells that were tried and have no result. */
  readonly failures: readonly Row[];
  /** How each run was made, in their order. */
  readonly origins: readonly RunOrigin[];
  /** What became of each run's samples, where they were logged, by {@linkcode digestKey}. */
  readonly samples: ReadonlyMap<string, ReadonlyMap<string, SampleDigest>>;
}

/**
 * Puts runs side by side. Trainings of one variant are one model. A model that occurs
 * in several runs, or that was asked in several prompt templates, becomes as many models that are told
 * apart by their labels. What learning rates were chosen by is left out.
 *
 * @throws {Error} where two runs have one name, or there are no rows at all.
 */
export function joinRuns(found: readonly Run[]): Results {
  const runs = found.map(({ name, rows, ...origin }) => ({
    ...origin,
    name: visible(name),
    rows: rows.filter(({ seed }) => seed !== TUNING_SEED)
      .map((row) => visibleRow({ ...row, model: row.variant ?? row.model })),
  }));
  const names = runs.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`Cannot compare runs as two are called ${twice}`);
  if (runs.every(({ rows }) => rows.length === 0)) {
    throw new Error("Cannot make a report as there are no results");
  }
  const runsOf = new Map<string, Set<string>>();
  const templatesOf = new Map<string, Set<string>>();
  for (const { name: run, rows } of runs) {
    for (const { model, template } of rows) {
      entry(runsOf, model).add(run);
      if (template !== undefined) entry(templatesOf, model).add(template);
    }
  }
  const models = new Map<string, ReportModel>();
  const joined = runs.flatMap(({ name: run, rows }) =>
    rows.map((row): Row => {
      const marks = [
        ...(runsOf.get(row.model)!.size > 1 ? [run] : []),
        ...(row.template !== undefined && templatesOf.get(row.model)!.size > 1
          ? [row.template]
          : []),
      ];
      const model = marks.length === 0 ? row.model : `${row.model} (${marks.join(", ")})`;
      if (row.metric === FAILED) return { ...row, model };
      const known = models.get(model);
      if (known === undefined || (known.template === undefined && row.template !== undefined)) {
        models.set(model, {
          model,
          name: row.model,
          run,
          ...(row.template === undefined ? {} : { template: row.template }),
          family: row.family,
          parameters: row.parameters,
          ...(row.train_length === undefined ? {} : { trainLength: row.train_length }),
          trainSeeds: known?.trainSeeds ?? [],
        });
      }
      const seeds = models.get(model)!.trainSeeds as number[];
      const { train_seed, training_seeds = 0 } = row;
      if (train_seed !== undefined && !seeds.includes(train_seed)) seeds.push(train_seed);
      while (seeds.length < training_seeds) seeds.push(seeds.length + 1);
      return { ...row, model };
    })
  );
  return {
    runs: names,
    models: withTraits([...models.values()], found),
    rows: joined.filter(({ metric }) => metric !== FAILED),
    failures: joined.filter(({ metric }) => metric === FAILED),
    origins: runs.map((
      {
        name,
        csv,
        commands = [],
        machines = [],
        models = [],
        texts = [],
        source,
        differences = [],
        progress,
      },
    ) => ({
      name,
      ...(csv === undefined ? {} : { csv }),
      ...(source === undefined ? {} : { source: visible(source) }),
      differences: differences.map(visible),
      commands: commands.map(visible),
      machines: machines.map(visible),
      models: models.map(visible),
      texts: texts.map(visible),
      ...(progress === undefined ? {} : { progress }),
    })),
    samples: new Map(runs.map(({ name, samples = [] }) => [name, bySample(samples)])),
  };
}

/** Models with what is known of them besides their rows. */
function withTraits(models: readonly ReportModel[], runs: readonly Run[]): ReportModel[] {
  const traitsOf = new Map(runs.map(({ name, traits = new Map() }) => [
    visible(name),
    new Map([...traits].map(([model, of]) => [visible(model), of])),
  ]));
  return models.map((model) => {
    const traits = traitsOf.get(model.run)?.get(model.name);
    if (traits === undefined) return model;
    const { unchanged, ...rest } = traits;
    const name = unchanged === undefined ? undefined : visible(unchanged);
    const same = models.filter((other) => other.run === model.run && other.name === name);
    const base = same.find(({ template }) => template === model.template) ?? same.at(0);
    return {
      ...model,
      traits: { ...rest, ...(base === undefined ? {} : { unchanged: base.model }) },
    };
  });
}

function bySample(samples: readonly SampleDigest[]): ReadonlyMap<string, SampleDigest> {
  return new Map(samples.map((digest) => {
    const { model, task, template } = digest;
    const shown = {
      ...digest,
      model: visible(model),
      task: visible(task),
      ...(template === undefined ? {} : { template: visible(template) }),
    };
    return [digestKey(shown), shown];
  }));
}

/** A row whose names can be put on a screen and into XML, whoever gave them. */
function visibleRow(row: Row): Row {
  const { model, family, task, template, reason, adapter, version } = row;
  return {
    ...row,
    model: visible(model),
    family: visible(family),
    task: visible(task),
    ...(template === undefined ? {} : { template: visible(template) }),
    ...(reason === undefined ? {} : { reason: visible(reason) }),
    adapter: visible(adapter),
    version: visible(version),
  };
}

function entry<Key>(map: Map<Key, Set<string>>, key: Key): Set<string> {
  const set = map.get(key) ?? new Set<string>();
  map.set(key, set);
  return set;
}

/**
 * The names of runs by their folders: the folder's own name, with as many of those above it as tell
 * them apart.
 *
 * @throws {Error} where a folder is listed twice.
 */
export function nameRuns(folders: readonly string[]): string[] {
  const paths = folders.map((folder) => resolve(folder));
  const twice = folders.find((_, i) => paths.indexOf(paths[i]) !== i);
  if (twice !== undefined) throw new Error(`Cannot compare runs as ${twice} is listed twice`);
  const names = paths.map((path) => basename(path) || path);
  const above = paths.map(dirname);
  for (;;) {
    const same = new Set(names.filter((name, i) => names.indexOf(name) !== i));
    if (same.size === 0) return names;
    for (const [i, name] of names.entries()) {
      if (!same.has(name) || above[i] === dirname(above[i])) continue;
      names[i] = `${basename(above[i])}/${name}`;
      above[i] = dirname(above[i]);
    }
  }
}
