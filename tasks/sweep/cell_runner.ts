import { NotANumberError } from "../../models/not_a_number.ts";
import type { Answers, Subject } from "../subject.ts";
import type { Sample, SampleCoordinates, Task } from "../task.ts";
import { VERSION } from "../version.ts";
import type { Cell } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import { round, roundFinite, type Row } from "./rows.ts";
import { type AnsweredCell, recordSamples, type SampleRecord } from "./samples.ts";
import { score, type ScoreOptions } from "./score.ts";

/** How many tokens a batch may hold; a longer sample is a batch of its own. */
const BATCH_TOKENS = 2 ** 15;

/** How many samples of a length are answered at once. */
export function batchSize(length: number): number {
  return Math.max(1, Math.floor(BATCH_TOKENS / length));
}

/** What one sequence costs a model. */
export interface SequenceCost {
  readonly stepMilliseconds: number;
  readonly peakBytes: number;
}

/** What a cell is run to. */
export interface CellResult {
  /** Its rows of the CSV. */
  readonly rows: Row[];
  /** Its samples with their answers, where they are to be logged. */
  readonly records?: readonly SampleRecord[];
}

/** A cell whose questions are answered, its controls too. */
interface AskedCell extends AnsweredCell {
  readonly controls: ScoreOptions["controls"];
  readonly cost: SequenceCost;
}

/** Runs cells of one model. */
export class CellRunner {
  readonly #subject: Subject;
  readonly #configuration: SweepConfiguration;
  readonly #adapter: string;
  readonly #signal: AbortSignal | undefined;
  readonly #costs: Map<number, SequenceCost>;
  readonly #logs: boolean;

  /**
   * A runner for a model that is open.
   *
   * @param costs What one sequence costs, by length: the same for all cells of a length, and measured
   * for the first.
   * @param signal Ends the cell that is running between two batches.
   * @param logs Whether samples are recorded with their answers.
   */
  constructor(
    subject: Subject,
    configuration: SweepConfiguration,
    { adapter, costs, signal, logs = false }: {
      adapter: string;
      costs: Map<number, SequenceCost>;
      signal?: AbortSignal;
      logs?: boolean;
    },
  ) {
    this.#subject = subject;
    this.#configuration = configuration;
    this.#adapter = adapter;
    this.#costs = costs;
    this.#signal = signal;
    this.#logs = logs;
  }

  /**
   * Asks a cell's questions.
   *
   * @throws {NotANumberError} where the model computes NaN. @throws {DOMException} where it is ended.
   */
  async run(cell: Cell, task: Task): Promise<CellResult> {
    try {
      const answered = await this.#ask(cell, task);
      const rows = this.#rowsOf(answered);
      return this.#logs
        ? { rows, records: await recordSamples(answered, this.#subject) }
        : { rows };
    } catch (error) {
      if (!(error instanceof NotANumberError)) throw error;
      throw error.at({ model: cell.model, task: cell.task, length: cell.length });
    }
  }

  async #ask(cell: Cell, task: Task): Promise<AskedCell> {
    const { length, depth, load, seed } = cell;
    const count = samplesOf(gridOf(this.#configuration, cell.task), task.metric, length);
    const coordinates = Array.from(
      { length: count },
      (_, index) => ({ length, seed, index, split: "test", depth, load }) as const,
    );
    const samples = coordinates.map((of) => task.sample(of));
    const cost = await this.#cost(length, samples[0]);
    const answers = await this.#answer(samples, task, length);
    const controls = task.controls === undefined
      ? undefined
      : await this.#answerControls(task, coordinates);
    return { cell, task, samples, answers, controls, cost };
  }

  #rowsOf({ cell, task, samples, answers, controls, cost }: AskedCell): Row[] {
    const { name, family, parameters, trainLength, training, window, sinks, reach } = this.#subject;
    const { length, depth, load, seed } = cell;
    const { stepMilliseconds, peakBytes } = cost;
    const count = samples.length;
    const laws = { load, window, sinks, reach, trainLength };
    const scores = score(task, samples, answers, { ...laws, depth, controls });
    return scores.map(({ metric, value, low, high, distance, samples: scored = count }): Row => ({
      model: name,
      family,
      parameters,
      state_bytes: this.#subject.stateBytes(length),
      train_length: trainLength,
      train_seed: training?.seed,
      train_tokens: training?.tokens,
      learning_rate: training?.learningRate,
      task: cell.task,
      template: cell.template,
      length,
      depth,
      load,
      distance,
      seed,
      samples: scored,
      metric,
      value: round(value),
      ci_low: roundFinite(low),
      ci_high: roundFinite(high),
      prefill_ms: round(answers.prefillMilliseconds / count),
      step_ms: round(stepMilliseconds),
      peak_bytes: peakBytes,
      replies_empty: emptyReplies(samples, answers),
      begin_token: beginToken(samples),
      adapter: this.#adapter,
      version: VERSION,
    }));
  }

  /** Reads one sample, which also has a new length's kernels compiled before anything is timed. */
  async #cost(length: number, sample: Sample): Promise<SequenceCost> {
    let cost = this.#costs.get(length);
    if (cost === undefined) {
      const { peakBytes } = await this.#subject.answer([sample]);
      cost = { peakBytes, stepMilliseconds: await this.#subject.stepMilliseconds(length) };
      this.#costs.set(length, cost);
    }
    return cost;
  }

  /** The answers to the controls of each sample, one after the other; they are made as they are due. */
  async #answerControls(
    task: Task,
    coordinates: readonly SampleCoordinates[],
  ): Promise<Pick<Answers, "correct" | "nll">> {
    const correct: Uint8Array[] = [];
    const nll: Float32Array[] = [];
    for (const [sample, of] of coordinates.entries()) {
      const controls = task.controls!(of);
      try {
        const answers = await this.#answer(controls, task, controls[0].tokens.length);
        correct.push(Uint8Array.from(joined(answers.correct)));
        nll.push(Float32Array.from(joined(answers.nll)));
      } catch (error) {
        throw error instanceof NotANumberError ? error.at({ sample }) : error;
      }
    }
    return { correct, nll };
  }

  async #answer(
    samples: readonly Sample[],
    { metric }: Task,
    length: number,
  ): Promise<Omit<Answers, "peakBytes">> {
    const size = batchSize(length);
    const signal = this.#signal;
    const predictions = this.#logs && metric === "accuracy";
    const parts: Answers[] = [];
    for (let i = 0; i < samples.length; i += size) {
      signal?.throwIfAborted();
      try {
        parts.push(await this.#subject.answer(samples.slice(i, i + size), { signal, predictions }));
      } catch (error) {
        if (!(error instanceof NotANumberError)) throw error;
        throw error.at({ sample: i + (error.place.sample ?? 0) });
      }
    }
    return {
      correct: parts.flatMap(({ correct }) => correct),
      nll: parts.flatMap(({ nll }) => nll),
      replies: parts.flatMap(({ replies = [] }) => replies),
      replyTokens: parts.flatMap(({ replyTokens = [] }) => replyTokens),
      ...(parts.every(({ predicted }) => predicted !== undefined)
        ? { predicted: parts.flatMap(({ predicted = [] }) => predicted) }
        : {}),
      prefillMilliseconds: parts.reduce((sum, part) => sum + part.prefillMilliseconds, 0),
    };
  }
}

/** Numbers of several lists, one list after the other. */
function* joined(parts: readonly Iterable<number>[]): Generator<number> {
  for (const part of parts) yield* part;
}

/** How many replies are empty but for white space; undefined where none is due. */
function emptyReplies(
  samples: readonly Sample[],
  { replies = [] }: Pick<Answers, "replies">,
): number | undefined {
  return samples[0].reply === undefined
    ? undefined
    : replies.filter((reply) => reply.trim() === "").length;
}

/** Whether a begin token stands before each text; undefined where the samples are not of text. */
function beginToken([{ begins }]: readonly Sample[]): number | undefined {
  return begins === undefined ? undefined : Number(begins);
}
