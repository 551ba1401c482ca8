import { clusteredProportion, type Estimate } from "../statistics.ts";
import type { Sample } from "../task.ts";

/** The accuracy of the answers that stood within a band of distances. */
export interface DistanceScore extends Estimate {
  /** From and to, in tokens: `16-31`. */
  readonly distance: string;
  /** How many samples ask for such an answer. */
  readonly samples: number;
}

/**
 * Accuracy by how many tokens back an answer stood, of samples that ask several questions each: a mean
 * over them mixes the near ones in. Where an answer rests on everything before it, as a state does,
 * that is its position. None where the samples ask one question each, or do not say what the answers
 * rest on.
 *
 * @param positions Where each sample asks.
 * @param correct 1 for each right answer.
 */
export function scoreByDistance(
  samples: readonly Sample[],
  positions: readonly (readonly number[])[],
  correct: readonly Uint8Array[],
): DistanceScore[] {
  if (positions.every(({ length }) => length < 2)) return [];
  const bands = new Map<number, { right: number[]; asked: number[] }>();
  for (const [i, { evidence }] of samples.entries()) {
    if (evidence === undefined) return [];
    const ofSample = new Map<number, { right: number; asked: number }>();
    positions[i].forEach((t, question) => {
      const low = bandOf(t - evidence[t]);
      const band = ofSample.get(low) ?? { right: 0, asked: 0 };
      ofSample.set(low, { right: band.right + correct[i][question], asked: band.asked + 1 });
    });
    for (const [low, { right, asked }] of ofSample) {
      const band = bands.get(low) ?? { right: [], asked: [] };
      band.right.push(right);
      band.asked.push(asked);
      bands.set(low, band);
    }
  }
  return [...bands].sort(([a], [b]) => a - b).map(([low, { right, asked }]) => ({
    distance: `${low}-${2 * Math.max(low, NEAREST / 2) - 1}`,
    samples: right.length,
    ...clusteredProportion(right, asked),
  }));
}

/** The nearest band is 0 to 15; each other is twice as wide as the one before. */
const NEAREST = 16;

/** Where the band of a distance begins. */
function bandOf(distance: number): number {
  return distance < NEAREST ? 0 : 2 ** Math.floor(Math.log2(distance));
}
