import { join } from "@std/path";
import { exists } from "../../models/checkpoints/download.ts";
import { digestSamples, type SampleDigest } from "../report/samples.ts";
import type { ModelTraits, Run } from "../report/runs.ts";
import { askedInWords } from "../subjects/description.ts";
import { Outcomes } from "../sweep/outcomes.ts";
import { progressOf } from "../sweep/plan.ts";
import type { Row } from "../sweep/rows.ts";
import type { SweepConfiguration } from "../sweep/configuration.ts";
import { type FoundJournal, journalsIn } from "../sweep/merge.ts";
import { RESULTS } from "../sweep/run.ts";
import { readSamples, SAMPLES } from "../sweep/sample_log.ts";
import type { SampleRecord } from "../sweep/samples.ts";
import { trainedModels, type Training, TUNING_SEED } from "../sweep/trainings.ts";
import { chosenModels } from "../sweep/variants.ts";

/** A sweep's results as a report is made of them. */
export interface FolderResults {
  /** The name of the run. */
  readonly name: string;
  /** What is compared. */
  readonly rows: readonly Row[];
  /** The rows of all cells, by which learning rates are chosen. @default `rows` */
  readonly all?: readonly Row[];
  /** What the sweep trained. */
  readonly trainings?: readonly Training[];
}

/**
 * A run of a report, with what its folder tells besides its rows: how it was made, and its samples.
 *
 * @param options.journals The folder's, where they were read. @default they are read
 * @param options.samples Whether the samples are read. @default true
 */
export async function runOf(
  folder: string,
  { name, rows, all = rows, trainings = [] }: FolderResults,
  { journals, samples = true }: {
    readonly journals?: readonly FoundJournal[];
    readonly samples?: boolean;
  } = {},
): Promise<Run> {
  const csv = join(folder, RESULTS);
  const found = journals ?? await journalsIn(folder);
  const headers = found.map(({ header }) => header);
  const different = (values: readonly (string | undefined)[]): string[] =>
    [...new Set(values)].filter((value) => value !== undefined);
  const digests = samples
    ? await samplesOf([folder, ...found.map(({ folder }) => folder)], all, trainings)
    : [];
  return {
    name,
    rows,
    ...(await exists(csv) ? { csv } : {}),
    commands: different(headers.map(({ command }) => command)),
    machines: different(headers.map(({ machine }) => machine)),
    texts: different(headers.flatMap(({ texts = [] }) => texts)),
    models: different(headers.flatMap(({ configuration }) => modelsInWords(configuration))),
    ...progressIn(found),
    traits: traitsOf(found, all, trainings),
    ...sourceOf(headers[0]?.configuration),
    ...(digests.length === 0 ? {} : { samples: digests }),
  };
}

/** How far a run is, where its journals say what was planned. */
function progressIn(found: readonly FoundJournal[]): Pick<Run, "progress"> {
  const plan = found.find(({ header }) => header.models !== undefined)?.header;
  if (plan === undefined) return {};
  const { finished, failed } = new Outcomes(
    found.filter(({ header }) => header.hash === plan.hash).flatMap(({ entries }) => entries),
  );
  return { progress: progressOf(plan.models!, finished.keys(), failed.keys()) };
}

/** What a run's models are besides what rows say, by the names that a report gives them. */
function traitsOf(
  found: readonly FoundJournal[],
  rows: readonly Row[],
  trainings: readonly Training[],
): ReadonlyMap<string, ModelTraits> {
  const plan = found.find(({ header }) => header.models !== undefined)?.header.models ?? [];
  const shown = comparedAs(trainings, rows);
  return new Map(plan.flatMap(({ name, changes = [], unchanged, checkpoint, carries = false }) => {
    const own = shown(name);
    const base = unchanged === undefined ? undefined : shown(unchanged);
    return own === undefined ? [] : [[own, {
      changes,
      carries,
      ...(checkpoint === undefined ? {} : { checkpoint }),
      ...(base === undefined ? {} : { unchanged: base }),
    }]];
  }));
}

/** What a sweep reproduces, and what differs. */
function sourceOf(
  { source, differences }: Partial<SweepConfiguration> = {},
): Pick<Run, "source" | "differences"> {
  return {
    ...(source === undefined ? {} : { source }),
    ...(differences === undefined ? {} : { differences }),
  };
}

/** What a sweep's models are, where their names do not say it. */
function modelsInWords({ models, tokenizer, dtype }: SweepConfiguration): (string | undefined)[] {
  return [
    ...models.map(askedInWords),
    ...(tokenizer === undefined ? [] : [`all checkpoints with the tokenizer ${tokenizer}`]),
    ...(dtype === undefined ? [] : [`all weights in ${dtype}`]),
  ];
}

/** What became of the samples in folders; a sweep that trained its models is described by its variants. */
async function samplesOf(
  folders: readonly string[],
  rows: readonly Row[],
  trainings: readonly Training[],
): Promise<SampleDigest[]> {
  return await digestSamples(samplesIn([...new Set(folders)]), comparedAs(trainings, rows));
}

/** What each model is compared as: a trained one as its variant, at the best learning rate alone. */
function comparedAs(
  trainings: readonly Training[],
  rows: readonly Row[],
): (model: string) => string | undefined {
  const chosen = chosenModels(trainings, rows);
  const trained = new Set(trainedModels(trainings).map(({ name }) => name));
  const variants = new Map(rows.map(({ model, variant }) => [model, variant]));
  return (model) => trained.has(model) ? chosen.get(model)?.variant : variants.get(model) ?? model;
}

/** The samples in folders, those that several have once: a merged folder's shards hold the same. */
export async function* samplesIn(folders: readonly string[]): AsyncGenerator<SampleRecord> {
  const seen = new Set<string>();
  for (const folder of folders) {
    for await (const record of readSamples(join(folder, SAMPLES))) {
      const key = JSON.stringify([record.cell, record.index]);
      if (seen.has(key) || record.cell.seed === TUNING_SEED) continue;
      seen.add(key);
      yield record;
    }
  }
}
