/** Step-by-step definitions in float64; arrays are row-major. */

/** Rotary position embedding of `x`, `[places, heads, dim]`, at the position of each place. */
export function rotaryReference(
  { x, frequencies, positions }: Record<"x" | "frequencies" | "positions", ArrayLike<number>>,
  { heads, dim, interleaved, inverse }: {
    heads: number;
    dim: number;
    interleaved?: boolean;
    inverse?: boolean;
  },
): Float64Array {
  const output = Float64Array.from(x);
  const pairs = frequencies.length;
  for (let row = 0; row < positions.length * heads; row++) {
    const position = positions[Math.floor(row / heads)];
    for (let i = 0; i < pairs; i++) {
      const angle = position * frequencies[i] * (inverse ? -1 : 1);
      const first = row * dim + (interleaved ? 2 * i : i);
      const second = interleaved ? first + 1 : first + pairs;
      output[first] = x[first] * Math.cos(angle) - x[second] * Math.sin(angle);
      output[second] = x[first] * Math.sin(angle) + x[second] * Math.cos(angle);
    }
  }
  return output;
}

/** The row of a position in a cache of so many rows: a ring behind its sinks, once it is full. */
export function cacheRowReference(position: number, rows: number, sinks: number): number {
  let row = 0;
  for (let next = 0; next < position; next++) row = row + 1 === rows ? sinks : row + 1;
  return row;
}
