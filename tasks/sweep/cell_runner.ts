import { NotANumberError } from "../../models/not_a_number.ts";
import type { Answers, Subject } from "../subject.ts";
import type { Sample, Task } from "../task.ts";
import { VERSION } from "../version.ts";
import { type Cell, trainLengthOf } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import { round, roundFinite, type Row } from "./rows.ts";
import { score } from "./score.ts";

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

/** Runs cells of one model. */
export class CellRunner {
  readonly #subject: Subject;
  readonly #configuration: SweepConfiguration;
  readonly #adapter: string;
  readonly #signal: AbortSignal | undefined;
  readonly #costs: Map<number, SequenceCost>;

  /**
   * A runner for a model that is open.
   *
   * @param costs What one sequence costs, by length: the same for all cells of a length, and measured
   * for the first.
   * @param signal Ends the cell that is running between two batches.
   */
  constructor(
    subject: Subject,
    configuration: SweepConfiguration,
    { adapter, costs, signal }: {
      adapter: string;
      costs: Map<number, SequenceCost>;
      signal?: AbortSignal;
    },
  ) {
    this.#subject = subject;
    this.#configuration = configuration;
    this.#adapter = adapter;
    this.#costs = costs;
    this.#signal = signal;
  }

  /**
   * The rows of a cell.
   *
   * @throws {NotANumberError} where the model computes NaN. @throws {DOMException} where it is ended.
   */
  async run(cell: Cell, task: Task): Promise<Row[]> {
    try {
      return await this.#run(cell, task);
    } catch (error) {
      if (!(error instanceof NotANumberError)) throw error;
      throw error.at({ model: cell.model, task: cell.task, length: cell.length });
    }
  }

  async #run(cell: Cell, task: Task): Promise<Row[]> {
    const { name, family, parameters, training, window, sinks, reach } = this.#subject;
    const { length, depth, load, seed } = cell;
    const count = samplesOf(gridOf(this.#configuration, cell.task), task.metric, length);
    const samples = Array.from(
      { length: count },
      (_, index) => task.sample({ length, seed, index, split: "test", depth, load }),
    );
    const { stepMilliseconds, peakBytes } = await this.#cost(length, samples[0]);
    const answers = await this.#answer(samples, length);
    const trainLength = trainLengthOf(this.#configuration, this.#subject);
    const laws = { load, window, sinks, reach, trainLength };
    const scores = score(task, samples, answers, { ...laws, depth });
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

  async #answer(
    samples: readonly Sample[],
    length: number,
  ): Promise<Omit<Answers, "peakBytes">> {
    const size = batchSize(length);
    const signal = this.#signal;
    const parts: Answers[] = [];
    for (let i = 0; i < samples.length; i += size) {
      signal?.throwIfAborted();
      try {
        parts.push(await this.#subject.answer(samples.slice(i, i + size), { signal }));
      } catch (error) {
        if (!(error instanceof NotANumberError)) throw error;
        throw error.at({ sample: i + (error.place.sample ?? 0) });
      }
    }
    return {
      correct: parts.flatMap(({ correct }) => correct),
      nll: parts.flatMap(({ nll }) => nll),
      replies: parts.flatMap(({ replies = [] }) => replies),
      prefillMilliseconds: parts.reduce((sum, part) => sum + part.prefillMilliseconds, 0),
    };
  }
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
