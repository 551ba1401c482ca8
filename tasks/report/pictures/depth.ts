import * as Plot from "@observablehq/plot";
import { groupBy, panels } from "../curves.ts";
import { type DepthField, depthFields, depthLabels } from "../depth.ts";
import { formatOf } from "../../generators/ruler/names.ts";
import type { Results } from "../runs.ts";
import { tokens } from "../theme.ts";
import { fieldTitle, HEAT, inkOn } from "./heat.ts";
import { distinct, FONT, type Picture, render, slug, WIDTH } from "./picture.ts";

const MARGIN_LEFT = 92;

/** A map of depth × length for each task with a needle and each model; formats have their grid. */
export function depthPictures({ rows }: Results): Picture[] {
  return panels(rows, "accuracy").filter(({ task }) => formatOf(task) === undefined)
    .flatMap(({ title, rows }) =>
      [...groupBy(rows, ({ model }) => model)].flatMap(([model, ofModel]) => {
        const fields = depthFields(ofModel);
        return fields.length === 0 ? [] : [heatMap({ task: title, model, fields })];
      })
    );
}

function heatMap(
  { task, model, fields }: {
    readonly task: string;
    readonly model: string;
    readonly fields: readonly DepthField[];
  },
): Picture {
  const lengths = distinct(fields.map(({ length }) => length));
  const depths = depthLabels(fields);
  const title = `${task}: ${model}`;
  const svg = render({
    width: WIDTH,
    height: 58 + 28 * depths.length,
    marginTop: 6,
    marginBottom: 46,
    marginLeft: MARGIN_LEFT,
    padding: 0.04,
    x: {
      type: "band",
      domain: lengths,
      tickFormat: tokens,
      label: "length in tokens",
      labelAnchor: "center",
      labelArrow: "none",
      tickSize: 0,
    },
    y: { type: "band", domain: depths, label: "depth", labelArrow: "none", tickSize: 0 },
    color: HEAT,
    marks: [
      Plot.cell(fields as DepthField[], {
        x: "length",
        y: "label",
        fill: "value",
        title: fieldTitle,
      }),
      Plot.text(fields as DepthField[], {
        x: "length",
        y: "label",
        text: ({ value }) => value.toFixed(2),
        fill: ({ value }) => inkOn(value),
        fontSize: Math.min(FONT, (WIDTH - MARGIN_LEFT - 20) / lengths.length / 2.6),
        pointerEvents: "none",
        ariaDescription: "value",
      }),
    ],
  }, `${title}, accuracy by depth and length`);
  return {
    name: `depth-${slug(task)}-${slug(model)}`,
    section: "depth",
    title,
    group: { heading: task, caption: model },
    svg,
  };
}
