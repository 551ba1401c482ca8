/** The number of letters to add, take away or exchange, to make one text of another (Levenshtein). */
export default function leven(first: string, second: string): number {
  let before = Array.from({ length: second.length + 1 }, (_, i) => i);
  for (let i = 1; i <= first.length; i++) {
    const row = [i];
    for (let j = 1; j <= second.length; j++) {
      const exchanged = before[j - 1] + (first[i - 1] === second[j - 1] ? 0 : 1);
      row.push(Math.min(exchanged, before[j] + 1, row[j - 1] + 1));
    }
    before = row;
  }
  return before[second.length];
}

/** The nearest of some candidates. */
export function closestMatch(
  target: string,
  candidates: readonly string[],
  { maxDistance = Infinity }: { maxDistance?: number } = {},
): string | undefined {
  let best: string | undefined;
  let least = maxDistance + 1;
  for (const candidate of candidates) {
    const distance = leven(target, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}
