import { EFFECTIVE } from "../../generators/ruler/names.ts";
import { curvesOf, panels } from "../curves.ts";
import { chancesOf, type TaskMean } from "../mean.ts";
import type { Results } from "../runs.ts";
import type { Look } from "../theme.ts";
import { linePicture } from "./lines.ts";
import { type Picture, slug } from "./picture.ts";

/** The means over two tasks or more, against length. */
export function meanPictures(
  { models }: Results,
  means: readonly TaskMean[],
  look: ReadonlyMap<string, Look>,
): Picture[] {
  return means.filter(({ tasks }) => tasks.length > 1).map((mean) => {
    const { name, title, curves, laws, chance } = mean;
    return linePicture({
      name: `mean-${name}`,
      section: "mean",
      title: `Mean accuracy over ${title}`,
      curves,
      laws,
      models,
      look,
      chances: chance === undefined ? [] : [chance],
      bar: { value: EFFECTIVE, text: String(EFFECTIVE) },
      y: { label: "mean accuracy", domain: [0, 1] },
    });
  });
}

/** The accuracy in each task, against length. */
export function accuracyPictures(
  { models, rows }: Results,
  look: ReadonlyMap<string, Look>,
): Picture[] {
  return panels(rows, "accuracy").map((panel) =>
    linePicture({
      name: `accuracy-${slug(panel.title)}`,
      section: "accuracy",
      title: panel.title,
      curves: curvesOf(panel.rows, "accuracy"),
      laws: curvesOf(panel.rows, "window_law"),
      models,
      look,
      chances: chancesOf(panel),
      y: { label: "accuracy", domain: [0, 1] },
    })
  );
}
