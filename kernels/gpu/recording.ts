import type { Command } from "./queue.ts";

/**
 * Work that was recorded by {@linkcode Gpu.record}. It holds the memory of all tensors that were made
 * in it, and keeps those that it uses: until it is disposed of.
 */
export class Recording<Result = unknown> implements Disposable {
  /** What the recorded function returned: its tensors hold what the last replay left in them. */
  readonly result: Result;
  readonly #commands: readonly Command[];
  readonly #run: (commands: readonly Command[]) => void;
  #free: (() => void) | undefined;

  /**
   * Made by {@linkcode Gpu.record}.
   *
   * @param run Queues commands.
   * @param free Gives up what the recording holds.
   */
  constructor(
    result: Result,
    commands: readonly Command[],
    run: (commands: readonly Command[]) => void,
    free: () => void,
  ) {
    this.result = result;
    this.#commands = commands;
    this.#run = run;
    this.#free = free;
  }

  /** Kernels that a replay dispatches. */
  get dispatches(): number {
    return this.#commands.filter((command) => "pipeline" in command).length;
  }

  /**
   * Queues the recorded work, in order with all other work. Like a dispatch it returns at once; an
   * error in it is thrown by the next read.
   *
   * @param times How often, one after another. @default 1
   * @throws {Error} where the recording was disposed of.
   * @throws {RangeError} where `times` is no count.
   * @throws {DeviceLostError} where the device is gone.
   */
  replay(times: number = 1): void {
    if (this.#free === undefined) {
      throw new Error("Cannot replay a recording that was disposed of: keep it until its last use");
    }
    if (!(Number.isSafeInteger(times) && times >= 0)) {
      throw new RangeError(
        `Cannot replay a recording as times must be 0 or a positive integer: current value is ${times}`,
      );
    }
    for (let i = 0; i < times; i++) this.#run(this.#commands);
  }

  /** Frees what it holds; tensors of its result that are still in use keep their memory. */
  [Symbol.dispose](): void {
    this.#free?.();
    this.#free = undefined;
  }
}
