import { createHash, type Hash } from "node:crypto";

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

/** A connection without a byte for this many milliseconds is taken for cut. */
const SILENCE = 60_000;

/** A connection that broke or fell silent: the rest may be asked for. */
export class CutConnection extends Error {}

/** A file that arrives, in a `.partial` beside its place until it is whole and checked. */
export class Download implements Disposable {
  readonly #path: string;
  readonly #partial: string;
  readonly #file: RemoteFile;
  readonly #onProgress: ((progress: DownloadProgress) => void) | undefined;
  #handle: Deno.FsFile | undefined;
  #hash: Hash = createHash("sha256");
  #sha256: string | undefined;
  #ended = false;
  #superseded = false;
  /** Bytes that are here. */
  received = 0;
  /** Bytes that there are, where that is known. */
  size: number | undefined;

  /** A download of `file` to `path`. */
  constructor(
    path: string,
    file: RemoteFile,
    onProgress?: (progress: DownloadProgress) => void,
  ) {
    this.#path = path;
    this.#partial = `${path}.partial`;
    this.#file = file;
    this.#onProgress = onProgress;
    this.size = file.size;
    this.#sha256 = file.sha256;
  }

  /** Whether all bytes are here. */
  get finished(): boolean {
    return this.#ended || (this.size !== undefined && this.received >= this.size);
  }

  /** Opens what an earlier try left, or begins; waits for another process that is at it. */
  async open(): Promise<void> {
    this.#handle = await Deno.open(this.#partial, { read: true, write: true, create: true });
    await this.#handle.lock(true);
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

  /** Lets go of what is here. */
  restart(): void {
    this.#handle!.truncateSync(0);
    this.#handle!.seekSync(0, Deno.SeekMode.Start);
    this.#hash = createHash("sha256");
    this.received = 0;
    this.#ended = false;
  }

  /** Takes the rest of the file from an answer. @throws {CutConnection} where it ends early. */
  async receive(
    response: Response,
    said: { size?: number; sha256?: string },
  ): Promise<void> {
    if (response.status !== 206 && this.received > 0) this.restart();
    const length = toSize(response.headers.get("content-length"));
    const total = toSize(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1]);
    this.size ??= said.size ?? total ??
      (length === undefined ? undefined : this.received + length);
    this.#sha256 ??= said.sha256;
    this.#report();
    if (response.body) await this.#append(response.body.getReader());
    if (this.size !== undefined && this.received < this.size) {
      throw new CutConnection("it ended early");
    }
    this.#ended = true;
  }

  /**
   * Checks the bytes and puts the file in its place.
   *
   * @throws {DownloadError} where they are other bytes than promised.
   */
  async finish(model: string): Promise<void> {
    if (this.#superseded) return this.discard();
    const sum = this.#hash.digest("hex");
    const wrong = this.size !== undefined && this.received !== this.size
      ? `it has ${this.received} bytes, not ${this.size}`
      : this.#sha256 !== undefined && sum !== this.#sha256
      ? `its SHA-256 is ${sum}, not ${this.#sha256}`
      : undefined;
    if (wrong) {
      this.discard();
      throw new DownloadError(
        `Cannot download ${this.#file.name} of ${model} as ${wrong}: it was removed, try again`,
      );
    }
    await this.#handle!.sync();
    await Deno.rename(this.#partial, this.#path);
  }

  /** Removes what is here. */
  discard(): void {
    try {
      Deno.removeSync(this.#partial);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#handle?.close();
    this.#handle = undefined;
  }

  async #append(reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>): Promise<void> {
    while (true) {
      const silence = setTimeout(() => reader.cancel().catch(() => {}), SILENCE);
      const { done, value } = await reader.read().catch((error) => {
        throw new CutConnection(error.message, { cause: error });
      }).finally(() => clearTimeout(silence));
      if (done) return;
      try {
        await this.#write(value);
      } catch (error) {
        reader.cancel().catch(() => {});
        throw error;
      }
      this.#hash.update(value);
      this.received += value.byteLength;
      this.#report();
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      written += await this.#handle!.write(bytes.subarray(written));
    }
  }

  #report(): void {
    this.#onProgress?.({
      file: this.#file.name,
      received: this.received,
      ...(this.size === undefined ? {} : { size: this.size }),
    });
  }
}

/** The number in a header. */
export function toSize(text: string | null | undefined): number | undefined {
  return text ? Number(text) : undefined;
}

/** Whether there is something at a path. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
