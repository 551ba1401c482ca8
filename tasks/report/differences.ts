import { isTrainedLength, type Row } from "../sweep/rows.ts";
import { groupBy } from "./curves.ts";
import { listOf } from "./html.ts";
import { bytes, tokens } from "./theme.ts";

/** Parameters may differ by so much in models that are compared. */
const ALIKE = 1.05;

/** A property that models which are compared should share. */
interface Property {
  readonly name: string;
  readonly of: (rows: readonly Row[]) => number | undefined;
  readonly format: (value: number) => string;
  /** The ratio up to which they are alike. */
  readonly alike: number;
}

const PROPERTIES: readonly Property[] = [
  {
    name: "parameters",
    of: ([{ parameters }]) => parameters,
    format: (value) => value.toLocaleString("en"),
    alike: ALIKE,
  },
  {
    name: "tokens of training",
    of: (rows) => meanOf(rows, "train_tokens"),
    format: short,
    alike: 1.001,
  },
  { name: "learning rates", of: (rows) => meanOf(rows, "learning_rate"), format: short, alike: 1 },
  { name: "training lengths", of: ([row]) => row.train_length, format: tokens, alike: 1 },
  {
    name: "bytes of state at the training length",
    of: (rows) => {
      const states = rows.filter(isTrainedLength).map(({ state_bytes }) => state_bytes);
      return states.length === 0 ? undefined : states.reduce((a, b) => Math.max(a, b));
    },
    format: bytes,
    alike: ALIKE,
  },
];

/**
 * In what the models of a report differ besides what they are compared for, a phrase a property:
 * "parameters from 22,264 (mamba2) to 112,848 (griffin)". What is known of none or one is left out.
 */
export function differencesOf(rows: readonly Row[]): string[] {
  const byModel = [...groupBy(rows, ({ model }) => model)];
  return PROPERTIES.flatMap(({ name, of, format, alike }) => {
    const known = byModel.flatMap(([model, ofModel]) => {
      const value = of(ofModel);
      return value === undefined ? [] : [{ model, value }];
    }).sort((a, b) => a.value - b.value);
    if (known.length < 2) return [];
    const [least, most] = [known[0], known.at(-1)!];
    if (most.value <= least.value * alike) return [];
    const told = ({ model, value }: typeof least): string => `${format(value)} (${model})`;
    return [`${name} from ${told(least)} to ${told(most)}`];
  });
}

/** The differences as a sentence, or none. */
export function describeDifferences(rows: readonly Row[]): string[] {
  const differences = differencesOf(rows);
  return differences.length === 0 ? [] : [`The models differ in ${listOf(differences)}.`];
}

/** The mean over a model's trainings, one of which may have stopped earlier. */
function meanOf(
  rows: readonly Row[],
  column: "train_tokens" | "learning_rate",
): number | undefined {
  const values = [...groupBy(rows, ({ train_seed }) => train_seed).values()]
    .flatMap(([row]) => row[column] ?? []);
  return values.length === 0
    ? undefined
    : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Three digits: 14.1M, 205K, 0.003. */
function short(value: number): string {
  const units = [[1e9, "B"], [1e6, "M"], [1e3, "K"]] as const;
  const unit = units.find(([size]) => value >= size);
  return unit === undefined
    ? String(Number(value.toPrecision(3)))
    : `${Number((value / unit[0]).toPrecision(3))}${unit[1]}`;
}
