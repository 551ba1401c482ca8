const BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/**
 * The shapes in a safetensors file by the letter of the format's description, or what is wrong with
 * it: a second opinion, which shares nothing with the loader.
 */
export function strictSafetensors(bytes: Uint8Array): Map<string, number[]> | string {
  if (bytes.length < 8) return "it is shorter than its header's length";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(bytes.length - 8)) return "its header ends past the file";
  const end = 8 + Number(length);
  let header: unknown;
  try {
    header = JSON.parse(
      new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(8, end)),
    );
  } catch (error) {
    return `its header is not JSON: ${(error as Error).message}`;
  }
  if (bytes[8] !== 0x7b) return "its header does not begin with a brace";
  const { __metadata__: metadata, ...entries } = header as Record<string, unknown>;
  if (metadata !== undefined && metadata !== null) {
    const texts = typeof metadata === "object" && !Array.isArray(metadata) &&
      Object.values(metadata).every((value) => typeof value === "string");
    if (!texts) return "its metadata is not of texts";
  }
  const shapes = new Map<string, number[]>();
  const parts: [number, number][] = [];
  for (const [name, entry] of Object.entries(entries)) {
    const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
    const whole = (list: unknown): list is number[] =>
      Array.isArray(list) && list.every((item) => Number.isSafeInteger(item) && item >= 0);
    if (!whole(shape) || !whole(offsets) || offsets.length !== 2) return `${name} has no place`;
    if (typeof dtype !== "string" || !Object.hasOwn(BYTES, dtype)) return `${name} is of ${dtype}`;
    const size = shape.reduce((product, extent) => product * extent, BYTES[dtype]);
    if (offsets[1] - offsets[0] !== size) return `${name} takes ${size} bytes, not ${offsets}`;
    shapes.set(name, shape);
    parts.push([offsets[0], offsets[1]]);
  }
  parts.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let at = 0;
  for (const [from, to] of parts) {
    if (from !== at) return `there is a hole or an overlap at byte ${at} of its data`;
    at = to;
  }
  return at === bytes.length - end ? shapes : `${bytes.length - end - at} bytes are of no tensor`;
}
