import { aboutTask } from "../../about.ts";
import { curvesOf, panels } from "../curves.ts";
import type { Results } from "../runs.ts";
import type { Look } from "../theme.ts";
import { linePicture } from "./lines.ts";
import { type Picture, slug } from "./picture.ts";
import { perplexityScale, spanOf } from "./scales.ts";

/** What is shown of the tasks that ask for memory without a prompt. */
const SHOWN = [
  {
    metric: "forgetting_curve",
    title: "copying less language modelling, against length",
    label: "accuracy of copying less that of predicting",
    scale: "difference",
  },
  {
    metric: "context_gain",
    title: "gain of a long context, against length",
    label: "gain, nats a token",
    scale: "difference",
  },
  {
    metric: "long_perplexity",
    title: "perplexity on key tokens, against length",
    label: "perplexity on key tokens",
    scale: "perplexity",
  },
] as const;

/** The forgetting curve, what a long context adds, and the perplexity on key tokens. */
export function memoryPictures(
  { models, rows }: Results,
  look: ReadonlyMap<string, Look>,
): Picture[] {
  return SHOWN.flatMap(({ metric, title: what, label, scale }) =>
    panels(rows, metric).map(({ title, task, rows }) => {
      const curves = curvesOf(rows, metric);
      const about = aboutTask(task);
      return linePicture({
        name: slug(task === metric.replace("_", "-") ? title : `${title} ${metric}`),
        section: "memory",
        title: `${title}: ${what}`,
        task,
        notes: about === undefined ? [] : [about],
        look,
        models,
        curves,
        laws: metric === "forgetting_curve" ? curvesOf(rows, "window_law") : [],
        y: {
          label,
          ...(scale === "perplexity" ? perplexityScale(curves) : { domain: spanOf(curves) }),
        },
        format: (value) => value.toFixed(metric === "forgetting_curve" ? 2 : 3),
      });
    })
  );
}
