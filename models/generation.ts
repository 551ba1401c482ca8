import type { Gpu, Recording, Tensor } from "../kernels/gpu/mod.ts";
import { argmax } from "../kernels/sampling/mod.ts";
import type { Mixer, MixerState } from "./mixers/mixer.ts";
import { disposeStates, leaveStates } from "./state.ts";

/** Tokens that are queued before the first of them is read back. */
export const TOKENS_PER_READ = 32;
/**
 * Tokens that are there within so many milliseconds were computed in less than Deno waits for them, 10
 * ms: the next are queued meanwhile, though a stop token may make them useless.
 */
export const QUICK_MILLISECONDS = 20;
/** Fewer tokens than this cost less than recording one. */
const RECORDED_TOKENS = 4;
/** The least room that caches are given, and the share of the tokens read by which they grow. */
const LEAST_ROOM = 64;
const ROOM = 1 / 8;

/** How a sequence is continued. */
export interface GenerateOptions {
  /** The most new tokens. */
  readonly maxTokens: number;
  /** Each ends the sequence, and is the last of the new tokens then. */
  readonly stopTokens?: readonly number[];
  /**
   * Whether a token is recorded once and replayed, which costs the host a tenth and changes no bit; and
   * so of a long prompt's segments, where the state has one size.
   *
   * @default {true}
   */
  readonly record?: boolean;
  /** Ends it between two segments of a prompt, or two batches of new tokens: its reason is thrown. */
  readonly signal?: AbortSignal;
}

/** @throws {RangeError} where the most new tokens are no count. */
export function checkMaxTokens({ maxTokens }: Pick<GenerateOptions, "maxTokens">): void {
  if (Number.isSafeInteger(maxTokens) && maxTokens >= 0) return;
  throw new RangeError(
    `Cannot generate tokens as maxTokens must be 0 or a positive integer: current value is ${maxTokens}`,
  );
}

/** What a {@linkcode Generation} has of a model. */
export interface TokenReader {
  /** The mixers of its layers. */
  readonly mixers: readonly (Mixer | undefined)[];
  /**
   * Queues one token: its logits `[1, vocabulary]`, and the states after it. The states before it are
   * the caller's, and may be overwritten where `inPlace`.
   */
  read(
    token: Tensor<"u32">,
    states: readonly MixerState[],
    options: { readonly inPlace: boolean },
  ): { logits: Tensor; states: readonly MixerState[] };
}

/** Whether tokens of such layers can be recorded. */
export function isRecordable(mixers: readonly (Mixer | undefined)[]): boolean {
  return mixers.every((mixer) => mixer?.recordable ?? mixer === undefined);
}

/**
 * A sequence that continues itself on the GPU: each token chooses the next, counts its position up and
 * leaves its state where it found it, so that a token is recorded once and replayed. Caches that are
 * full are enlarged, and the token is recorded anew.
 */
export class Generation implements Disposable {
  readonly #gpu: Gpu;
  readonly #reader: TokenReader;
  /** Whether tokens take their position from the GPU. */
  readonly #follows: boolean;
  readonly #record: boolean;
  /** The last token that was chosen, `[1]`. */
  readonly #token: Tensor<"u32">;
  /** Its position, `[1]`. */
  readonly #position: Tensor<"u32">;
  /** The last tokens by their positions: a ring. */
  readonly #history: Tensor<"u32">;
  #states: readonly MixerState[];
  #read: number;
  #room: number;
  #given = false;
  #recording: Recording<void> | undefined;

  /**
   * Goes on from the logits and the states of a prompt; chooses the first token.
   *
   * @param from `states` are taken over; `position` is the number of tokens read.
   */
  constructor(
    gpu: Gpu,
    reader: TokenReader,
    from: { logits: Tensor; states: readonly MixerState[]; position: number },
    options: { readonly record: boolean },
  ) {
    this.#gpu = gpu;
    this.#reader = reader;
    this.#follows = isRecordable(reader.mixers);
    this.#record = options.record && this.#follows;
    this.#states = from.states;
    this.#read = from.position;
    this.#room = this.#follows ? 0 : Infinity;
    this.#token = gpu.empty([1], "u32");
    this.#position = gpu.tensor([1], [from.position - 1], "u32");
    this.#history = gpu.tensor([TOKENS_PER_READ], undefined, "u32");
    this.#choose(from.logits);
  }

  /**
   * The next tokens. They are queued when it returns: more may be asked for before they are here.
   *
   * @param count At most {@linkcode TOKENS_PER_READ}.
   * @param left How many may follow in all, these among them.
   */
  async next(count: number, left: number): Promise<number[]> {
    const given = this.#given ? 0 : 1; // the first is chosen already
    this.#given = true;
    this.advance(count - given, left - given);
    const first = this.#read - count + 1;
    const history = await this.#history.read();
    return Array.from({ length: count }, (_, i) => history[(first + i) % TOKENS_PER_READ]);
  }

  /**
   * Queues tokens that are not brought here.
   *
   * @param left How many may follow in all, these among them.
   */
  advance(count: number, left: number): void {
    for (let queued = 0; queued < count;) {
      if (this.#follows && this.#room < 1) this.#reserve(left - queued);
      const now = Math.min(count - queued, this.#room);
      if (this.#record && this.#recording === undefined && left - queued >= RECORDED_TOKENS) {
        this.#recording = this.#gpu.record(() => this.#step());
      }
      if (this.#recording) this.#recording.replay(now);
      else for (let i = 0; i < now; i++) this.#step();
      queued += now;
      this.#room -= now;
      this.#read += now;
    }
  }

  /**
   * What it carries, for tests.
   *
   * @internal
   */
  get states(): readonly MixerState[] {
    return this.#states;
  }

  /** Frees the state, and all else. */
  [Symbol.dispose](): void {
    this.#recording?.[Symbol.dispose]();
    disposeStates(this.#states);
    for (const tensor of [this.#token, this.#position, this.#history]) tensor[Symbol.dispose]();
  }

  #choose(logits: Tensor): void {
    argmax(this.#gpu, {
      logits,
      into: this.#token,
      position: this.#position,
      history: this.#history,
    });
    logits[Symbol.dispose]();
  }

  /** One token; where tokens follow their position, its state is left where the one before was. */
  #step(): void {
    using token = this.#token.reshape([1, 1]);
    const { logits, states } = this.#reader.read(token, this.#states, { inPlace: this.#follows });
    this.#choose(logits);
    if (!this.#follows) {
      disposeStates(this.#states);
      this.#states = states;
      return;
    }
    leaveStates(this.#gpu, states, this.#states);
  }

  #reserve(left: number): void {
    const tokens = Math.min(left, Math.max(LEAST_ROOM, Math.ceil(this.#read * ROOM)));
    this.#recording?.[Symbol.dispose]();
    this.#recording = undefined;
    this.#room = Infinity;
    this.#states = this.#states.map((state, layer) => {
      const here = { ...state, position: this.#read };
      const reserved = this.#reader.mixers[layer]?.reserve?.(this.#gpu, here, tokens) ??
        { state: here, room: Infinity };
      this.#room = Math.min(this.#room, reserved.room);
      return { ...reserved.state, place: this.#position };
    });
  }
}
