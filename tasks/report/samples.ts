import type { SampleRecord } from "../sweep/samples.ts";

/** What became of one model's samples of a task and a length, over their seeds and depths. */
export interface SampleDigest {
  /** The model's name in the CSV. */
  readonly model: string;
  /** The task's name. */
  readonly task: string;
  /** The prompt template of a task in words. */
  readonly template?: string;
  /** Tokens in a sample. */
  readonly length: number;
  /** How much was to be remembered, in tasks that have a load. */
  readonly load?: number;
  /** How many samples. */
  readonly samples: number;
  /** The sum of their scores. */
  readonly total: number;
  /** The best few and the worst few, no sample in both. */
  readonly best: readonly SampleRecord[];
  /** The worst few. */
  readonly worst: readonly SampleRecord[];
  /** How many samples have each fault. */
  readonly faults: Readonly<Record<SampleFault, number>>;
  /** The most tokens of a reply that ended by itself too early for an answer. */
  readonly longestShort: number;
  /** The most tokens that a reply may have; 0 where none is due. */
  readonly budget: number;
}

/**
 * What can be wrong with a sample, seen from it alone: an answer that is due stands nowhere in the
 * prompt (`cut`); the reply is `empty`; it ended by itself before the shortest answer could stand in it
 * (`short`); it holds a template's marks (`marked`); it begins with thoughts, which take its tokens
 * (`thought`); all that an answer rests on stands farther back than attention reaches (`unreached`).
 */
export type SampleFault = "cut" | "empty" | "short" | "marked" | "thought" | "unreached";

/** What chat templates put around turns, and models that think before they answer. */
const MARKS = /<\|[\w ]+\|>|\[\/?INST\]|<\/?(?:start|end)_of_turn>|<\/?s>|<\/?(?:user|assistant)>/i;
const THOUGHT = /^\s*<think(?:ing)?>/i;

const FAULTS: Readonly<Record<SampleFault, (record: SampleRecord) => boolean>> = {
  cut: ({ missing = 0 }) => missing > 0,
  empty: ({ reply_budget, pred }) => reply_budget !== undefined && pred.trim() === "",
  short: ({ reply_budget = 0, reply_tokens = Infinity, pred, outputs }) =>
    pred.trim() !== "" && reply_tokens < reply_budget &&
    pred.trim().length < Math.min(...outputs.map(({ length }) => length)),
  marked: ({ reply_budget, pred }) => reply_budget !== undefined && MARKS.test(pred),
  thought: ({ reply_budget, pred }) => reply_budget !== undefined && THOUGHT.test(pred),
  unreached: ({ reached = 1 }) => reached === 0,
};

/** How many samples are the best few. */
const FEW = 3;

interface Growing {
  readonly digest: Omit<SampleDigest, "best" | "worst" | "faults">;
  /** Sorted, the best first. */
  readonly best: SampleRecord[];
  /** Sorted, the worst first. */
  readonly worst: SampleRecord[];
  readonly faults: Record<SampleFault, number>;
  samples: number;
  total: number;
  longestShort: number;
  budget: number;
}

/**
 * Reads samples, of which there may be more than memory holds, as what a report says of them.
 *
 * @param nameOf The name of a model in the report; undefined for one that is not in it.
 */
export async function digestSamples(
  records: AsyncIterable<SampleRecord>,
  nameOf: (model: string) => string | undefined = (model) => model,
): Promise<SampleDigest[]> {
  const groups = new Map<string, Growing>();
  for await (const record of records) {
    const { cell, score, reply_tokens = 0, reply_budget = 0 } = record;
    const model = nameOf(cell.model);
    if (model === undefined) continue;
    const key = digestKey({ ...cell, model });
    const group = groups.get(key) ?? begin(record, model);
    groups.set(key, group);
    group.samples++;
    group.total += score;
    group.budget = Math.max(group.budget, reply_budget);
    for (const fault of FAULT_NAMES) if (FAULTS[fault](record)) group.faults[fault]++;
    if (FAULTS.short(record)) group.longestShort = Math.max(group.longestShort, reply_tokens);
    // A perplexity is better the lower it is.
    const isLoss = record.outputs.length === 0;
    insert(group.best, record, (a, b) => isLoss ? a.score - b.score : b.score - a.score);
    insert(group.worst, record, (a, b) => isLoss ? b.score - a.score : a.score - b.score);
  }
  return [...groups.values()].map(({ digest, best, worst, ...counts }): SampleDigest => ({
    ...digest,
    ...counts,
    best: best.slice(0, Math.min(FEW, Math.ceil(counts.samples / 2))),
    worst: worst.slice(0, Math.min(FEW, Math.floor(counts.samples / 2))),
  }));
}

const FAULT_NAMES = Object.keys(FAULTS) as SampleFault[];

/** What samples are told apart by. */
export function digestKey(
  { model, task, template, length, load }: Pick<
    SampleDigest,
    "model" | "task" | "template" | "length" | "load"
  >,
): string {
  return JSON.stringify([model, task, template ?? null, length, load ?? null]);
}

function begin({ cell }: SampleRecord, model: string): Growing {
  const { task, template, length, load } = cell;
  return {
    digest: {
      ...{ model, task, length },
      ...(template === undefined ? {} : { template }),
      ...(load === undefined ? {} : { load }),
      ...{ samples: 0, total: 0, longestShort: 0, budget: 0 },
    },
    best: [],
    worst: [],
    faults: { cut: 0, empty: 0, short: 0, marked: 0, thought: 0, unreached: 0 },
    samples: 0,
    total: 0,
    longestShort: 0,
    budget: 0,
  };
}

/** Keeps the first few of a sorted list; of equal ones those that came first. */
function insert(
  list: SampleRecord[],
  record: SampleRecord,
  compare: (a: SampleRecord, b: SampleRecord) => number,
): void {
  const at = list.findIndex((other) => compare(record, other) < 0);
  if (at < 0) list.push(record);
  else list.splice(at, 0, record);
  list.splice(FEW);
}
