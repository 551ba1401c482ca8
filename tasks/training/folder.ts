import { join } from "@std/path";
import { exists } from "../../models/checkpoints/download.ts";
import { reasonOf } from "../errors.ts";
import { sameFile } from "../lock.ts";

/** Held while a model is trained. It stays, as another process may be waiting for it. */
const LOCK = "training.lock";

/** Whether a folder holds a model whose training has come to its end. */
export async function isFinished(directory: string): Promise<boolean> {
  return await exists(join(directory, "model.safetensors")) &&
    !await exists(join(directory, "checkpoint.safetensors"));
}

/** Whether a folder holds a training that was ended before. */
export async function isUnfinished(directory: string): Promise<boolean> {
  return await exists(join(directory, "checkpoint.safetensors"));
}

/**
 * A folder that one process trains a model into. The system frees its lock when the process ends,
 * however it ends.
 */
export class TrainingFolder implements Disposable {
  /** The folder. */
  readonly path: string;
  readonly #lock: Deno.FsFile;

  private constructor(path: string, lock: Deno.FsFile) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Takes a folder, which is made where it is missing.
   *
   * @param options.wait Waits while another process trains there.
   * @throws {Error} where one does and that is not waited for, or the folder cannot be written.
   */
  static async open(path: string, options: { readonly wait: boolean }): Promise<TrainingFolder> {
    const lock = await openLock(path);
    try {
      if (options.wait) await lock.lock(true);
      else if (!await lock.tryLock(true)) {
        throw new Error(
          `Cannot train into ${path} as another process is training there: wait until it is done, or name another folder with --out`,
        );
      }
      return new TrainingFolder(path, lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** @throws {Error} where the folder was deleted or replaced: nothing written there would be found. */
  async check(): Promise<void> {
    const lock = join(this.path, LOCK);
    if (await sameFile(this.#lock, lock)) return;
    throw new Error(
      `Cannot continue training as ${this.path} was deleted or replaced meanwhile: start again, in another folder with --out`,
    );
  }

  /** Frees the lock. */
  [Symbol.dispose](): void {
    this.#lock.close();
  }
}

async function openLock(folder: string): Promise<Deno.FsFile> {
  try {
    await Deno.mkdir(folder, { recursive: true });
    return await Deno.open(join(folder, LOCK), { create: true, write: true });
  } catch (error) {
    throw new Error(
      `Cannot train into ${folder}: ${reasonOf(error)}; name another folder with --out`,
      { cause: error },
    );
  }
}
