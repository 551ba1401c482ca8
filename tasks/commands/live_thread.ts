import type { LiveProgress } from "./live_line.ts";

/** What both threads share: whether one writes, whether the other rests, and how long the line is. */
export const [LOCK, RESTS, DRAWN] = [0, 1, 2] as const;

/** What the thread is sent. */
export type LiveMessage =
  | { readonly shared: Int32Array<SharedArrayBuffer> }
  | { readonly progress: LiveProgress };

/** The thread that draws. */
let current: LiveThread | undefined;

/** Has the live line stand still until it is shown again: another is written in its place. */
export function restLive(): void {
  current?.rest();
}

/**
 * Draws the live line again and again on standard error while this thread is held up, as it is while a
 * GPU computes: until its work is done, Deno runs no timer.
 */
export class LiveThread {
  readonly #shared = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
  readonly #worker = new Worker(new URL("./live_worker.ts", import.meta.url), { type: "module" });

  constructor() {
    this.#worker.onerror = (event) => event.preventDefault(); // the line stands still then
    this.#tell({ shared: this.#shared });
    current = this;
  }

  /** What the line says from now on. */
  show({ cell, done, total, modelsLeft, millisecondsLeft }: LiveProgress): void {
    this.#tell({ progress: { cell, done, total, modelsLeft, millisecondsLeft } });
    exclusively(this.#shared, () => this.#shared[RESTS] = 0);
  }

  /** Has it stand still until it is shown again. */
  rest(): void {
    exclusively(this.#shared, () => this.#shared[RESTS] = 1);
  }

  /** Writes in the place of the line. @param write Takes the length of what is there, gives the new. */
  exclusively(write: (drawn: number) => number): void {
    exclusively(this.#shared, () => this.#shared[DRAWN] = write(this.#shared[DRAWN]));
  }

  /** Ends it. @returns The length of the line that it has left there. */
  close(): number {
    this.rest();
    current = undefined;
    this.#worker.terminate();
    return this.#shared[DRAWN];
  }

  #tell(message: LiveMessage): void {
    this.#worker.postMessage(message);
  }
}

/** Does something while the other thread does not: it is a write, so that waiting does not matter. */
export function exclusively(shared: Int32Array, act: () => void): void {
  while (Atomics.compareExchange(shared, LOCK, 0, 1) !== 0);
  try {
    act();
  } finally {
    Atomics.store(shared, LOCK, 0);
  }
}
