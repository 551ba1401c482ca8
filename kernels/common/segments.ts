/**
 * Whether bounds of sequences packed in a batch of 1 begin at 0, end at `time` and never fall, as
 * `[0, 1, 100, 257]`; a sequence may be empty.
 */
export function isSegmentation(segments: readonly number[], time: number): boolean {
  const rises = segments.every((bound, i) =>
    Number.isInteger(bound) && bound >= (i === 0 ? 0 : segments[i - 1])
  );
  return rises && segments[0] === 0 && segments.at(-1) === time;
}
