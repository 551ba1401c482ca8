import * as Plot from "@observablehq/plot";
import { groupBy } from "../curves.ts";
import { depthLabels } from "../depth.ts";
import { type FormatField, formatFields } from "../formats.ts";
import type { Results } from "../runs.ts";
import { tokens } from "../theme.ts";
import { fieldTitle, HEAT, inkOn } from "./heat.ts";
import { distinct, type Picture, render, slug, WIDTH } from "./picture.ts";

const MARGIN_LEFT = 168;
const MARGIN_RIGHT = 12;
const ROW = 22;

/** A grid for each model that was asked for needles of several formats (Huang 2024, table 4). */
export function formatPictures({ rows }: Results): Picture[] {
  return [...groupBy(rows, ({ model }) => model)].flatMap(([model, ofModel]) =>
    [...groupBy(ofModel, ({ load }) => load)].flatMap(([load, ofLoad], _, loads) => {
      const fields = formatFields(ofLoad);
      const caption = loads.length > 1 && load !== undefined ? `${model}, load ${load}` : model;
      return fields.length === 0 ? [] : [{ ...formatGrid(caption, fields), model }];
    })
  );
}

/** Rows are formats; columns are depths within lengths. */
function formatGrid(model: string, fields: readonly FormatField[]): Picture {
  const lengths = distinct(fields.map(({ length }) => length));
  const depths = depthLabels(fields);
  const formats = [...new Set(fields.map(({ format }) => format))];
  const column = Math.max(28, ...depths.map((label) => 7.2 * label.length + 8));
  const width = Math.max(
    WIDTH,
    Math.ceil(MARGIN_LEFT + MARGIN_RIGHT + lengths.length * (depths.length * column + 10)),
  );
  const title = `${model}: accuracy in % by the needle’s format, length and depth`;
  const svg = render({
    width,
    height: 82 + ROW * formats.length,
    marginTop: 36,
    marginBottom: 46,
    marginLeft: MARGIN_LEFT,
    marginRight: MARGIN_RIGHT,
    fx: {
      domain: lengths,
      tickFormat: (length: number) => `${tokens(length)} tokens`,
      label: null,
      padding: 10 / (depths.length * column + 10),
      tickSize: 0,
    },
    x: {
      type: "band",
      domain: depths,
      padding: 0.05,
      label: depths.length > 1 ? "depth" : null,
      labelAnchor: "center",
      labelArrow: "none",
      tickSize: 0,
    },
    y: { type: "band", domain: formats, padding: 0.06, label: null, tickSize: 0 },
    color: HEAT,
    marks: [
      Plot.cell(fields as FormatField[], {
        fx: "length",
        x: "label",
        y: "format",
        fill: "value",
        title: fieldTitle,
      }),
      Plot.text(fields as FormatField[], {
        fx: "length",
        x: "label",
        y: "format",
        text: ({ value }) => String(Math.round(value * 100)),
        fill: ({ value }) => inkOn(value),
        fontSize: 11,
        pointerEvents: "none",
        ariaDescription: "value",
      }),
    ],
  }, title);
  return {
    name: `formats-${slug(model)}`,
    section: "formats",
    title,
    svg,
    ...(width > WIDTH ? { wide: true } : {}),
  };
}
