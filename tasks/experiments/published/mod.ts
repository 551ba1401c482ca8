/**
 * Figures that were published, to be set beside one's own.
 *
 * @module
 */
import * as v from "valibot";
import { RULER_TASKS } from "../../generators/ruler/names.ts";
import { check, listOf, NUMBER, SIZE, TEXT } from "../../../models/schema.ts";
import huang2025 from "./huang_2025.json" with { type: "json" };

/** A published figure: an accuracy of one model. */
export interface PublishedFigure {
  /** The table that it stands in. */
  readonly table: string;
  /** The model, as the last part of its name on the hub. */
  readonly model: string;
  /** Tokens in a sample. */
  readonly length: number;
  /** Where the needle is; left out, anywhere, or the mean over depths. */
  readonly depth?: number;
  /** The tasks that it is the mean of. */
  readonly tasks: readonly string[];
  /** What it is of, in words. */
  readonly title: string;
  /** The accuracy; where only a range is known, its lower end. */
  readonly value: number;
  /** The range's upper end. */
  readonly to?: number;
  /** How many answers it is of. */
  readonly samples: number;
  /** What is to be known of it. */
  readonly note?: string;
}

/** Figures with where they were published. */
export interface PublishedTables {
  /** The publication. */
  readonly source: string;
  /** The figures. */
  readonly figures: readonly PublishedFigure[];
}

const PERCENT = v.pipe(NUMBER, v.minValue(0, "at least 0"), v.maxValue(100, "at most 100"));
/** A table as its file has it: a row per model, a column per length, and a table per depth. */
const TABLES = v.strictObject({
  source: TEXT,
  tables: listOf(
    v.strictObject({
      table: TEXT,
      tasks: listOf(TEXT),
      samples: SIZE,
      note: v.optional(TEXT),
      depth: v.optional(NUMBER),
      lengths: listOf(SIZE),
      percent: v.record(
        v.string("a name"),
        listOf(v.nullable(v.union([PERCENT, v.tuple([PERCENT, PERCENT])]))),
      ),
    }, "a table"),
  ),
}, "an object");

/** Reads tables of figures. @throws {Error} where the data has another form. */
export function readTables(data: unknown, source: string): PublishedTables {
  const { source: published, tables } = check(TABLES, data, source);
  return {
    source: published,
    figures: tables.flatMap(({ table, tasks, samples, note, depth, lengths, percent }) =>
      Object.entries(percent).flatMap(([model, values]) =>
        values.flatMap((value, i): PublishedFigure[] => {
          if (value === null) return [];
          const [low, high] = [value].flat().map((percent) => percent / 100);
          return [{
            table,
            model,
            length: lengths[i],
            ...(depth === undefined ? {} : { depth }),
            tasks: tasks.flatMap((task) => task === "ruler" ? RULER_TASKS : [task]),
            title: tasks.map((task) => task === "ruler" ? "RULER’s 13 tasks" : task).join(", "),
            value: low,
            ...(high === undefined ? {} : { to: high }),
            samples,
            ...(note === undefined ? {} : { note }),
          }];
        })
      )
    ),
  };
}

/** The tables of the paper that `paper-length`, `paper-depth` and `paper-format` reproduce. */
export const HUANG_2025: PublishedTables = readTables(huang2025, "huang_2025.json");
