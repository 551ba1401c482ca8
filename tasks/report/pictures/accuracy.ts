import { aboutTask } from "../../about.ts";
import { EFFECTIVE } from "../../generators/ruler/names.ts";
import type { Row } from "../../sweep/rows.ts";
import { type Curve, curvesOf, groupBy, levelsOf, panels, poolTrainings } from "../curves.ts";
import { describeDifferences } from "../differences.ts";
import {
  type ChangeEffect,
  describeEffects,
  describeFailures,
  type Learning,
} from "../learning.ts";
import type { TaskMean } from "../mean.ts";
import type { Results } from "../runs.ts";
import type { Look } from "../theme.ts";
import { linePicture } from "./lines.ts";
import { type Picture, slug } from "./picture.ts";

/** The means over two tasks or more, against length. */
export function meanPictures(
  { models, rows }: Results,
  means: readonly TaskMean[],
  look: ReadonlyMap<string, Look>,
): Picture[] {
  return means.filter(({ tasks }) => tasks.length > 1).map((mean) => {
    const { name, title, curves, laws, chance } = mean;
    const shown = new Set(curves.map(({ model }) => model));
    return linePicture({
      name: `mean-${name}`,
      section: "mean",
      title: `Mean accuracy over ${title}`,
      notes: describeDifferences(rows.filter(({ model }) => shown.has(model))),
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

/** How the accuracies of tasks are drawn. */
export interface AccuracyOptions {
  /** The models' looks. */
  readonly look: ReadonlyMap<string, Look>;
  /** Who learned a task and who did not. */
  readonly learning: readonly Learning[];
  /** What changes after the training did. */
  readonly effects: readonly ChangeEffect[];
  /** Whether it is said in what the models differ, where no mean says so. */
  readonly differences: boolean;
}

/** The accuracy in each task, against length, of those who learned it. */
export function accuracyPictures(
  { models, rows }: Results,
  { look, learning, effects, differences }: AccuracyOptions,
): Picture[] {
  return panels(rows, "accuracy").map((panel) => {
    const { title, task } = panel;
    const ofTask = learning.filter((one) => one.task === title);
    const about = aboutTask(task);
    return linePicture({
      name: `accuracy-${slug(title)}`,
      section: "accuracy",
      title,
      task,
      notes: [
        ...(about === undefined ? [] : [about]),
        ...describeFailures(ofTask),
        ...describeEffects(effects.filter((effect) => effect.task === title)),
        ...(differences ? describeDifferences(panel.rows) : []),
      ],
      curves: curvesOf(panel.rows, "accuracy"),
      laws: curvesOf(panel.rows, "window_law"),
      stacked: curvesOf(panel.rows, "stacked_law"),
      distanceLaws: distanceLaws(panel.rows),
      learning: ofTask,
      models,
      look,
      chances: levelsOf(panel.rows, "chance"),
      guesses: levelsOf(panel.rows, "guess"),
      y: { label: "accuracy", domain: [0, 1] },
    });
  });
}

/** What is scored by answering rightly as far back as was trained, once for each training length. */
function distanceLaws(rows: readonly Row[]): Curve["points"][] {
  const laws = rows.filter(({ metric }) => metric === "distance_law");
  return [...groupBy(laws, ({ train_length }) => train_length!)].map(([trained, ofLength]) => [
    { length: trained, value: 1, low: NaN, high: NaN, samples: 0 },
    ...[...groupBy(ofLength, ({ length }) => length)]
      .map(([length, cells]) => ({ length, ...poolTrainings(cells) }))
      .sort((a, b) => a.length - b.length),
  ]);
}
