import { NotANumberError } from "../../models/not_a_number.ts";
import type { AnswerOptions, Answers, Subject } from "../subject.ts";
import type { Sample, SampleCoordinates, Task } from "../task.ts";
import type { Cell } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import { inTurns } from "./turns.ts";

/** How many tokens a batch may hold; a longer sample is a batch of its own. */
const BATCH_TOKENS = 2 ** 15;

/** How many samples of a length are answered at once. */
export function batchSize(length: number): number {
  return Math.max(1, Math.floor(BATCH_TOKENS / length));
}

/** Whoever makes samples lets others have their turn after so many milliseconds. */
const TURN_MILLISECONDS = 100;

/**
 * Makes samples, unless a signal ends it between two of them or behind the last.
 *
 * @throws {DOMException} the signal's reason.
 */
export async function makeSamples(
  task: Pick<Task, "sample">,
  coordinates: readonly SampleCoordinates[],
  signal: AbortSignal | undefined,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  let since = performance.now();
  for (const of of coordinates) {
    samples.push(task.sample(of));
    if (performance.now() - since < TURN_MILLISECONDS) continue;
    await new Promise((resolve) => setTimeout(resolve)); // a signal comes with the event loop
    signal?.throwIfAborted();
    since = performance.now();
  }
  return samples;
}

/** The coordinates of a cell's samples. */
export function coordinatesOf(
  { task: name, length, seed, depth, load }: Cell,
  { metric }: Pick<Task, "metric">,
  configuration: SweepConfiguration,
): SampleCoordinates[] {
  const count = samplesOf(gridOf(configuration, name), metric, length);
  return Array.from(
    { length: count },
    (_, index) => ({ length, seed, index, split: "test", depth, load }),
  );
}

/**
 * A model's answers to samples of one length, in batches.
 *
 * @throws {DOMException} where it is ended between two of them, or within one.
 */
export async function answerSamples(
  subject: Subject,
  samples: readonly Sample[],
  options: AnswerOptions = {},
): Promise<Omit<Answers, "peakBytes">> {
  const size = batchSize(samples[0].tokens.length);
  const batches = Array.from(
    { length: Math.ceil(samples.length / size) },
    (_, i) => samples.slice(i * size, (i + 1) * size),
  );
  const { onComputed, ...how } = options;
  const parts = await inTurns(batches, async (batch, i, release) => {
    how.signal?.throwIfAborted();
    try {
      return await subject.answer(batch, { ...how, onComputed: release });
    } catch (error) {
      if (!(error instanceof NotANumberError)) throw error;
      throw error.at({ sample: i * size + (error.place.sample ?? 0) });
    }
  }, onComputed);
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

/**
 * A model's answers to the controls of each sample, one after the other.
 *
 * @param makers Make the controls of each sample, which are many: as they are due.
 */
export async function answerControls(
  subject: Subject,
  makers: readonly (() => readonly Sample[])[],
  { signal, onComputed }: AnswerOptions = {},
): Promise<Pick<Answers, "correct" | "nll">> {
  const answers = await inTurns(makers, async (make, sample, release) => {
    try {
      return await answerSamples(subject, make(), { signal, onComputed: release });
    } catch (error) {
      throw error instanceof NotANumberError ? error.at({ sample }) : error;
    }
  }, onComputed);
  return {
    correct: answers.map(({ correct }) => Uint8Array.from(joined(correct))),
    nll: answers.map(({ nll }) => Float32Array.from(joined(nll))),
  };
}

/** Numbers of several lists, one list after the other. */
function* joined(parts: readonly Iterable<number>[]): Generator<number> {
  for (const part of parts) yield* part;
}
