import { isRecordable } from "./generation.ts";
import type { MixerState } from "./mixers/mixer.ts";
import {
  type Ask,
  hasFixedState,
  matricesOf,
  nameOf,
  type PromptReader,
  type ReadSegment,
  RecordedPrompts,
  RepeatedSegment,
  type Shape,
} from "./recorded_prompts.ts";
import { type Batch, cut } from "./scoring.ts";
import { disposeStates, ModelState } from "./state.ts";

/**
 * Multiplications of a segment with which a GPU is busy for longer than the host takes to queue it: there
 * is nothing to gain, and its memory would be large.
 */
const MOST_WORK = 2 ** 36;
/** Memory that must be free beyond what is held. */
const ROOM = 2 ** 28;
/** The most parts that are recorded: as many segments of a model whose state grows. */
const MOST_PARTS = 16;
/** Alike segments of a sequence from which on one is recorded, which costs as much as to queue two. */
const LEAST_REPEATED = 4;

/**
 * Reads batches of prompts, segment by segment. The second batch of one shape in a row is recorded: what
 * is asked of it does not matter. From then on such a batch is replayed, until one of another shape comes.
 */
export class Prompts implements Disposable {
  readonly #reader: PromptReader;
  /** The shape of the last batch. */
  #last = "";
  #recorded: RecordedPrompts | undefined;
  /** Whether a batch is being replayed; others that come meanwhile are not. */
  #busy = false;

  /** Nothing is recorded yet. */
  constructor(reader: PromptReader) {
    this.#reader = reader;
  }

  /**
   * Queues a batch, segment by segment.
   *
   * @param ask Is called once a segment. What it gives to the GPU is written before a segment that is
   * replayed: behind it, it would cost a submit.
   * @param options.record Whether it may be recorded and replayed.
   */
  *read<Asked extends Disposable>(
    batch: Batch,
    ask: Ask<Asked>,
    { record }: { readonly record: boolean },
  ): Generator<ReadSegment<Asked>, void, void> {
    const recorded = record && !this.#busy ? this.#recordedFor(batch) : undefined;
    if (recorded === undefined) {
      yield* this.#readOnce(batch, ask);
      return;
    }
    this.#busy = true;
    let isWhole = false;
    try {
      yield* recorded.replay(batch, ask);
      isWhole = true;
    } finally {
      this.#busy = false;
      if (!isWhole) this.#drop(); // whoever was ended in it is done with all of them
    }
  }

  /**
   * Queues segments of one sequence, and stops behind each. Where a state has one size, the segments behind
   * the first are alike: one of them is recorded, and replayed for all that have its length.
   *
   * @param from Taken over; left out, the sequence begins here.
   * @param options.record Whether one may be recorded.
   * @returns The state behind the last.
   */
  *readOn(
    segments: readonly Uint32Array[],
    from: ModelState | undefined,
    { record }: { readonly record: boolean },
  ): Generator<void, ModelState | undefined, void> {
    if (segments.length === 0) return from;
    const { gpu, mixers } = this.#reader;
    let position = from?.position ?? 0;
    let states = from?.take();
    const [{ length }] = segments;
    const whole = segments.filter((segment) => segment.length === length).length;
    const repeats = record && whole >= LEAST_REPEATED && hasFixedState(mixers) &&
      this.#isWorth({ batch: 1, time: length });
    let recorded: RepeatedSegment | undefined;
    try {
      for (const segment of segments) {
        if (repeats && states !== undefined && segment.length === length) {
          recorded ??= new RepeatedSegment(this.#reader, states, length);
          recorded.replay(segment, position);
        } else {
          recorded?.[Symbol.dispose]();
          recorded = undefined;
          using input = gpu.tensor([1, segment.length], segment, "u32");
          const read = this.#reader.read(input, at(position, states), { disposing: true });
          states = read.states;
          read.hidden[Symbol.dispose]();
        }
        position += segment.length;
        yield;
      }
      const left = new ModelState(at(position, states)!);
      states = undefined;
      return left;
    } finally {
      recorded?.[Symbol.dispose]();
      disposeStates(states);
    }
  }

  /** Frees what is recorded, unless it is of this shape. */
  release(shape: Shape): void {
    if (this.#busy || this.#recorded === undefined) return;
    if (this.#recorded.shape !== nameOf(shape)) this.#drop();
  }

  /** Bytes that what is recorded holds. */
  get bytes(): number {
    return this.#recorded?.bytes ?? 0;
  }

  /** Frees what is recorded. */
  [Symbol.dispose](): void {
    this.#drop();
  }

  #drop(): void {
    this.#recorded?.[Symbol.dispose]();
    this.#recorded = undefined;
    this.#last = "";
  }

  #recordedFor(batch: Shape): RecordedPrompts | undefined {
    const shape = nameOf(batch);
    if (this.#recorded?.shape === shape && this.#recorded.isOf(this.#reader)) return this.#recorded;
    const before = this.#last;
    this.#drop();
    this.#last = shape;
    if (before !== shape || !this.#isWorth(batch)) return undefined;
    return this.#recorded = new RecordedPrompts(this.#reader, batch);
  }

  #isWorth({ batch, time }: Shape): boolean {
    const { gpu, mixers } = this.#reader;
    const parameters = matricesOf(this.#reader).reduce((sum, { size }) => sum + size, 0);
    const segment = this.#reader.segmentTokens(batch);
    const { limit = Infinity, current } = gpu.memory;
    return isRecordable(mixers) && limit - current >= ROOM &&
      batch * Math.min(segment, time) * parameters <= MOST_WORK &&
      (hasFixedState(mixers) || Math.ceil(time / segment) <= MOST_PARTS);
  }

  *#readOnce<Asked extends Disposable>(
    batch: Batch,
    ask: Ask<Asked>,
  ): Generator<ReadSegment<Asked>, void, void> {
    const { gpu } = this.#reader;
    const segment = this.#reader.segmentTokens(batch.batch);
    let states: readonly MixerState[] | undefined;
    try {
      for (let start = 0; start < batch.time; start += segment) {
        const time = Math.min(segment, batch.time - start);
        const { tokens, due } = cut(batch, start, time);
        using input = gpu.tensor([batch.batch, time], tokens, "u32");
        const read = this.#reader.read(input, states, { disposing: true });
        states = read.states;
        using hidden = read.hidden;
        using asked = ask(due); // behind it, as the most memory is held while it is read
        yield { hidden, asked, isLast: start + time === batch.time };
      }
    } finally {
      disposeStates(states);
    }
  }
}

/** States at a position. */
function at(
  position: number,
  states: readonly MixerState[] | undefined,
): readonly MixerState[] | undefined {
  return states?.map((state) => ({ ...state, position }));
}
