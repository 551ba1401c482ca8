import { freeMemory } from "../../kernels/gpu/open.ts";
import { NotANumberError } from "../../models/not_a_number.ts";
import type { Answers, Subject } from "../subject.ts";
import type { Sample, Task } from "../task.ts";
import { VERSION } from "../version.ts";
import { answerControls, answerSamples, coordinatesOf, makeSamples } from "./asking.ts";
import type { Cell } from "./cells.ts";
import type { SweepConfiguration } from "./configuration.ts";
import { checkCellRoom } from "./room.ts";
import { round, roundFinite, type Row } from "./rows.ts";
import { type AnsweredCell, recordSamples, type SampleRecord } from "./samples.ts";
import { score, type ScoreOptions } from "./score.ts";
import { variantOf } from "./trainings.ts";
import { allDone, begin } from "./turns.ts";

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
  readonly #variant: string | undefined;
  readonly #logs: boolean;
  /** What the machine has free before the first cell. */
  readonly #free = freeMemory();

  /**
   * A runner for a model that is open.
   *
   * @param costs What one sequence costs, by length: the same for all cells of a length, and measured
   * for the first.
   * @param signal Ends the cell that is running between two samples that are made, two segments of a
   * prompt, or two batches.
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
    this.#variant = variantOf(subject, configuration.trainings);
    this.#signal = signal;
    this.#logs = logs;
  }

  /**
   * Asks a cell's questions.
   *
   * @param options.keys Of each sample, 1 for each token that counts, where another model says so.
   * @param options.onComputed Called where all is computed and the answers are only to be brought here:
   * the next cell may begin then.
   * @throws {NotANumberError} where the model computes NaN.
   * @throws {RangeError} where there is no room for it, before a sample is made.
   * @throws {DOMException} where it is ended.
   */
  async run(
    cell: Cell,
    task: Task,
    { keys, onComputed }: {
      readonly keys?: readonly Uint8Array[];
      readonly onComputed?: () => void;
    } = {},
  ): Promise<CellResult> {
    try {
      const answered = await this.#ask(cell, task, onComputed);
      const rows = this.#rowsOf(answered, keys);
      return this.#logs
        ? { rows, records: await recordSamples(answered, this.#subject) }
        : { rows };
    } catch (error) {
      if (!(error instanceof NotANumberError)) throw error;
      throw error.at({ model: cell.model, task: cell.task, length: cell.length });
    }
  }

  async #ask(cell: Cell, task: Task, onComputed?: () => void): Promise<AskedCell> {
    const { length } = cell;
    const coordinates = coordinatesOf(cell, task, this.#configuration);
    checkCellRoom(this.#subject, task, {
      count: coordinates.length,
      length,
      free: this.#free,
    });
    const samples = await makeSamples(task, coordinates, this.#signal);
    const cost = await this.#cost(length, samples[0]);
    const how = { signal: this.#signal, predictions: this.#logs && task.metric === "accuracy" };
    const { controls: of } = task;
    if (of === undefined) {
      const answers = await answerSamples(this.#subject, samples, { ...how, onComputed });
      return { cell, task, samples, answers, controls: undefined, cost };
    }
    const { done } = await begin((onComputed) =>
      answerSamples(this.#subject, samples, { ...how, onComputed })
    );
    const makers = coordinates.map((at) => () => of(at));
    const [answers, controls] = await allDone([
      done,
      answerControls(this.#subject, makers, { ...how, onComputed }),
    ]);
    return { cell, task, samples, answers, controls, cost };
  }

  #rowsOf(
    { cell, task, samples, answers, controls, cost }: AskedCell,
    keys: readonly Uint8Array[] | undefined,
  ): Row[] {
    const { name, description, family, parameters, trainLength, training } = this.#subject;
    const { window, sinks, reach } = this.#subject;
    const { length, depth, load, seed } = cell;
    const { stepMilliseconds, peakBytes } = cost;
    const count = samples.length;
    const laws = { load, window, sinks, reach, trainLength };
    const scores = score(task, samples, answers, { ...laws, depth, controls, keys });
    return scores.map(({ metric, value, low, high, distance, samples: scored = count }): Row => ({
      model: name,
      variant: this.#variant,
      family,
      parameters,
      dtype: description?.dtype,
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
      const how = { signal: this.#signal };
      const { peakBytes } = await this.#subject.answer([sample], how);
      cost = { peakBytes, stepMilliseconds: await this.#subject.stepMilliseconds(length, how) };
      this.#costs.set(length, cost);
    }
    return cost;
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
