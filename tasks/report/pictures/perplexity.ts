import { aboutTask } from "../../about.ts";
import type { Row } from "../../sweep/rows.ts";
import { type Curve, curvesOf, groupBy, panels, poolTrainings } from "../curves.ts";
import type { Results } from "../runs.ts";
import type { Look } from "../theme.ts";
import { linePicture } from "./lines.ts";
import { type Picture, slug } from "./picture.ts";
import { perplexityScale } from "./scales.ts";

/** Perplexity against length, and by position at the longest length. */
export function perplexityPictures(
  { models, rows }: Results,
  look: ReadonlyMap<string, Look>,
): Picture[] {
  return panels(rows, "perplexity").flatMap(({ title, task, rows }) => {
    const curves = curvesOf(rows, "perplexity");
    const positions = positionCurves(rows);
    const about = aboutTask(task);
    const shared = {
      section: "perplexity",
      task,
      notes: about === undefined ? [] : [about],
      look,
      models,
      format: (value: number) => value.toPrecision(3),
    } as const;
    return [
      linePicture({
        ...shared,
        name: `perplexity-${slug(title)}`,
        title: `${title}: perplexity against length`,
        curves,
        y: { label: "perplexity", ...perplexityScale(curves) },
      }),
      ...(positions.length === 0 ? [] : [linePicture({
        ...shared,
        name: `perplexity-position-${slug(title)}`,
        title: `${title}: perplexity by position at the longest length`,
        curves: positions,
        x: "position",
        y: { label: "perplexity", ...perplexityScale(positions) },
      })]),
    ];
  });
}

/** Perplexity by position at each model's longest length; a band stands at its geometric middle. */
function positionCurves(rows: readonly Row[]): Curve[] {
  const bands = rows.filter(({ metric }) => metric.startsWith("perplexity@"));
  return [...groupBy(bands, ({ model }) => model)].map(([model, ofModel]) => {
    const longest = Math.max(...ofModel.map(({ length }) => length));
    const atLongest = ofModel.filter(({ length }) => length === longest);
    return {
      model,
      points: [...groupBy(atLongest, ({ metric }) => metric)].map(([metric, cells]) => {
        const [low, high] = metric.slice("perplexity@".length).split("-").map(Number);
        return { ...poolTrainings(cells), length: Math.sqrt((low + 1) * (high + 1)) };
      }).sort((a, b) => a.length - b.length),
    };
  });
}
