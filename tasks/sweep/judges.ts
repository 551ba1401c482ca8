import { DeviceLostError } from "../../kernels/gpu/mod.ts";
import type { Subject, SubjectSource } from "../subject.ts";
import type { JudgedTask, Sample, SampleCoordinates, Span, Task } from "../task.ts";
import { answerControls, answerSamples, coordinatesOf } from "./asking.ts";
import { type Cell, cellKey, type ModelCells, taskKey } from "./cells.ts";
import type { SweepConfiguration } from "./configuration.ts";
import { keyTokens } from "./controls.ts";

/** Of each of a cell's samples, 1 for each token that counts; or why that cannot be said. */
export type Judgement = readonly Uint8Array[] | Error;

/** The model that judges a cell, where it is not the cell's own. */
function judgeOf(model: ModelCells, cell: Cell): string | undefined {
  const evaluator = model.tasks.get(taskKey(cell))!.judged?.evaluator;
  return evaluator === model.card.name ? undefined : evaluator;
}

/** Whether another model is to judge a model's cells. */
export function isJudged(model: ModelCells): boolean {
  return model.cells.some((cell) => judgeOf(model, cell) !== undefined);
}

/**
 * Has other models say which tokens of a model's samples are key tokens. They are loaded one after the
 * other; no other model may be held meanwhile.
 *
 * @returns By {@linkcode cellKey}, of the cells that another model judges.
 * @throws {DOMException} where it is ended.
 */
export async function judgeCells(
  model: ModelCells,
  configuration: SweepConfiguration,
  source: SubjectSource,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, Judgement>> {
  const judgements = new Map<string, Judgement>();
  const { dtype } = configuration;
  const settings = dtype === undefined ? {} : { settings: { dtype } };
  for (const [name, cells] of Map.groupBy(model.cells, (cell) => judgeOf(model, cell))) {
    if (name === undefined) continue;
    const judge = async (subject: Subject): Promise<void> => {
      for (const cell of cells) {
        const task = model.tasks.get(taskKey(cell))!;
        const own = await subject.task(cell.task, optionsOf(task));
        const at = coordinatesOf(cell, task, configuration);
        judgements.set(cellKey(cell), await judgeCell(subject, { task, own, at, signal }));
      }
    };
    try {
      const [card] = await source.find([name], settings);
      await using subject = await source.open(card, { signal });
      await judge(subject);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof DeviceLostError) throw error;
      const reason = new Error(
        `Cannot have ${name} judge ${model.card.name}: ${
          error instanceof Error ? error.message : error
        }`,
        { cause: error },
      );
      for (const cell of cells) {
        if (!judgements.has(cellKey(cell))) judgements.set(cellKey(cell), reason);
      }
    }
  }
  return judgements;
}

/** The options of a task but for those that a model's own card decides. */
function optionsOf({ options }: Task): Readonly<Record<string, unknown>> {
  const { trainedLength: _, ...rest } = options;
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
}

async function judgeCell(
  subject: Subject,
  { task, own, at, signal }: {
    /** The task of the model that is judged, and the judge's. */
    readonly task: Task;
    readonly own: Task;
    readonly at: readonly SampleCoordinates[];
    readonly signal?: AbortSignal;
  },
): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = [];
  const [judged, judging] = [task, own].map((one) => one.judged!);
  for (const coordinates of at) {
    const sample = task.sample(coordinates);
    const text = judged.textOf(sample);
    const keysOf = async (sample: Sample, make: () => readonly Sample[]): Promise<Uint8Array> => {
      const { nll: [nll] } = await answerSamples(subject, [sample], { signal });
      const { nll: [short] } = await answerControls(subject, [make], { signal });
      return keyTokens(nll, short);
    };
    if (meansTheSame(task, own) && judging.textOf(sample) === text) {
      keys.push(await keysOf(sample, () => task.controls!(coordinates)));
      continue;
    }
    const read = judging.readAgain(text);
    const marks = await keysOf(read.sample, () => read.controls);
    keys.push(covered(judged.spansOf(sample), read.spans.filter((_, i) => marks[i] === 1)));
  }
  return keys;
}

/** Whether two tasks' tokens can be those of one tokenizer. */
function meansTheSame(one: Task, other: Task): boolean {
  const begin = ({ judged }: { judged?: JudgedTask }): string => judged!.begin.join();
  return one.vocabulary === other.vocabulary && begin(one) === begin(other);
}

/** 1 for each of some spans that shares a byte with one of others; both are in order. */
export function covered(spans: readonly Span[], others: readonly Span[]): Uint8Array {
  let at = 0;
  return Uint8Array.from(spans, ([from, to]) => {
    while (at < others.length && others[at][1] <= from) at++;
    return Number(at < others.length && others[at][0] < to && to > from);
  });
}
