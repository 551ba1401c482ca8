import type { Gpu, Tensor } from "../kernels/gpu/mod.ts";
import type { ModelState } from "./state.ts";

/** Multiplications that are queued before the GPU is waited for the first time: a software adapter's second. */
const FIRST_WORK = 2 ** 32;
/** The most segments that are queued until then, however small a model is. */
const FIRST_SEGMENTS = 16;
/** How long a wait and the work before it take, at least and at most, in milliseconds. */
const SHORT = 500;
const LONG = 1000;

/** What is paced: how much work a segment is. */
interface Paced {
  readonly gpu: Gpu;
  readonly parameterCount: number;
  segmentTokens(): number;
}

/**
 * Lets a signal end what is read in segments. Segments are queued faster than the GPU reads them, and
 * while they are queued no signal arrives: from time to time the GPU is waited for, and the event loop
 * gets its turn. That is about twice a second, however fast the GPU is; without a signal, never.
 */
export class Pace {
  readonly #gpu: Gpu;
  readonly #signal: AbortSignal | undefined;
  #segments: number;
  #queued = 0;
  #started = performance.now();
  #done: Promise<unknown> = Promise.resolve();

  /** Begins before the first segment. */
  constructor(model: Paced, signal: AbortSignal | undefined) {
    this.#gpu = model.gpu;
    this.#signal = signal;
    const work = model.parameterCount * model.segmentTokens();
    this.#segments = Math.max(1, Math.min(FIRST_SEGMENTS, Math.floor(FIRST_WORK / work)));
  }

  /**
   * To be called before each segment but the first.
   *
   * @throws {DOMException} the signal's reason.
   */
  async next(): Promise<void> {
    if (this.#signal === undefined) return;
    if (++this.#queued >= this.#segments) await this.#wait();
    this.#signal.throwIfAborted();
  }

  async #wait(): Promise<void> {
    await this.#done;
    this.#gpu.flush();
    // Deno blocks in the call until the work is done, and settles the promise 10 ms later: it is awaited
    // the next time. Where the call does not block, there are two of these at most.
    this.#done = this.#gpu.device.queue.onSubmittedWorkDone().catch(() => {}); // sync() tells why
    await new Promise((resolve) => setTimeout(resolve));
    const took = performance.now() - this.#started;
    if (took < SHORT) this.#segments *= 2;
    else if (took > LONG) this.#segments = Math.max(1, Math.floor(this.#segments / 2));
    this.#queued = 0;
    this.#started = performance.now();
  }
}

/** A prompt that is read segment by segment, and what is there in the end. */
export type Prefilling = Generator<void, { logits: Tensor; state: ModelState }, void>;

/** What reading all segments gives. */
export function drained(steps: Prefilling): { logits: Tensor; state: ModelState } {
  let step = steps.next();
  while (!step.done) step = steps.next();
  return step.value;
}

/**
 * What reading all segments gives, unless a signal ends it between two of them.
 *
 * @throws {DOMException} the signal's reason.
 */
export async function paced(
  model: Paced,
  steps: Prefilling,
  signal: AbortSignal | undefined,
): Promise<{ logits: Tensor; state: ModelState }> {
  const pace = new Pace(model, signal);
  try {
    let step = steps.next();
    for (; !step.done; step = steps.next()) await pace.next();
    return step.value;
  } finally {
    steps.return(undefined as never); // frees what it holds where it was ended
  }
}
