import type { Hash } from "node:crypto";
import { builtin } from "../platform.ts";
import { BadAnswer, CutConnection, PATIENCE, piecesOf } from "./http.ts";

/** How far the download of a file is. */
export interface DownloadProgress {
  /** The file's name in its repository. */
  readonly file: string;
  /** Bytes that are here, those of an earlier try included. */
  readonly received: number;
  /** Bytes that it has; left out where the server does not say. */
  readonly size?: number;
}

/** A file of a repository, with what is known of it before it is downloaded. */
export interface RemoteFile {
  /** Its name in the repository. */
  readonly name: string;
  /** Bytes that it has. */
  readonly size?: number;
  /** Its SHA-256 in hexadecimal digits. */
  readonly sha256?: string;
  /** The id of its blob in Git in hexadecimal digits: the SHA-1 of its size and bytes. */
  readonly blob?: string;
}

/** A download that failed, with the reason in its message. */
export class DownloadError extends Error {
  /** The error's name. */
  override readonly name = "DownloadError";
  /** The HTTP status that the server answered with, where that was the reason. */
  readonly status?: number;

  /** As {@linkcode Error}'s, with a status. */
  constructor(message: string, options?: ErrorOptions & { status?: number }) {
    super(message, options);
    this.status = options?.status;
  }
}

/** How many times the patience with a server another process may hold a file without progress. */
const STALLED = 10;
/** Milliseconds between two looks at such a process. */
const LOOK = 200;

/** How a {@linkcode Download} waits, and what it tells. */
export interface TransferOptions {
  /** Called as bytes arrive. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Milliseconds without enough bytes. @default 60_000 */
  readonly patience?: number;
  /** The most bytes that it may have. */
  readonly most: number;
}

/**
 * A file that arrives, in a `.partial` beside its place until it is whole and checked. Which version of
 * it the bytes are of (its entity tag) stands in an `.etag` beside that.
 */
export class Download implements Disposable {
  readonly #path: string;
  readonly #partial: string;
  readonly #file: RemoteFile;
  readonly #options: TransferOptions;
  #handle: Deno.FsFile | undefined;
  #hash: Hash = hashOf("sha256");
  #sha256: string | undefined;
  #etag: string | undefined;
  #ended = false;
  #superseded = false;
  /** Bytes that are here. */
  received = 0;
  /** Bytes that there are, where that is known. */
  size: number | undefined;

  /** A download of `file` to `path`. */
  constructor(path: string, file: RemoteFile, options: TransferOptions) {
    this.#path = path;
    this.#partial = `${path}.partial`;
    this.#file = file;
    this.#options = options;
    this.size = file.size;
    this.#sha256 = file.sha256;
  }

  /** Whether all bytes are here. */
  get finished(): boolean {
    return this.#ended || (this.size !== undefined && this.received >= this.size);
  }

  /** The version that the bytes here are of, where a server may be asked for the rest of that one alone. */
  get version(): string | undefined {
    // A weak tag says that two versions mean the same, not that they are.
    return this.received > 0 && this.#etag?.startsWith('"') ? this.#etag : undefined;
  }

  /**
   * Opens what an earlier try left, or begins; waits for another process that is at it.
   *
   * @throws {DownloadError} where that one does not continue.
   */
  async open(model: string, signal?: AbortSignal): Promise<void> {
    this.#checkSize(model);
    this.#handle = await Deno.open(this.#partial, { read: true, write: true, create: true });
    await this.#lock(this.#handle, model, signal);
    this.#etag = await Deno.readTextFile(`${this.#path}.etag`).catch(() => undefined);
    if (await exists(this.#path)) {
      // Another process finished the file while this one waited.
      this.#ended = this.#superseded = true;
      return;
    }
    const { size } = await this.#handle.stat();
    const buffer = new Uint8Array(2 ** 20);
    while (this.received < size) {
      const count = await this.#handle.read(buffer);
      if (count === null) break;
      this.#hash.update(buffer.subarray(0, count));
      this.received += count;
    }
    if (this.size !== undefined && this.received > this.size) this.restart();
    this.#report();
  }

  /** Drops what is here. */
  restart(): void {
    this.#handle!.truncateSync(0);
    this.#handle!.seekSync(0, Deno.SeekMode.Start);
    this.#hash = hashOf("sha256");
    this.received = 0;
    this.#ended = false;
    this.#forgetVersion();
  }

  /**
   * Takes the rest of the file from an answer.
   *
   * @throws {CutConnection} where it ends early, or is not the rest of what is here.
   * @throws {BadAnswer} where it is longer than was said.
   */
  async receive(
    response: Response,
    said: { size?: number; sha256?: string },
  ): Promise<void> {
    this.#sha256 ??= said.sha256;
    const etag = response.headers.get("etag") ?? undefined;
    if (this.received > 0) {
      const unlike = response.status === 206 && this.#whyNotTheRest(response, etag);
      if (response.status !== 206 || unlike) this.restart();
      if (unlike) {
        await response.body?.cancel();
        throw new CutConnection(unlike);
      }
    }
    const length = toSize(response.headers.get("content-length"));
    this.size ??= said.size ?? rangeOf(response)?.total ??
      (length === undefined ? undefined : this.received + length);
    const tooLarge = this.#tooLarge();
    if (tooLarge !== undefined) {
      await response.body?.cancel();
      throw new BadAnswer(tooLarge);
    }
    if (this.received === 0 && etag !== undefined) {
      this.#etag = etag;
      await Deno.writeTextFile(`${this.#path}.etag`, etag);
    }
    this.#report();
    await this.#append(response);
    if (this.size !== undefined && this.received < this.size) {
      throw new CutConnection("it ended early");
    }
    this.#ended = true;
  }

  /** Why a 206 cannot be put behind what is here, where that is so. */
  #whyNotTheRest(response: Response, etag: string | undefined): string | undefined {
    const range = rangeOf(response);
    if (range?.from !== this.received) {
      return `bytes from ${
        range?.from ?? "nowhere"
      } came where those from ${this.received} were due`;
    }
    if (this.size !== undefined && range.total !== undefined && range.total !== this.size) {
      return `its size became ${range.total} from ${this.size}`;
    }
    if (this.#etag !== undefined && etag !== undefined && etag !== this.#etag) {
      return "it changed meanwhile";
    }
    const isChecked = this.#sha256 ?? this.#file.blob;
    return this.#etag === undefined && isChecked === undefined
      ? "nothing says that it is the rest of what is here"
      : undefined;
  }

  /**
   * Checks the bytes and puts the file in its place.
   *
   * @throws {DownloadError} where they are other bytes than promised.
   */
  async finish(model: string): Promise<void> {
    if (this.#superseded) return this.discard();
    const wrong = await this.#whyWrong();
    if (wrong) {
      this.discard();
      throw new DownloadError(
        `Cannot download ${this.#file.name} of ${model} as ${wrong}: it was removed, try again`,
      );
    }
    await this.#handle!.sync();
    await Deno.rename(this.#partial, this.#path);
    this.#forgetVersion();
  }

  async #whyWrong(): Promise<string | undefined> {
    if (this.size !== undefined && this.received !== this.size) {
      return `it has ${this.received} bytes, not ${this.size}`;
    }
    const sum = this.#hash.digest("hex");
    if (this.#sha256 !== undefined) {
      return sum === this.#sha256 ? undefined : `its SHA-256 is ${sum}, not ${this.#sha256}`;
    }
    const { blob } = this.#file;
    if (blob === undefined) return undefined;
    const id = await this.#blobId();
    return id === blob ? undefined : `its Git blob is ${id}, not ${blob}`;
  }

  /** Git's id of the bytes, which begins with their number. */
  async #blobId(): Promise<string> {
    const hash = hashOf("sha1").update(`blob ${this.received}\0`);
    const file = await Deno.open(this.#partial);
    for await (const bytes of file.readable) hash.update(bytes);
    return hash.digest("hex");
  }

  /** Removes what is here. */
  discard(): void {
    removeIfThere(this.#partial);
    this.#forgetVersion();
  }

  [Symbol.dispose](): void {
    this.#handle?.close();
    this.#handle = undefined;
  }

  #forgetVersion(): void {
    this.#etag = undefined;
    removeIfThere(`${this.#path}.etag`);
  }

  async #lock(handle: Deno.FsFile, model: string, signal?: AbortSignal): Promise<void> {
    const { patience = PATIENCE } = this.#options;
    let size = -1;
    let since = performance.now();
    while (!await handle.tryLock(true)) {
      const now = (await handle.stat()).size;
      if (now !== size) [size, since] = [now, performance.now()];
      if (performance.now() - since > STALLED * patience) {
        throw new DownloadError(
          `Cannot download ${this.#file.name} of ${model} as another process downloads it and does not continue: end that one`,
        );
      }
      await sleep(LOOK, signal);
    }
  }

  #checkSize(model: string): void {
    const reason = this.#tooLarge();
    if (reason === undefined) return;
    throw new DownloadError(`Cannot download ${this.#file.name} of ${model} as ${reason}`);
  }

  #tooLarge(): string | undefined {
    const { most } = this.#options;
    return this.size !== undefined && this.size > most
      ? `it has ${this.size} bytes, more than ${most}`
      : undefined;
  }

  async #append(response: Response): Promise<void> {
    const most = this.size ?? this.#options.most;
    for await (const bytes of piecesOf(response, this.#options.patience ?? PATIENCE)) {
      if (this.received + bytes.byteLength > most) {
        this.discard();
        const came = this.received + bytes.byteLength;
        throw new BadAnswer(
          `it has at least ${came} bytes, not ${most}: it was removed, try again`,
        );
      }
      await this.#write(bytes);
      this.#hash.update(bytes);
      this.received += bytes.byteLength;
      this.#report();
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      written += await this.#handle!.write(bytes.subarray(written));
    }
  }

  #report(): void {
    this.#options.onProgress?.({
      file: this.#file.name,
      received: this.received,
      ...(this.size === undefined ? {} : { size: this.size }),
    });
  }
}

/** A hash that takes a file piece by piece, which the web's own cannot. */
function hashOf(algorithm: "sha1" | "sha256"): Hash {
  return builtin("node:crypto").createHash(algorithm);
}

/** The number in a header, where it holds one. */
export function toSize(text: string | null | undefined): number | undefined {
  return text && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Waits. @throws {unknown} the signal's reason where that comes first. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Whether there is something at a path. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Where the bytes of an answer belong, and how many there are in all. */
function rangeOf(response: Response): { from: number; total?: number } | undefined {
  const parsed = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(
    response.headers.get("content-range") ?? "",
  );
  return parsed ? { from: Number(parsed[1]), total: toSize(parsed[2]) } : undefined;
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
