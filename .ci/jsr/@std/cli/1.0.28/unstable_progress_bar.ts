/** What a formatter is given. */
export interface ProgressBarFormatter {
  styledTime: string;
  styledData: (fractions?: number) => string;
  progressBar: string;
  time: number;
  previousTime: number;
  value: number;
  previousValue: number;
  max: number;
}

/** Options of {@linkcode ProgressBar}. */
export interface ProgressBarOptions {
  writable?: WritableStream<Uint8Array>;
  value?: number;
  max: number;
  barLength?: number;
  fillChar?: string;
  emptyChar?: string;
  clear?: boolean;
  formatter?: (formatter: ProgressBarFormatter) => string;
  keepOpen?: boolean;
  refreshMilliseconds?: number;
}

/** A line that is written anew until `stop()`. */
export class ProgressBar {
  value: number;
  max: number;
  #options: ProgressBarOptions;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #timer: ReturnType<typeof setInterval>;
  #start = performance.now();
  #previous = { time: 0, value: 0 };

  constructor(options: ProgressBarOptions) {
    this.value = options.value ?? 0;
    this.max = options.max;
    this.#options = options;
    this.#writer = (options.writable ?? Deno.stderr.writable).getWriter();
    this.#timer = setInterval(() => this.#print(), options.refreshMilliseconds ?? 1000);
    this.#print();
  }

  #print(): Promise<void> {
    const { barLength = 50, fillChar = "#", emptyChar = "-" } = this.#options;
    const filled = Math.round(barLength * Math.min(Math.max(this.value / this.max, 0), 1)) || 0;
    const time = performance.now() - this.#start;
    const two = (count: number): string => String(Math.floor(count)).padStart(2, "0");
    const state: ProgressBarFormatter = {
      styledTime: `${two(time / 60_000)}:${two(time / 1000 % 60)}`,
      styledData: (fractions = 2) =>
        `${(this.value / 1024).toFixed(fractions)}/${(this.max / 1024).toFixed(fractions)} KiB`,
      progressBar: fillChar.repeat(filled) + emptyChar.repeat(barLength - filled),
      time,
      previousTime: this.#previous.time,
      value: this.value,
      previousValue: this.#previous.value,
      max: this.max,
    };
    this.#previous = { time, value: this.value };
    const line = this.#options.formatter?.(state) ??
      `[${state.styledTime}] [${state.progressBar}] [${state.styledData()}]`;
    return this.#write(`\r\x1b[K${line}`);
  }

  async #write(text: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(text)).catch(() => {});
  }

  /** Writes the last line, or clears it, and frees the stream. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#options.clear) {
      await this.#write("\r\x1b[K");
    } else {
      await this.#print();
      await this.#write("\n");
    }
    if (this.#options.keepOpen === false) await this.#writer.close().catch(() => {});
    else this.#writer.releaseLock();
  }
}
