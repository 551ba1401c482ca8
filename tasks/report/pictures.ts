import { weigh } from "./learning.ts";
import { taskMeans } from "./mean.ts";
import { chooseMemory, chooseRecall, type RecallChoice } from "./recall.ts";
import type { Results } from "./runs.ts";
import { looks } from "./theme.ts";
import { accuracyPictures, meanPictures } from "./pictures/accuracy.ts";
import { costPictures } from "./pictures/cost.ts";
import { depthPictures } from "./pictures/depth.ts";
import { distancePictures } from "./pictures/distance.ts";
import { formatPictures } from "./pictures/formats.ts";
import { matchedPictures } from "./pictures/matched.ts";
import { memoryPictures } from "./pictures/memory.ts";
import { loadPictures } from "./pictures/load.ts";
import { perplexityPictures } from "./pictures/perplexity.ts";
import type { Picture } from "./pictures/picture.ts";
import { publishedPictures } from "./pictures/published.ts";
import { meanStatePicture, memoryStatePicture, recallPicture } from "./pictures/state.ts";

export { type Picture, standAlone } from "./pictures/picture.ts";

/**
 * All pictures that results give.
 *
 * @throws {RangeError} where recall is to be compared at what is not there.
 */
export function makePictures(results: Results, choice: RecallChoice = {}): Picture[] {
  const look = looks(results.models);
  const { learning, effects, claimed } = weigh(results);
  const means = taskMeans(claimed.rows);
  const recall = chooseRecall(claimed.rows, choice);
  const memory = chooseMemory(claimed.rows);
  const ofMeans = meanPictures(claimed, means, look);
  return named([
    ...ofMeans,
    ...publishedPictures(results, look),
    ...(recall === undefined ? [] : [recallPicture(recall, look)]),
    ...(memory === undefined ? [] : [memoryStatePicture(memory, look)]),
    ...means.filter(({ tasks }) => tasks.length > 1).slice(0, 1)
      .flatMap((mean) => meanStatePicture(results, mean, look)),
    ...accuracyPictures(claimed, {
      look,
      learning,
      effects,
      differences: ofMeans.length === 0,
    }),
    ...loadPictures(results, look),
    ...distancePictures(claimed, look),
    ...formatPictures(claimed),
    ...depthPictures(claimed),
    ...matchedPictures(claimed, look),
    ...memoryPictures(results, look),
    ...perplexityPictures(results, look),
    ...costPictures(results, look),
  ]);
}

/** The pictures, a number behind the names of those that would have an earlier one's. */
function named(pictures: readonly Picture[]): Picture[] {
  const names = new Set<string>();
  return pictures.map((picture) => {
    let { name } = picture;
    for (let i = 2; names.has(name); i++) name = `${picture.name}-${i}`;
    names.add(name);
    return { ...picture, name };
  });
}
