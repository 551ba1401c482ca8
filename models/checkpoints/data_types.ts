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

/** Stored elements as 32-bit floats: 16-bit floats are widened, integers and doubles rounded. */
export function toFloats(bytes: Uint8Array<ArrayBuffer>, dtype: StoredDataType): Float32Array {
  const width = STORED_BYTES[dtype];
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const view = <T>(
    array: new (buffer: ArrayBuffer, byteOffset: number, length: number) => T,
  ): T => new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / width);
  switch (dtype) {
    case "F32":
      return view(Float32Array);
    case "BF16":
      return widenBfloat16(view(Uint16Array));
    case "F16":
      return widen(view(Float16Array));
    case "F64":
      return widen(view(Float64Array));
    case "I64":
      return Float32Array.from(view(BigInt64Array), Number);
    case "I32":
      return widen(view(Int32Array));
    case "I16":
      return widen(view(Int16Array));
    case "I8":
      return widen(view(Int8Array));
    default:
      return widen(aligned);
  }
}

/** Stored elements as 16-bit floats; ±infinity where a finite one is past 65,504. */
export function toHalves(bytes: Uint8Array<ArrayBuffer>, dtype: StoredDataType): Float16Array {
  if (dtype === "F16") {
    const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
    return new Float16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
  }
  return new Float16Array(toFloats(bytes, dtype));
}

/** How many elements are finite in `before` and not in `after`. */
export function countOverflows(before: Float32Array, after: Float16Array): number {
  const bits = new Uint16Array(after.buffer, after.byteOffset, after.length);
  let count = 0;
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i] & 0x7fff) === 0x7c00 && Number.isFinite(before[i])) count++;
  }
  return count;
}

// Loops: `from()` with a function, and `set()` from another type, are up to fifty times slower.
function widenBfloat16(stored: Uint16Array): Float32Array {
  const bits = new Uint32Array(stored.length);
  for (let i = 0; i < bits.length; i++) bits[i] = stored[i] << 16;
  return new Float32Array(bits.buffer);
}

function widen(stored: ArrayLike<number>): Float32Array {
  const values = new Float32Array(stored.length);
  for (let i = 0; i < values.length; i++) values[i] = stored[i];
  return values;
}
