import type { Gpu, Recording, Tensor } from "../kernels/gpu/mod.ts";
import type { Matrix } from "../kernels/storage/mod.ts";
import type { Mixer, MixerState } from "./mixers/mixer.ts";
import { type Batch, cut, DISPOSED_MODEL, type Due } from "./scoring.ts";
import { disposeStates, leaveStates } from "./state.ts";
import type { Variable } from "./tape.ts";

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

/** The shape of a batch. */
export type Shape = Pick<Batch, "batch" | "time">;

/** A shape as text. */
export function nameOf({ batch, time }: Shape): string {
  return `${batch} × ${time}`;
}

/** What a model's parameters are in. */
export function matricesOf({ parameters }: PromptReader): Matrix[] {
  return [...parameters.values()].flatMap(({ matrices }) => matrices);
}

/** Whether a state has one size, and a segment behind another is like the next. */
export function hasFixedState(mixers: readonly (Mixer | undefined)[]): boolean {
  return mixers.every((mixer) => mixer?.reserve === undefined);
}

/** What a segment of some length takes and leaves: tensors that are made before it is recorded. */
interface Outside {
  readonly tokens: Tensor<"u32">;
  /** Of each token, where segments are alike but for that. */
  readonly positions: Tensor<"u32"> | undefined;
  readonly hidden: Tensor;
}

/**
 * Prompts of one shape. Each segment is a part of a recording; where the state has one size, those between
 * the first and a last one that is shorter are one part, which leaves its state where it found it.
 */
export class RecordedPrompts implements Disposable {
  /** Their shape, as text. */
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
  #isDisposed = false;

  /** Records them: nothing is read yet. */
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
          positions: this.#isFixed && parts.length > 1
            ? gpu.empty([batch, length], "u32")
            : undefined,
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
      if (this.#isDisposed) throw new Error(DISPOSED_MODEL); // while another segment was waited for
      const time = Math.min(this.#segment, batch.time - start);
      const { tokens, positions, hidden } = this.#outside.get(time)!;
      const read = cut(batch, start, time);
      this.#gpu.write(tokens, read.tokens);
      if (i > 0) positions?.write(Uint32Array.from(read.tokens, (_, at) => start + at % time));
      using asked = ask(read.due);
      this.#recording.replayPart(this.#partOf(i, time));
      yield { hidden, asked, isLast: start + time === batch.time };
    }
  }

  /** Frees what it holds. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
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
export class RepeatedSegment implements Disposable {
  readonly #gpu: Gpu;
  readonly #tokens: Tensor<"u32">;
  readonly #positions: Tensor<"u32">;
  readonly #recording: Recording<void>;

  /**
   * Records it: nothing is read yet.
   *
   * @param states Overwritten by each replay; the caller's.
   */
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

  /** Frees what it holds. */
  [Symbol.dispose](): void {
    this.#recording[Symbol.dispose]();
    this.#free();
  }

  #free(): void {
    this.#tokens[Symbol.dispose]();
    this.#positions[Symbol.dispose]();
  }
}
