import type * as Plot from "@observablehq/plot";
import type { Curve } from "../curves.ts";
import type { Learning } from "../learning.ts";
import type { ReportModel } from "../runs.ts";
import type { Look } from "../theme.ts";
import type { Section } from "./picture.ts";

/** Curves against length. */
export interface LinePicture {
  /** Its file's name. */
  readonly name: string;
  /** What it shows, in a line. */
  readonly title: string;
  /** Where it stands. */
  readonly section: Section;
  /** The task that it is of, where of one. */
  readonly task?: string;
  /** What is to be said of it, a sentence each. */
  readonly notes?: readonly string[];
  /** The models' curves. */
  readonly curves: readonly Curve[];
  /** Dashed curves in the models' colours: what their windows allow. */
  readonly laws?: readonly Curve[];
  /** The same where layers hand on what they see. */
  readonly stacked?: readonly Curve[];
  /** What is scored by answering rightly as far back as was trained: a curve per training length. */
  readonly distanceLaws?: readonly Curve["points"][];
  /** Which trainings learned, where that is known. */
  readonly learning?: readonly Learning[];
  /** The models of the report. */
  readonly models: readonly ReportModel[];
  /** Their looks. */
  readonly look: ReadonlyMap<string, Look>;
  /** What guessers score. */
  readonly chances?: readonly number[];
  /** What those score that know which answers there are. */
  readonly guesses?: readonly number[];
  /** A bar that models are held against, and what it is called. */
  readonly bar?: { readonly value: number; readonly text: string };
  /** What the curves are against, where not the length. */
  readonly x?: string;
  /** The axis of the values. */
  readonly y: Plot.ScaleOptions;
  /** A value in words; two digits behind the point if left out. */
  readonly format?: (value: number) => string;
}
