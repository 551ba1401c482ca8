/** Step-by-step definitions; arrays are row-major. */

/** A quantized matrix in plain arrays. */
export interface QuantizedReference {
  /** `[rows, columns]`. */
  readonly integers: Int8Array;
  /** The largest absolute value of each group, rounded to 16 bits: `[rows, groups]`. */
  readonly largest: Float64Array;
  /** What the integers and scales stand for: `[rows, columns]`. */
  readonly values: Float64Array;
}

/**
 * In each group of so many neighbours in a row, `integer = round(x · most / largest)`, where `most` is 127
 * for 8 bits and 7 for 4, in 32-bit floats; what it stands for is `integer · largest / most`.
 */
export function quantizeReference(
  x: ArrayLike<number>,
  { columns, bits, group }: {
    readonly columns: number;
    readonly bits: number;
    readonly group: number;
  },
): QuantizedReference {
  const rows = x.length / columns;
  const groups = Math.ceil(columns / group);
  const most = 2 ** (bits - 1) - 1;
  const integers = new Int8Array(x.length);
  const largest = new Float64Array(rows * groups);
  const values = new Float64Array(x.length);
  for (let row = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++) {
      const first = row * columns + g * group;
      const last = Math.min(first + group, (row + 1) * columns);
      let exact = 0;
      for (let i = first; i < last; i++) exact = Math.max(exact, Math.abs(x[i]));
      const scale = new Float16Array([exact])[0];
      largest[row * groups + g] = scale;
      for (let i = first; i < last; i++) {
        const nearest = scale === 0
          ? 0
          : roundToEven(Math.fround(Math.fround(x[i] * most) / scale));
        integers[i] = Math.min(most, Math.max(-most, nearest));
        values[i] = integers[i] * scale / most;
      }
    }
  }
  return { integers, largest, values };
}

/** The nearest integer; of two that are as near, the even one. */
function roundToEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
