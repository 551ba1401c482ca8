/** Bytes that are read by their place: a file, which is never read whole. */
export interface ByteSource extends Disposable {
  /** The file's path, for errors. */
  readonly name: string;
  /** How many bytes there are. */
  readonly size: number;
  /** Reads bytes. @throws {RangeError} past the end. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** Opens a file to read it by place. @throws {Deno.errors.NotFound} where there is none. */
export async function openFile(path: string): Promise<ByteSource> {
  const file = await Deno.open(path);
  try {
    return new FileSource(path, file, (await file.stat()).size);
  } catch (error) {
    file.close();
    throw error;
  }
}

class FileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #file: Deno.FsFile;
  /** The reads under way: a file has one position, so that they go one after the other. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(name: string, file: Deno.FsFile, size: number) {
    this.name = name;
    this.#file = file;
    this.size = size;
  }

  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const read = this.#queue.then(() => this.#read(offset, length));
    this.#queue = read.catch(() => {});
    return read;
  }

  async #read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    await this.#file.seek(offset, Deno.SeekMode.Start);
    for (let filled = 0; filled < length;) {
      const count = await this.#file.read(bytes.subarray(filled));
      if (count === null) {
        throw new RangeError(
          `Cannot read bytes ${offset} to ${offset + length} of ${this.name} as it ends at byte ${
            offset + filled
          }`,
        );
      }
      filled += count;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
