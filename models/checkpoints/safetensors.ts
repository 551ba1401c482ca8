/** An array of a safetensors file, before it goes to the GPU. */
export interface StoredTensor {
  /** Row-major extents. */
  readonly shape: readonly number[];
  /** The elements; 16-bit floats are widened, integers converted. */
  readonly data: Float32Array;
}

/** What a safetensors file holds: its arrays by name, and its free text. */
export interface StoredTensors {
  /** The arrays by name. */
  readonly tensors: Map<string, StoredTensor>;
  /** The file's own notes. */
  readonly metadata: Readonly<Record<string, string>>;
}

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

const BYTES: Readonly<Record<string, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4 };
const HEADER_LIMIT = 100 * 2 ** 20;

/**
 * Reads the bytes of a safetensors file.
 *
 * @param source The file's name, for errors.
 * @throws {Error} where the bytes are truncated or no safetensors file.
 */
export function readSafetensors(bytes: Uint8Array, source: string): StoredTensors {
  const fail = (reason: string): never => {
    throw new Error(`Cannot read ${source} as safetensors: ${reason}`);
  };
  if (bytes.byteLength < 8) fail(`it has ${bytes.byteLength} bytes, less than its header's length`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = Number(view.getBigUint64(0, true));
  if (headerBytes > HEADER_LIMIT) fail("it does not begin with a header's length: another format?");
  if (8 + headerBytes > bytes.byteLength) {
    fail(
      `its header ends at byte ${8 + headerBytes} and the file at ${bytes.byteLength}: truncated`,
    );
  }
  const start = 8 + headerBytes;
  const header = parseHeader(bytes.subarray(8, start), fail);
  const { __metadata__: metadata = {}, ...entries } = header;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(entries) as [string, HeaderEntry][]) {
    const [from, to] = entry.data_offsets;
    const width = BYTES[entry.dtype] ?? fail(`${name} has the data type ${entry.dtype}`);
    const count = entry.shape.reduce((product, extent) => product * extent, 1);
    if (to - from !== count * width) {
      fail(`${name} of shape [${entry.shape}] takes ${count * width} bytes, not ${to - from}`);
    }
    if (start + to > bytes.byteLength) {
      fail(`${name} ends at byte ${start + to} and the file at ${bytes.byteLength}: truncated`);
    }
    const data = bytes.slice(start + from, start + to).buffer;
    tensors.set(name, { shape: entry.shape, data: widen(data, entry.dtype) });
  }
  return { tensors, metadata: metadata as Record<string, string> };
}

/** The bytes of a safetensors file of f32 arrays. */
export function writeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = JSON.stringify(header);
  const encoded = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const bytes = new Uint8Array(8 + encoded.byteLength + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(encoded.byteLength), true);
  bytes.set(encoded, 8);
  let position = 8 + encoded.byteLength;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    position += data.byteLength;
  }
  return bytes;
}

function parseHeader(
  bytes: Uint8Array,
  fail: (reason: string) => never,
): Record<string, HeaderEntry | Record<string, string>> {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    return fail(`its header is no JSON (${(error as Error).message})`);
  }
}

function widen(data: ArrayBuffer, dtype: string): Float32Array {
  switch (dtype) {
    case "F32":
      return new Float32Array(data);
    case "F64":
      return Float32Array.from(new Float64Array(data));
    case "F16":
      return Float32Array.from(new Float16Array(data));
    case "BF16":
      return new Float32Array(Uint32Array.from(new Uint16Array(data), (bits) => bits << 16).buffer);
    case "I32":
      return Float32Array.from(new Int32Array(data));
    default:
      return Float32Array.from(new BigInt64Array(data), Number);
  }
}
