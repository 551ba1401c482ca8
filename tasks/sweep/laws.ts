import { visibleShare } from "../reply.ts";
import { type Sample, scoredPositions, type Task } from "../task.ts";

/** What of a model and a cell its laws depend on; tokens. */
export interface LawOptions {
  /** How much was to be remembered. */
  readonly load?: number;
  /** How many tokens back the model's attention sees, where every layer of it is limited. */
  readonly window?: number;
  /** How many first tokens such attention keeps in sight. */
  readonly sinks?: number;
  /** How many tokens back something can reach an answer from layer to layer. */
  readonly reach?: number;
  /** The length that the model was trained at. */
  readonly trainLength?: number;
}

/** A level that an accuracy is held against. */
export interface Level {
  /** As the CSV's metric column calls it. */
  readonly metric: "chance" | "guess" | "window_law" | "stacked_law" | "distance_law";
  /** An accuracy. */
  readonly value: number;
}

/**
 * What guessers and perfect models of limited sight score on the samples of a cell: chance; `guess`, of
 * one that knows which answers there are; `window_law` and `stacked_law`, of one that sees what one
 * layer of attention sees, or all in turn; `distance_law`, of one that answers rightly as far back as
 * it was trained, in samples that are longer. A law is left out where the samples do not say what their
 * answers rest on.
 */
export function levelsOf(task: Task, samples: readonly Sample[], options: LawOptions): Level[] {
  const { load, window, sinks, reach, trainLength } = options;
  const chance = task.chance(load);
  const guess = task.guess?.(load);
  const level = (metric: Level["metric"], value: number | undefined): Level[] =>
    value === undefined ? [] : [{ metric, value }];
  const law = (sight: number | undefined, floor = 0, kept = 0): number | undefined =>
    sight === undefined ? undefined : windowLaw(samples, sight, floor, kept);
  return [
    ...level("chance", chance),
    ...level("guess", guess),
    ...level("window_law", law(window, chance, sinks)),
    ...level("stacked_law", reach === window ? undefined : law(reach, chance, sinks)),
    ...(isLonger(samples, trainLength)
      ? level("distance_law", law(trainLength, guess ?? chance))
      : []),
  ];
}

function isLonger(samples: readonly Sample[], trainLength: number = Infinity): boolean {
  return samples.some(({ tokens }) => tokens.length > trainLength);
}

/**
 * The accuracy of a model that answers rightly whatever rests on its last `window` tokens or on its
 * first `sinks`, and guesses the rest; undefined where the samples do not say what their answers rest
 * on. With sinks it is an upper bound: of what an answer rests on, the farthest token alone is known.
 *
 * @param chance The accuracy of its guesses.
 */
export function windowLaw(
  samples: readonly Sample[],
  window: number,
  chance: number,
  sinks: number = 0,
): number | undefined {
  let [sum, count] = [0, 0];
  for (const sample of samples) {
    const { reply, evidence, tokens, restsOnAll = false } = sample;
    if (reply !== undefined) {
      if (reply.evidence === undefined) return undefined;
      const share = visibleShare(reply, tokens.length, window, sinks);
      sum += share + (1 - share) * chance;
      count++;
      continue;
    }
    if (evidence === undefined) return undefined;
    for (const t of scoredPositions(sample)) {
      const seen = t - evidence[t] < window || (evidence[t] < sinks && !restsOnAll);
      sum += seen ? 1 : chance;
      count++;
    }
  }
  return count === 0 ? undefined : sum / count;
}
