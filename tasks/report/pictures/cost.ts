import { fitPowerLaw } from "../../statistics.ts";
import { type Cost, costsOf } from "../curves.ts";
import type { Results } from "../runs.ts";
import { bytes, type Look, milliseconds, tokens } from "../theme.ts";
import { drawChart } from "./chart.ts";
import { dots, line } from "./marks.ts";
import { distinct, type Picture, slug } from "./picture.ts";
import { byteTicks, lengthScale, roundTicks } from "./scales.ts";

/** The exponents of costs are fitted over so many of the longest lengths: the short ones are overhead. */
export const FITTED_POINTS = 4;

const COSTS: readonly {
  readonly cost: Cost;
  readonly title: string;
  readonly label: string;
  readonly format: (value: number) => string;
}[] = [
  { cost: "prefill_ms", title: "Time to read a sample", label: "time", format: milliseconds },
  { cost: "step_ms", title: "Time for one more token", label: "time", format: milliseconds },
  { cost: "peak_bytes", title: "Peak GPU memory of one sample", label: "memory", format: bytes },
  { cost: "state_bytes", title: "Size of the state", label: "size", format: bytes },
];

/** Time and memory against length on logarithmic axes, with the exponents in the legend. */
export function costPictures({ rows }: Results, look: ReadonlyMap<string, Look>): Picture[] {
  return COSTS.flatMap(({ cost, title, label, format }) => {
    const curves = costsOf(rows, cost)
      .map(({ model, points }) => ({ model, points: points.filter(({ value }) => value > 0) }))
      .filter(({ points }) => points.length > 0);
    if (curves.length === 0) return [];
    const lengths = distinct(curves.flatMap(({ points }) => points.map(({ length }) => length)));
    const values = curves.flatMap(({ points }) => points.map(({ value }) => value));
    const ticks = cost.endsWith("_bytes")
      ? byteTicks(values)
      : { ...roundTicks(values), tickFormat: format };
    const drawing = drawChart({
      look,
      title,
      legend: curves.map(({ model, points }) => {
        const law = fitPowerLaw(
          points.slice(-FITTED_POINTS).map(({ length, value }) => ({ x: length, y: value })),
        );
        return { model, ...(law === undefined ? {} : { note: `∝ L^${signed(law.exponent)}` }) };
      }),
      marks: curves.flatMap(({ model, points }) => {
        const data = points.map(({ length, value }) => ({ x: length, y: value }));
        return [line(data, look.get(model)!), dots(data, look.get(model)!)];
      }),
      x: lengthScale(lengths),
      y: { type: "log", label, ...ticks },
      values: curves.flatMap(({ model, points }) =>
        points.map(({ length, value }) => ({ model, x: length, y: value, text: format(value) }))
      ),
      place: (length) => `${tokens(length)} tokens`,
    });
    return [{ ...drawing, name: slug(cost), section: "cost" as const, title }];
  });
}

/** Two digits behind the point, with a minus sign only where they are not all 0. */
function signed(value: number): string {
  const text = Math.abs(value).toFixed(2);
  return value < 0 && Number(text) > 0 ? `−${text}` : text;
}
