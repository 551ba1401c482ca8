/** Bytes that are read by their place: a file, which is never read whole. */
export interface ByteSource extends Disposable {
  /** The file's path, for errors. */
  readonly name: string;
  /** How many bytes there are. */
  readonly size: number;
  /** Fills `into` with the bytes from `offset` on. @throws {RangeError} past the end. */
  read(offset: number, into: Uint8Array): Promise<void>;
}

/** Opens a file to read it by place. @throws {Deno.errors.NotFound} if there is none. */
export async function openFile(path: string): Promise<ByteSource> {
  const file = await Deno.open(path);
  try {
    return new FileSource(path, file, (await file.stat()).size);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Some bytes of a source. @throws {RangeError} past the end. */
export async function readBytes(
  source: ByteSource,
  offset: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  await source.read(offset, bytes);
  return bytes;
}

/** Bytes that are in memory, or behind a blob, read by their place. */
export function sourceOf(name: string, content: Uint8Array<ArrayBuffer> | Blob): ByteSource {
  const size = content instanceof Blob ? content.size : content.byteLength;
  const source: ByteSource = {
    name,
    size,
    async read(offset, into): Promise<void> {
      const end = offset + into.byteLength;
      if (end > size) {
        throw new RangeError(
          `Cannot read bytes ${offset} to ${end} of ${name} as it ends at byte ${size}`,
        );
      }
      into.set(
        content instanceof Blob
          ? new Uint8Array(await content.slice(offset, end).arrayBuffer())
          : content.subarray(offset, end),
      );
    },
    [Symbol.dispose]: () => {},
  };
  return source;
}

class FileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #file: Deno.FsFile;

  constructor(name: string, file: Deno.FsFile, size: number) {
    this.name = name;
    this.#file = file;
    this.size = size;
  }

  // deno-lint-ignore require-await -- a rejection, where a file has one position for all who read
  async read(offset: number, into: Uint8Array): Promise<void> {
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let filled = 0; filled < into.length;) {
      const count = this.#file.readSync(into.subarray(filled));
      if (count === null) {
        throw new RangeError(
          `Cannot read bytes ${offset} to ${
            offset + into.length
          } of ${this.name} as it ends at byte ${offset + filled}`,
        );
      }
      filled += count;
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
