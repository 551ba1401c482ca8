import type { Command } from "./queue.ts";

/**
 * Work that was recorded by {@linkcode Gpu.record}. It holds the memory of all tensors that were made
 * in it, and keeps those that it uses: until it is disposed of.
 */
export class Recording<Result = unknown> implements Disposable {
  /** What the recorded function returned: its tensors hold what the last replay left in them. */
  readonly result: Result;
  readonly #parts: readonly (readonly Command[])[];
  readonly #run: (commands: readonly Command[]) => void;
  #free: (() => void) | undefined;

  /**
   * Made by {@linkcode Gpu.record}.
   *
   * @param parts The commands of each part.
   * @param run Queues commands.
   * @param free Gives up what the recording holds.
   */
  constructor(
    result: Result,
    parts: readonly (readonly Command[])[],
    run: (commands: readonly Command[]) => void,
    free: () => void,
  ) {
    this.result = result;
    this.#parts = parts;
    this.#run = run;
    this.#free = free;
  }

  /** Kernels that a replay dispatches. */
  get dispatches(): number {
    return this.#parts.flat().filter((command) => "pipeline" in command).length;
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
    this.#check();
    if (!(Number.isSafeInteger(times) && times >= 0)) {
      throw new RangeError(
        `Cannot replay a recording as times must be 0 or a positive integer: current value is ${times}`,
      );
    }
    for (let i = 0; i < times; i++) {
      for (const commands of this.#parts) this.#run(commands);
    }
  }

  /**
   * Queues one part of what {@linkcode Gpu.recordParts} recorded, as {@linkcode Recording.replay} does.
   *
   * @param part Its number, from 0.
   * @throws {Error} where the recording was disposed of.
   * @throws {RangeError} where it has no such part.
   * @throws {DeviceLostError} where the device is gone.
   */
  replayPart(part: number): void {
    this.#check();
    const commands = this.#parts[part];
    if (commands === undefined) {
      throw new RangeError(
        `Cannot replay part ${part} of a recording as it has the parts 0 to ${
          this.#parts.length - 1
        }`,
      );
    }
    this.#run(commands);
  }

  /** Frees what it holds; tensors of its result that are still in use keep their memory. */
  [Symbol.dispose](): void {
    this.#free?.();
    this.#free = undefined;
  }

  #check(): void {
    if (this.#free !== undefined) return;
    throw new Error("Cannot replay a recording that was disposed of: keep it until its last use");
  }
}
