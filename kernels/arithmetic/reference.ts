/** Step-by-step definitions in float64; arrays are row-major. */

/** Where the element at `index` of a tensor of `shape` finds its partner in a tensor of `bShape`. */
export function broadcastIndexReference(
  index: number,
  shape: readonly number[],
  bShape: readonly number[],
): number {
  let bIndex = 0;
  let bStride = 1;
  for (let axis = 1; axis <= shape.length; axis++) {
    const extent = shape[shape.length - axis];
    const bExtent = bShape[bShape.length - axis] ?? 1;
    bIndex += (bExtent === 1 ? 0 : index % extent) * bStride;
    bStride *= bExtent;
    index = Math.floor(index / extent);
  }
  return bIndex;
}

/** `a + b` or `a * b`, where `b` repeats along `a` by numpy's rules. */
export function combineReference(
  op: "add" | "multiply",
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  shape: readonly number[],
  bShape: readonly number[],
): Float64Array {
  return Float64Array.from({ length: a.length }, (_, i) => {
    const other = b[broadcastIndexReference(i, shape, bShape)];
    return op === "add" ? a[i] + other : a[i] * other;
  });
}

/** `addend + x * factor`, where both repeat along `x` by numpy's rules. */
export function multiplyAddReference(
  { x, factor, addend }: Readonly<Record<"x" | "factor" | "addend", ArrayLike<number>>>,
  shape: readonly number[],
  factorShape: readonly number[],
  addendShape: readonly number[],
): Float64Array {
  return Float64Array.from({ length: x.length }, (_, i) => {
    const added = addend[broadcastIndexReference(i, shape, addendShape)];
    return added + x[i] * factor[broadcastIndexReference(i, shape, factorShape)];
  });
}

/** The sum of `x` over the places where a tensor of `bShape` repeats along it. */
export function sumToReference(
  x: ArrayLike<number>,
  shape: readonly number[],
  bShape: readonly number[],
): Float64Array {
  const sum = new Float64Array(bShape.reduce((count, extent) => count * extent, 1));
  for (let i = 0; i < x.length; i++) sum[broadcastIndexReference(i, shape, bShape)] += x[i];
  return sum;
}
