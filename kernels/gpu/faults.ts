import { DeviceLostError, KernelError } from "./errors.ts";

/** What went wrong on a device, kept until someone waits for its work. */
export class Faults {
  readonly #device: GPUDevice;
  readonly #checks = new Set<Promise<void>>();
  #error: Error | undefined;
  #lost: string | undefined;

  /** Listens to the device. */
  constructor(device: GPUDevice) {
    this.#device = device;
    device.lost.then((info) => this.#lost = info.message || info.reason);
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.fail(new KernelError(event.error.message));
    });
  }

  /** Whether the device is gone. */
  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** Has the next wait for the GPU wait for a check too. */
  watch(check: Promise<void>): void {
    this.#checks.add(check);
    check.finally(() => this.#checks.delete(check));
  }

  /**
   * Makes something within a validation scope, which is closed even where `make` throws: one left
   * open would swallow every later error.
   *
   * @param describe What the next wait for the GPU throws where the device reports an error.
   */
  guard<Made>(
    make: () => Made,
    describe: (error: GPUError, made: Made) => Error | Promise<Error>,
  ): Made {
    this.#device.pushErrorScope("validation");
    let made: { value: Made } | undefined;
    try {
      made = { value: make() };
      return made.value;
    } finally {
      this.watch(
        this.#device.popErrorScope().then(async (error) => {
          if (error !== null && made !== undefined) this.fail(await describe(error, made.value));
        }),
      );
    }
  }

  /** Notes an error, for the next wait to throw. */
  fail(error: Error): void {
    // A pipeline that does not compile, or a buffer that is not there, makes every dispatch after it
    // invalid: the first error says why.
    if (this.#error === undefined || error.message.startsWith("Cannot compile")) {
      this.#error = error;
    }
  }

  /** @throws {DeviceLostError} where the device is gone. */
  throwIfLost(): void {
    if (this.#lost !== undefined) {
      throw new DeviceLostError(
        `Cannot continue as the GPU was lost (${this.#lost}): open it again; a sweep continues with --resume`,
      );
    }
  }

  /** Waits for the checks. @throws whatever went wrong since the last time. */
  async throwIfFailed(): Promise<void> {
    await Promise.all(this.#checks);
    this.throwIfLost();
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
  }
}
