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
      widenBfloat16(new Uint16Array(buffer, byteOffset, elements), floats);
      break;
    case "F16":
      convert(new Float16Array(buffer, byteOffset, elements), floats);
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

// Loops: `from()` with a function, and `set()` from another type, are up to fifty times slower.
function widenBfloat16(stored: Uint16Array, floats: Float32Array): void {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  for (let i = 0; i < bits.length; i++) bits[i] = stored[i] << 16;
}

function convert(from: ArrayLike<number>, to: Float32Array): void {
  for (let i = 0; i < from.length; i++) to[i] = from[i];
}
