import { BYTES_PER_ELEMENT, type DataType, type Elements } from "./tensor.ts";

/** Not a number as an f32, and in both halves as an f16. */
export const NAN_BITS = 0x7fc07fc0;

/** Elements as the GPU has them, in whole words of 4 bytes; without a copy where they are so already. */
export function packElements(data: ArrayLike<number>, dtype: DataType): Uint8Array<ArrayBuffer> {
  if (isPacked(data, dtype) && data.byteLength % 4 === 0) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  const bytes = new Uint8Array(Math.ceil(data.length * BYTES_PER_ELEMENT[dtype] / 4) * 4);
  const view = dtype === "u32"
    ? new Uint32Array(bytes.buffer)
    : dtype === "f32"
    ? new Float32Array(bytes.buffer)
    : new Float16Array(bytes.buffer);
  view.set(data);
  return bytes;
}

/** Whether elements lie in memory as the GPU wants them. */
function isPacked(
  data: ArrayLike<number>,
  dtype: DataType,
): data is (Float32Array | Float16Array | Uint32Array) & { buffer: ArrayBuffer } {
  const array = { f32: Float32Array, f16: Float16Array, u32: Uint32Array }[dtype];
  return data instanceof array && data.buffer instanceof ArrayBuffer;
}

/** Elements that were read back; f16 as f32. */
export function unpackElements<Type extends DataType>(
  bytes: ArrayBuffer,
  dtype: Type,
): Elements<Type> {
  const elements = dtype === "u32"
    ? new Uint32Array(bytes)
    : dtype === "f32"
    ? new Float32Array(bytes)
    : Float32Array.from(new Float16Array(bytes));
  return elements as Elements<Type>;
}
