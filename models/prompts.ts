import type { Gpu, Recording, Tensor } from "../kernels/gpu/mod.ts";
import type { Matrix } from "../kernels/storage/mod.ts";
import { isRecordable } from "./generation.ts";
import type { Mixer, MixerState } from "./mixers/mixer.ts";
import { type Batch, cut, type Due } from "./scoring.ts";
import { disposeStates, leaveStates, ModelState } from "./state.ts";
import type { Variable } from "./tape.ts";

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

/** What of a model reads prompts. */
export interface PromptReader {
  /** Its GPU. */
  readonly gpu: Gpu;
  /** Its width. */
  readonly configuration: { readonly width: number };
  /** Its parameters by name. */
  readonly parameters: ReadonlyMap<string, Variable>;
  /** The mixers of its layers. */
  readonly mixers: readonly (Mixer | undefined)[];
  /** Tokens of each sequence that are read at once. */
  segmentTokens(batch: number): number;
  /** Queues a segment; the states before it go where `disposing`. */
  read(
    tokens: Tensor<"u32">,
    before: readonly MixerState[] | undefined,
    options: { readonly disposing: boolean },
  ): { hidden: Tensor; states: readonly MixerState[] };
}

/** Makes of what is due in a segment what it is asked by. */
export type Ask<Asked> = (due: readonly Due[]) => Asked;

/** A segment that was read. */
export interface ReadSegment<Asked> {
  /** The residual stream behind the final norm, `[batch, time, width]`, until the next is read. */
  readonly hidden: Tensor;
  /** What it is asked by, until the next is read. */
  readonly asked: Asked;
  /** Whether no segment follows. */
  readonly isLast: boolean;
}

type Shape = Pick<Batch, "batch" | "time">;

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
  release(shape?: Shape): void {
    if (this.#busy || this.#recorded === undefined) return;
    if (shape === undefined || this.#recorded.shape !== nameOf(shape)) this.#drop();
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

function nameOf({ batch, time }: Shape): string {
  return `${batch} × ${time}`;
}

/** What a model's parameters are in. */
function matricesOf({ parameters }: PromptReader): Matrix[] {
  return [...parameters.values()].flatMap(({ matrices }) => matrices);
}

/** States at a position. */
function at(
  position: number,
  states: readonly MixerState[] | undefined,
): readonly MixerState[] | undefined {
  return states?.map((state) => ({ ...state, position }));
}

/** Whether a state has one size, and a segment behind another is like the next. */
function hasFixedState(mixers: readonly (Mixer | undefined)[]): boolean {
  return mixers.every((mixer) => mixer?.reserve === undefined);
}

/** What a segment of some length takes and leaves: tensors that are made before it is recorded. */
interface Outside {
  readonly tokens: Tensor<"u32">;
  /** Of each token, where segments are alike but for it. */
  readonly positions: Tensor<"u32"> | undefined;
  readonly hidden: Tensor;
}

/**
 * Prompts of one shape. Each segment is a part of a recording; where the state has one size, those between
 * the first and a last one that is shorter are one part, which leaves its state where it found it.
 */
class RecordedPrompts implements Disposable {
  readonly shape: string;
  /** Bytes that it holds. */
  readonly bytes: number;
  readonly #gpu: Gpu;
  /** What it reads of the model, and keeps. */
  readonly #matrices: readonly Matrix[];
  readonly #segment: number;
  readonly #isFixed: boolean;
  /** By the number of tokens. */
  readonly #outside = new Map<number, Outside>();
  readonly #recording: Recording<void[]>;

  constructor(reader: PromptReader, { batch, time }: Shape) {
    const { gpu, configuration: { width }, mixers } = reader;
    const before = gpu.memory.current;
    this.#gpu = gpu;
    this.#matrices = matricesOf(reader);
    this.shape = nameOf({ batch, time });
    const segment = this.#segment = Math.min(time, reader.segmentTokens(batch));
    this.#isFixed = hasFixedState(mixers);
    const lengths = Array.from(
      { length: Math.ceil(time / segment) },
      (_, i) => Math.min(segment, time - i * segment),
    );
    const parts: number[] = [];
    lengths.forEach((length, i) => parts[this.#partOf(i, length)] ??= length);
    try {
      for (const length of new Set(lengths)) {
        this.#outside.set(length, {
          tokens: gpu.empty([batch, length], "u32"),
          positions: this.#isFixed ? gpu.empty([batch, length], "u32") : undefined,
          hidden: gpu.empty([batch, length, width]),
        });
      }
      this.#recording = gpu.recordParts(() => this.#work(reader, parts));
    } catch (error) {
      this.#free();
      throw error;
    }
    this.bytes = gpu.memory.current - before;
  }

  /** Whether the model's parameters are still where they were, whatever they are. */
  isOf(reader: PromptReader): boolean {
    const matrices = matricesOf(reader);
    return this.#matrices.every((matrix, i) => matrix === matrices[i] && !matrix.disposed);
  }

  /** Queues a batch, segment by segment. */
  *replay<Asked extends Disposable>(
    batch: Batch,
    ask: Ask<Asked>,
  ): Generator<ReadSegment<Asked>, void, void> {
    for (let start = 0, i = 0; start < batch.time; start += this.#segment, i++) {
      const time = Math.min(this.#segment, batch.time - start);
      const { tokens, positions, hidden } = this.#outside.get(time)!;
      const read = cut(batch, start, time);
      this.#gpu.write(tokens, read.tokens);
      positions?.write(Uint32Array.from(read.tokens, (_, at) => start + at % time));
      using asked = ask(read.due);
      this.#recording.replayPart(this.#partOf(i, time));
      yield { hidden, asked, isLast: start + time === batch.time };
    }
  }

  [Symbol.dispose](): void {
    this.#recording[Symbol.dispose]();
    this.#free();
  }

  /** The part of the segment that is the `index`th. */
  #partOf(index: number, time: number): number {
    if (!this.#isFixed || index < 2) return index;
    return time === this.#segment ? 1 : 2;
  }

  *#work(reader: PromptReader, lengths: readonly number[]): Generator<void, void, void> {
    let states: readonly MixerState[] | undefined;
    try {
      for (const length of lengths) {
        const { tokens, positions, hidden: left } = this.#outside.get(length)!;
        const before = positions
          ? states?.map((state) => ({ ...state, place: positions }))
          : states;
        const read = reader.read(tokens, before, { disposing: !this.#isFixed });
        this.#gpu.copy(read.hidden, left);
        read.hidden[Symbol.dispose]();
        if (this.#isFixed && states !== undefined) leaveStates(this.#gpu, read.states, states);
        else states = read.states;
        yield;
      }
    } finally {
      disposeStates(states);
    }
  }

  #free(): void {
    for (const { tokens, positions, hidden } of this.#outside.values()) {
      for (const tensor of [tokens, positions, hidden]) tensor?.[Symbol.dispose]();
    }
  }
}

/** A segment behind another of one sequence: it is recorded, and leaves its state where it found it. */
class RepeatedSegment implements Disposable {
  readonly #gpu: Gpu;
  readonly #tokens: Tensor<"u32">;
  readonly #positions: Tensor<"u32">;
  readonly #recording: Recording<void>;

  /** @param states Overwritten by each replay; the caller's. */
  constructor(reader: PromptReader, states: readonly MixerState[], length: number) {
    const { gpu } = reader;
    this.#gpu = gpu;
    this.#tokens = gpu.empty([1, length], "u32");
    const place = this.#positions = gpu.empty([1, length], "u32");
    try {
      this.#recording = gpu.record(() => {
        const before = states.map((state) => ({ ...state, place }));
        const read = reader.read(this.#tokens, before, { disposing: false });
        read.hidden[Symbol.dispose]();
        leaveStates(gpu, read.states, states);
      });
    } catch (error) {
      this.#free();
      throw error;
    }
  }

  /** Queues a segment, whose first token has a position. */
  replay(tokens: Uint32Array, position: number): void {
    this.#gpu.write(this.#tokens, tokens);
    this.#gpu.write(this.#positions, tokens.map((_, i) => position + i));
    this.#recording.replay();
  }

  [Symbol.dispose](): void {
    this.#recording[Symbol.dispose]();
    this.#free();
  }

  #free(): void {
    this.#tokens[Symbol.dispose]();
    this.#positions[Symbol.dispose]();
  }
}
