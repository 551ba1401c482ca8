import * as Plot from "@observablehq/plot";
import { compareWithPublished, type Comparison } from "../published.ts";
import type { Results } from "../runs.ts";
import { type Look, tokens } from "../theme.ts";
import { drawChart } from "./chart.ts";
import { dots } from "./marks.ts";
import type { Picture } from "./picture.ts";

/** Our figures against those that were published, with both intervals: on the line they are equal. */
export function publishedPictures(
  results: Results,
  look: ReadonlyMap<string, Look>,
): Picture[] {
  const compared = compareWithPublished(results).filter(({ figure }) => figure.to === undefined);
  if (compared.length < 2) return [];
  const byModel = [...Map.groupBy(compared, ({ model }) => model)];
  const title = "Our accuracy against what was published";
  const interval = ({ model }: Comparison): { stroke: string; className: string } => ({
    stroke: look.get(model)!.colour,
    className: look.get(model)!.key,
  });
  const drawing = drawChart({
    look,
    title,
    legend: byModel.map(([model]) => ({ model })),
    marks: [
      Plot.line([[0, 0], [1, 1]], {
        stroke: "var(--muted)",
        strokeDasharray: "4,4",
        ariaDescription: "equal",
      }),
      ...compared.flatMap((one) => [
        Plot.ruleX([one.ours], {
          x: () => one.theirs.value,
          y1: "low",
          y2: "high",
          strokeOpacity: 0.6,
          ariaDescription: "interval",
          ...interval(one),
        }),
        Plot.ruleY([one.theirs], {
          y: () => one.ours.value,
          x1: "low",
          x2: "high",
          strokeOpacity: 0.6,
          ariaDescription: "interval",
          ...interval(one),
        }),
      ]),
      ...byModel.map(([model, ofModel]) =>
        dots(
          ofModel.map(({ theirs, ours }) => ({ x: theirs.value, y: ours.value })),
          look.get(model)!,
        )
      ),
    ],
    x: { label: "published accuracy", domain: [0, 1] },
    y: { label: "accuracy here", domain: [0, 1] },
    values: compared.map(({ figure, model, theirs, ours }) => ({
      model,
      x: theirs.value,
      y: ours.value,
      text: `${ours.value.toFixed(2)} (${figure.title}, ${tokens(figure.length)} tokens)`,
    })),
    place: (x) => `published ${x.toFixed(2)}`,
  });
  return [{ ...drawing, name: "published", section: "published", title }];
}
