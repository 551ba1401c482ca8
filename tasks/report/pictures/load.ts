import { aboutTask } from "../../about.ts";
import type { Row } from "../../sweep/rows.ts";
import { type Curve, groupBy, levelsOf, poolTrainings } from "../curves.ts";
import type { Results } from "../runs.ts";
import { type Look, tokens } from "../theme.ts";
import { linePicture } from "./lines.ts";
import { distinct, type Picture, slug } from "./picture.ts";

/** Fewer loads than this are compared by their own pictures. */
const FEWEST = 3;

/** Accuracy by how much was to be remembered, in tasks that were asked with several loads at a length. */
export function loadPictures({ rows }: Results, look: ReadonlyMap<string, Look>): Picture[] {
  const loaded = rows.filter(({ metric, load }) => metric === "accuracy" && load !== undefined);
  return [...groupBy(loaded, ({ task, length }) => JSON.stringify([task, length])).values()]
    .filter((cells) => distinct(cells.map(({ load }) => load!)).length >= FEWEST)
    .map((cells) => {
      const [{ task, length }] = cells;
      const about = aboutTask(task);
      return linePicture({
        name: `load-${slug(`${task}-${length}`)}`,
        section: "accuracy",
        title: `${task} at ${tokens(length)} tokens, by load`,
        task,
        notes: about === undefined ? [] : [about],
        curves: loadCurves(cells),
        // No training length on an axis of loads.
        models: [],
        look,
        chances: levelsOf(rows.filter((row) => row.task === task), "chance"),
        x: "load",
        y: { label: "accuracy", domain: [0, 1] },
      });
    });
}

function loadCurves(cells: readonly Row[]): Curve[] {
  return [...groupBy(cells, ({ model }) => model)].map(([model, ofModel]) => ({
    model,
    points: [...groupBy(ofModel, ({ load }) => load!)]
      .map(([load, ofLoad]) => ({ ...poolTrainings(ofLoad), length: load }))
      .sort((a, b) => a.length - b.length),
  }));
}
