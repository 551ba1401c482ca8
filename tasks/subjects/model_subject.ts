import { blockUntilDone, timeWork } from "../../kernels/gpu/mod.ts";
import { type Model, NotANumberError, type Tokenizer } from "../../models/mod.ts";
import { paced } from "../../models/pace.ts";
import type { AnswerOptions, Answers, Subject, SubjectCard, SubjectTraining } from "../subject.ts";
import { type Sample, scoredPositions } from "../task.ts";
import type { ModelDescription } from "./description.ts";

/** Steps that are timed together, as a submission is of many. */
const TIMED_STEPS = 8;
/** Of several rounds the fastest counts: another process on the machine only ever adds. */
const TIMED_ROUNDS = 3;

/** A loaded model as a subject of sweeps. */
export class ModelSubject implements Subject, AsyncDisposable {
  readonly name: string;
  readonly description: ModelDescription | undefined;
  readonly variant: string | undefined;
  readonly family: string;
  readonly parameters: number;
  readonly trainLength: number | undefined;
  readonly tasks: readonly string[];
  readonly window: number | undefined;
  readonly sinks: number | undefined;
  readonly reach: number | undefined;
  readonly training: SubjectTraining | undefined;
  readonly segmentTokens: number;
  /** The model. */
  readonly model: Model;
  readonly #card: SubjectCard;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #stopTokens: readonly number[];

  /**
   * Takes the model over.
   *
   * @param tokenizer Of models that are asked for replies in words.
   * @param stopTokens End a reply; the tokenizer's end by default.
   */
  constructor(
    card: SubjectCard,
    model: Model,
    tokenizer?: Tokenizer,
    stopTokens: readonly number[] = tokenizer?.end === undefined ? [] : [tokenizer.end],
  ) {
    this.#stopTokens = stopTokens;
    this.#card = card;
    this.#tokenizer = tokenizer;
    this.model = model;
    this.name = card.name;
    this.description = card.description;
    this.variant = card.variant;
    this.family = card.family;
    this.parameters = card.parameters;
    this.trainLength = card.trainLength;
    this.tasks = card.tasks;
    this.window = card.window;
    this.sinks = card.sinks;
    this.reach = card.reach;
    this.training = card.training;
    this.segmentTokens = model.segmentTokens();
  }

  task: SubjectCard["task"] = (...of) => this.#card.task(...of);

  stateBytes(length: number): number {
    return this.model.stateBytes(length);
  }

  async answer(
    samples: readonly Sample[],
    options: AnswerOptions = {},
  ): Promise<Answers> {
    return samples[0].reply === undefined
      ? await this.#score(samples, options)
      : await this.#reply(samples, this.#tokenizer, options.signal);
  }

  decode(tokens: ArrayLike<number>): string {
    if (this.#tokenizer === undefined) return Array.from(tokens).join(" ");
    return this.#tokenizer.decode(tokens);
  }

  checkRoom(length: number, batch: number): void {
    this.model.checkRoom(length, batch);
  }

  async #score(
    samples: readonly Sample[],
    { signal, predictions = false, onComputed }: AnswerOptions,
  ): Promise<Answers> {
    const { gpu } = this.model;
    const time = samples[0].tokens.length;
    this.model.checkRoom(time, samples.length);
    gpu.resetPeak();
    const tokens = new Uint32Array(samples.length * time);
    const labels = new Uint32Array(samples.length * time);
    samples.forEach((sample, index) => {
      tokens.set(sample.tokens, index * time);
      labels.set(sample.labels, index * time);
    });
    const started = performance.now();
    let prefillMilliseconds = 0;
    let peakBytes = 0;
    const onQueued = (): void => {
      blockUntilDone(gpu);
      prefillMilliseconds = performance.now() - started;
      peakBytes = gpu.memory.peak;
      onComputed?.();
    };
    const scores = await this.model.score(
      { batch: samples.length, time, tokens, labels },
      { predictions, signal, onQueued },
    );
    const correct: Uint8Array[] = [];
    const nll: Float32Array[] = [];
    const predicted: Uint32Array[] = [];
    let start = 0;
    for (const sample of samples) {
      const end = start + scoredPositions(sample).length;
      correct.push(Uint8Array.from(scores.correct.subarray(start, end)));
      nll.push(scores.nll.slice(start, end));
      if (scores.predicted !== undefined) predicted.push(scores.predicted.slice(start, end));
      start = end;
    }
    return {
      correct,
      nll,
      ...(predictions ? { predicted } : {}),
      prefillMilliseconds,
      peakBytes,
    };
  }

  /** Continues each prompt greedily; prompts differ in length, so that each is read alone. */
  async #reply(
    samples: readonly Sample[],
    tokenizer: Tokenizer | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Answers> {
    if (tokenizer === undefined) throw new Error(`Cannot ask ${this.name} for a reply in words`);
    const { gpu } = this.model;
    const replies: string[] = [];
    const replyTokens: number[] = [];
    let prefillMilliseconds = 0;
    const longest = samples.map(({ tokens, reply }) => tokens.length + reply!.budget);
    this.model.checkRoom(Math.max(...longest));
    gpu.resetPeak();
    for (const [sample, { tokens, reply }] of samples.entries()) {
      signal?.throwIfAborted();
      const maxTokens = reply!.budget;
      let read!: ReturnType<Model["prefill"]>;
      prefillMilliseconds += await timeWork(gpu, async () => {
        read = await paced(this.model, this.model.prefilling(tokens), signal);
      });
      const stopTokens = this.#stopTokens;
      try {
        const reply = await this.model.continueFrom(read, { maxTokens, stopTokens, signal });
        replies.push(tokenizer.decode(reply));
        replyTokens.push(reply.length);
      } catch (error) {
        throw error instanceof NotANumberError ? error.at({ sample }) : error;
      }
    }
    const none = samples.map(() => []);
    return {
      correct: none.map((positions) => Uint8Array.from(positions)),
      nll: none.map((positions) => Float32Array.from(positions)),
      replies,
      replyTokens,
      prefillMilliseconds,
      peakBytes: gpu.memory.peak,
    };
  }

  async stepMilliseconds(
    length: number,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<number> {
    const { gpu, configuration } = this.model;
    const tokens = new Uint32Array(length).map((_, t) => t % configuration.vocabulary);
    const read = await paced(this.model, this.model.prefilling(tokens), signal);
    using generation = this.model.continuing(read, {}); // as replies are: recorded, and replayed
    let left = (1 + TIMED_ROUNDS) * TIMED_STEPS;
    const timed = (): Promise<number> =>
      timeWork(gpu, () => {
        generation.advance(TIMED_STEPS, left);
        left -= TIMED_STEPS;
      });
    await timed(); // compiles the kernels, and records
    let fastest = Infinity;
    for (let round = 0; round < TIMED_ROUNDS; round++) fastest = Math.min(fastest, await timed());
    return fastest / TIMED_STEPS;
  }

  /** Gives the model's memory back. */
  [Symbol.asyncDispose](): Promise<void> {
    this.model[Symbol.dispose]();
    this.model.gpu.trim();
    return Promise.resolve();
  }
}
