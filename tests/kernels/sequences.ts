import type { Gpu, Tensor } from "../../kernels/gpu/mod.ts";
import { assertClose } from "../testing.ts";

/** A tensor's shape and its elements. */
export type Sequence = readonly [shape: readonly number[], elements: Float32Array];

/** Sequences by name, of which some may be left out. */
type Sequences = Readonly<Record<string, Sequence | undefined>>;

/** The same names, with something else for each sequence. */
type Of<Value, Named extends Sequences> = {
  [Name in keyof Named]: Named[Name] extends Sequence ? Value : Value | undefined;
};

/** The elements of each. */
export function elementsOf<Named extends Sequences>(sequences: Named): Of<Float32Array, Named> {
  return mapped(sequences, ([, elements]) => elements) as Of<Float32Array, Named>;
}

/** Each as a tensor. */
export function tensorsOf<Named extends Sequences>(gpu: Gpu, sequences: Named): Of<Tensor, Named> {
  return mapped(sequences, (sequence) => gpu.tensor(...sequence)) as Of<Tensor, Named>;
}

function mapped<Value>(
  sequences: Sequences,
  map: (sequence: Sequence) => Value,
): Record<string, Value | undefined> {
  return Object.fromEntries(
    Object.entries(sequences).map(([name, sequence]) => [name, sequence && map(sequence)]),
  );
}

/**
 * Fails where an element is not finite, or where the first or the last `ends` elements are not those of
 * the reference: an error that grows along a sequence is largest at one of its ends, and would be lost
 * in the whole. Frees the tensors.
 */
export async function assertEnds(
  gpu: Gpu,
  actual: Readonly<Record<string, Tensor | undefined>>,
  expected: Readonly<Record<string, Float64Array>>,
  { bound, ends = 512 }: { bound: (name: string) => number; ends?: number },
): Promise<void> {
  const given = Object.entries(actual).filter((entry): entry is [string, Tensor] =>
    entry[1] !== undefined
  );
  const values = await gpu.read(given.map(([, tensor]) => tensor));
  given.forEach(([name, tensor], i) => {
    if (!values[i].every(Number.isFinite)) throw new Error(`${name} is not finite everywhere`);
    const want = expected[name];
    assertClose(values[i].subarray(0, ends), want.subarray(0, ends), bound(name), `${name}, first`);
    assertClose(values[i].subarray(-ends), want.subarray(-ends), bound(name), `${name}, last`);
    tensor[Symbol.dispose]();
  });
}

/** Rows scaled to length 1, in place. */
export function unitRows(rows: Float32Array, width: number): Float32Array {
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.subarray(start, start + width);
    const length = Math.hypot(...row);
    row.forEach((x, i) => row[i] = x / length);
  }
  return rows;
}
