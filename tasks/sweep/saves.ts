/** How long apart results are written within a round. */
const SAVE_MILLISECONDS = 60_000;
/** What takes less than that is written without a thought; what takes longer, so much of the time. */
const QUICK_MILLISECONDS = 1000;
const SAVE_SHARE = 0.05;

/** When results were written last, and how long that took. */
export class Saves {
  #last = performance.now();
  #took = 0;

  /** Whether it is time again; the end of a round need not wait for the minute. */
  isDue(roundEnded: boolean): boolean {
    const wait = this.#took < QUICK_MILLISECONDS ? 0 : this.#took / SAVE_SHARE;
    return performance.now() - this.#last >= Math.max(roundEnded ? 0 : SAVE_MILLISECONDS, wait);
  }

  /** Writes, and notes how long it took. */
  async run(write: () => Promise<void>): Promise<void> {
    const started = performance.now();
    await write();
    this.#last = performance.now();
    this.#took = this.#last - started;
  }
}
