/** How a checkpoint stores a tensor's elements, by safetensors' names. */
export type StoredDataType =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U8"
  | "BOOL";

/** Bytes that an element of each stored data type takes. */
export const STORED_BYTES: Readonly<Record<StoredDataType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Whether a name is that of a data type that can be read. */
export function isStoredDataType(name: string): name is StoredDataType {
  return Object.hasOwn(STORED_BYTES, name);
}

/**
 * Stored elements as 32-bit floats: 16-bit floats are widened, integers and doubles rounded. Those
 * that are 32-bit floats already are not copied.
 *
 * @param into Where the floats go; left out, to an array of its own.
 */
export function toFloats(
  bytes: Uint8Array<ArrayBuffer>,
  dtype: StoredDataType,
  into?: Float32Array<ArrayBuffer>,
): Float32Array<ArrayBuffer> {
  const width = STORED_BYTES[dtype];
  const elements = bytes.byteLength / width;
  const { buffer, byteOffset } = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  if (dtype === "F32") return new Float32Array(buffer, byteOffset, elements);
  const floats = into?.subarray(0, elements) ?? new Float32Array(elements);
  switch (dtype) {
    case "BF16":
      widen(new Uint16Array(buffer, byteOffset, elements), floats, bfloat16Pairs);
      break;
    case "F16":
      widen(new Uint16Array(buffer, byteOffset, elements), floats, halfPairs);
      break;
    case "F64":
      convert(new Float64Array(buffer, byteOffset, elements), floats);
      break;
    case "I64":
      new BigInt64Array(buffer, byteOffset, elements).forEach((value, i) =>
        floats[i] = Number(value)
      );
      break;
    case "I32":
      convert(new Int32Array(buffer, byteOffset, elements), floats);
      break;
    case "I16":
      convert(new Int16Array(buffer, byteOffset, elements), floats);
      break;
    case "I8":
      convert(new Int8Array(buffer, byteOffset, elements), floats);
      break;
    default:
      convert(new Uint8Array(buffer, byteOffset, elements), floats);
  }
  return floats;
}

/** From words of two 16-bit floats to the bits of twice as many 32-bit ones. */
type Pairs = (words: Uint32Array, bits: Uint32Array) => void;

/** Widens 16-bit floats, two at a time; an odd one is one of a word that is filled up. */
function widen(stored: Uint16Array<ArrayBuffer>, floats: Float32Array, pairs: Pairs): void {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  const even = stored.length - stored.length % 2;
  const { buffer, byteOffset } = stored.byteOffset % 4 === 0 ? stored : stored.slice();
  pairs(new Uint32Array(buffer, byteOffset, even / 2), bits);
  if (even === stored.length) return;
  const last = new Uint32Array(2);
  pairs(Uint32Array.of(stored[even]), last);
  bits[even] = last[0];
}

// Loops: `from()` with a function, and `set()` from another type, are up to fifty times slower; a word at
// a time they are twice as fast as element by element.
function bfloat16Pairs(words: Uint32Array, bits: Uint32Array): void {
  for (let i = 0, j = 0; i < words.length; i++, j += 2) {
    bits[j] = words[i] << 16;
    bits[j + 1] = words[i] & 0xffff0000;
  }
}

/** The bits of each 16-bit float as a 32-bit one, once they are asked for: twice as fast as V8's own. */
let halves: Uint32Array | undefined;

function halfPairs(words: Uint32Array, bits: Uint32Array): void {
  if (halves === undefined) {
    const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);
    halves = new Uint32Array(Float32Array.from(new Float16Array(all.buffer)).buffer);
  }
  const table = halves;
  for (let i = 0, j = 0; i < words.length; i++, j += 2) {
    bits[j] = table[words[i] & 0xffff];
    bits[j + 1] = table[words[i] >>> 16];
  }
}

function convert(from: ArrayLike<number>, to: Float32Array): void {
  for (let i = 0; i < from.length; i++) to[i] = from[i];
}
