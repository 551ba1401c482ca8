import * as Plot from "@observablehq/plot";
import { groupBy, panels } from "../curves.ts";
import { type DepthField, depthFields, depthLabels } from "../depth.ts";
import { formatOf } from "../../generators/ruler/names.ts";
import type { Results } from "../runs.ts";
import { tokens } from "../theme.ts";
import { fieldTitle, HEAT, inkOn } from "./heat.ts";
import { distinct, type Picture, render, slug } from "./picture.ts";

const MARGIN_LEFT = 70;
const MARGIN_RIGHT = 8;
/** Columns as wide as their numbers; a map of few lengths has room for its title. */
const COLUMN = 36;
const FEWEST_COLUMNS = 5;

/** A map of depth × length for each task with a needle and each model; formats have their grid. */
export function depthPictures({ rows }: Results): Picture[] {
  return panels(rows, "accuracy").filter(({ task }) => formatOf(task) === undefined)
    .flatMap(({ title, task, rows }) =>
      [...groupBy(rows, ({ model }) => model)].flatMap(([model, ofModel]) => {
        const fields = depthFields(ofModel);
        return fields.length === 0 ? [] : [{ ...heatMap(title, model, fields), task, model }];
      })
    );
}

function heatMap(task: string, model: string, fields: readonly DepthField[]): Picture {
  const lengths = distinct(fields.map(({ length }) => length));
  const depths = depthLabels(fields);
  const title = `${task}: ${model}`;
  const svg = render({
    width: MARGIN_LEFT + MARGIN_RIGHT + COLUMN * Math.max(FEWEST_COLUMNS, lengths.length),
    height: 58 + 26 * depths.length,
    marginTop: 6,
    marginBottom: 46,
    marginLeft: MARGIN_LEFT,
    marginRight: MARGIN_RIGHT,
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
    y: { type: "band", domain: depths, label: null, tickSize: 0 },
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
        fontSize: 11,
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
