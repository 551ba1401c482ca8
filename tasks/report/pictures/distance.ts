import { aboutTask } from "../../about.ts";
import type { Row } from "../../sweep/rows.ts";
import { type Curve, groupBy, levelsOf, panels, poolTrainings } from "../curves.ts";
import type { Results } from "../runs.ts";
import type { Look } from "../theme.ts";
import { linePicture } from "./lines.ts";
import { type Picture, slug } from "./picture.ts";

/** Tasks whose answers rest on everything before them: their distance is their position. */
const BY_POSITION = ["parity", "s5"];

/** Accuracy by how far back the answer stood, at the longest length, of tasks that ask several per sample. */
export function distancePictures(
  { models, rows }: Results,
  look: ReadonlyMap<string, Look>,
): Picture[] {
  return panels(rows, "accuracy_at_distance").map(({ title, task, rows }) => {
    const byPosition = BY_POSITION.includes(task);
    const about = aboutTask(task);
    return linePicture({
      name: `distance-${slug(title)}`,
      section: "distance",
      title: `${title}, at the longest length, by ${
        byPosition ? "position" : "how far back the answer stood"
      }`,
      task,
      notes: about === undefined ? [] : [about],
      curves: distanceCurves(rows),
      models,
      look,
      chances: levelsOf(rows, "chance"),
      guesses: levelsOf(rows, "guess"),
      x: byPosition ? "position" : "tokens back",
      y: { label: "accuracy", domain: [0, 1] },
    });
  });
}

/** By distance at each model's longest length; a band stands at its geometric middle. */
function distanceCurves(rows: readonly Row[]): Curve[] {
  const bands = rows.filter(({ metric }) => metric === "accuracy_at_distance");
  return [...groupBy(bands, ({ model }) => model)].map(([model, ofModel]) => {
    const longest = ofModel.map(({ length }) => length).reduce((a, b) => Math.max(a, b));
    const atLongest = ofModel.filter(({ length }) => length === longest);
    return {
      model,
      points: [...groupBy(atLongest, ({ distance }) => distance!)].map(([distance, cells]) => {
        const [low, high] = distance.split("-").map(Number);
        return { ...poolTrainings(cells), length: Math.sqrt((low + 1) * (high + 1)) };
      }).sort((a, b) => a.length - b.length),
    };
  });
}
