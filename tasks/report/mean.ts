import { averageEstimates } from "../statistics.ts";
import { EFFECTIVE, formatOf, RULER_TASKS } from "../generators/ruler/names.ts";
import type { Row } from "../sweep/rows.ts";
import {
  type Curve,
  curvesOf,
  groupBy,
  levelsOf,
  overTrainings,
  type Panel,
  panels,
  type Point,
} from "./curves.ts";

/** The mean accuracy over several tasks, each counting the same. */
export interface TaskMean {
  /** `ruler`, `tasks`, `haystacks` or `formats`, for files' names. */
  readonly name: string;
  /** What it is over, in words: "RULER’s 13 tasks". */
  readonly title: string;
  /** The tasks it is over. */
  readonly tasks: readonly string[];
  /** The models that were asked all of them, at the lengths at which they were. */
  readonly curves: readonly Curve[];
  /** The mean of the window laws, of models that have one for each task. */
  readonly laws: readonly Curve[];
  /** The mean of what a guesser scores, where that is known and the same for all models. */
  readonly chance?: number;
  /** The models that were not asked all, and so have no comparable mean. */
  readonly leftOut: readonly string[];
  /** The tasks that were not asked of all these models, and so are not in it. */
  readonly tasksLeftOut: readonly string[];
}

/**
 * The means over tasks: one over RULER's 13 where all are there, one over the small models' haystacks,
 * one over the needle's formats, and one over the rest, each over tasks that every model in it
 * answered. Where all models share two tasks or more, those are it; else as many tasks of as many
 * models as there are.
 */
export function taskMeans(rows: readonly Row[]): TaskMean[] {
  const all = panels(rows, "accuracy");
  const isRuler = ({ task }: Panel): boolean => (RULER_TASKS as readonly string[]).includes(task);
  const isFormat = ({ task }: Panel): boolean => formatOf(task) !== undefined;
  const isHaystack = ({ task }: Panel): boolean => task.startsWith("niah-");
  const ruler = all.filter(isRuler);
  const whole = ruler.length === RULER_TASKS.length &&
    new Set(ruler.map(({ task }) => task)).size === RULER_TASKS.length;
  const formats = all.filter(isFormat);
  const haystacks = all.filter(isHaystack);
  const rest = all.filter((panel) =>
    !isFormat(panel) && !isHaystack(panel) && !(whole && isRuler(panel))
  );
  return [
    ...(whole ? [meanOver("ruler", "RULER’s 13 tasks", ruler, true)] : []),
    ...(rest.length > 0 ? [meanOver("tasks", "tasks", rest)] : []),
    ...(haystacks.length > 1 ? [meanOver("haystacks", "haystacks", haystacks)] : []),
    ...(formats.length > 1 ? [meanOver("formats", "formats of a needle", formats)] : []),
  ].filter(({ curves }) => curves.length > 0);
}

function meanOver(
  name: string,
  noun: string,
  candidates: readonly Panel[],
  whole = false,
): TaskMean {
  const answered = candidates.map(({ rows }) => byModel(curvesOf(rows, "accuracy")));
  const models = [...new Set(answered.flatMap((curves) => [...curves.keys()]))];
  const chosen = whole ? candidates : sharedTasks(candidates, answered, models);
  const complete = models.filter((model) =>
    chosen.every((panel) => answered[candidates.indexOf(panel)].has(model))
  );
  const curvesOver = (metric: string): Curve[] => {
    return complete.flatMap((model) => {
      const points = meanPoints(
        chosen.map(({ rows }) => rows.filter((row) => row.model === model)),
        metric,
      );
      return points.length === 0 ? [] : [{ model, points }];
    });
  };
  const chances = chosen.map(({ rows }) => levelsOf(rows, "chance"));
  return {
    name,
    title: whole ? noun : chosen.length === 1 ? chosen[0].title : `${chosen.length} ${noun}`,
    tasks: chosen.map(({ title }) => title),
    curves: curvesOver("accuracy"),
    laws: curvesOver("window_law"),
    ...(chances.every(({ length }) => length === 1)
      ? { chance: chances.reduce((sum, [chance]) => sum + chance, 0) / chances.length }
      : {}),
    leftOut: models.filter((model) => !complete.includes(model)),
    tasksLeftOut: candidates.filter((panel) => !chosen.includes(panel)).map(({ title }) => title),
  };
}

/** The tasks that all models share, or else those of the model that give the most common ground. */
function sharedTasks(
  candidates: readonly Panel[],
  answered: readonly ReadonlyMap<string, readonly Point[]>[],
  models: readonly string[],
): readonly Panel[] {
  const askedOf = (some: readonly string[]): Panel[] =>
    candidates.filter((_, i) => some.every((model) => answered[i].has(model)));
  const common = askedOf(models);
  if (common.length > 1 || candidates.length === 1) return common;
  const ground = (tasks: readonly Panel[]): number =>
    tasks.length *
    models.filter((model) => tasks.every((panel) => answered[candidates.indexOf(panel)].has(model)))
      .length;
  return models.map((model) => askedOf([model]))
    .reduce((best, tasks) => ground(tasks) > ground(best) ? tasks : best, common);
}

function byModel(curves: readonly Curve[]): Map<string, readonly Point[]> {
  return new Map(curves.map(({ model, points }) => [model, points]));
}

/**
 * One model's mean over tasks. Where the same trainings answered all of them, it is each training's
 * mean first: a training that fails fails in all at once.
 */
function meanPoints(tasks: readonly (readonly Row[])[], metric: string): Point[] {
  const pointsOf = (chosen: readonly (readonly Row[])[]): Point[] =>
    averagePoints(chosen.map((rows) => curvesOf(rows, metric)[0]?.points ?? []));
  const seedsOf = (rows: readonly Row[]): Set<number | undefined> =>
    new Set(rows.map(({ train_seed }) => train_seed));
  const [seeds, ...others] = tasks.map(seedsOf);
  const shared = others.every((other) => other.symmetricDifference(seeds).size === 0);
  if (seeds.size < 2 || !shared) return pointsOf(tasks);
  const ofTrainings = [...seeds].flatMap((seed = -1) =>
    pointsOf(tasks.map((rows) => rows.filter((row) => row.train_seed === seed)))
      .map((point) => ({ seed, ...point }))
  );
  return [...groupBy(ofTrainings, ({ length }) => length)]
    .map(([length, parts]) => ({ length, ...overTrainings(parts, metric) }))
    .sort((a, b) => a.length - b.length);
}

/** The mean at each length at which every task has a point. */
function averagePoints(tasks: readonly (readonly Point[])[]): Point[] {
  return [...groupBy(tasks.flat(), ({ length }) => length)]
    .filter(([, parts]) => parts.length === tasks.length)
    .map(([length, parts]) => ({
      length,
      ...averageEstimates(parts),
      samples: parts.reduce((sum, part) => sum + part.samples, 0),
    }))
    .sort((a, b) => a.length - b.length);
}

/** How far a model's accuracy reaches. */
export interface EffectiveLength {
  /** RULER's: the longest length with at least {@linkcode EFFECTIVE}; undefined where none has it. */
  readonly longest?: number;
  /** The longest length that has it together with all shorter ones that were asked. */
  readonly unbroken?: number;
  /** The longest length whose whole interval has it. */
  readonly certain?: number;
  /** The longest length that was asked. */
  readonly asked: number;
}

/** The effective length of a curve with at least one point. */
export function effectiveLength({ points }: Curve): EffectiveLength {
  const holds = ({ value }: Point): boolean => value >= EFFECTIVE;
  const longest = points.findLast(holds);
  const certain = points.findLast(({ low }) => low >= EFFECTIVE);
  const fails = points.findIndex((point) => !holds(point));
  const unbroken = fails < 0 ? points.at(-1) : points[fails - 1];
  return {
    ...(longest === undefined ? {} : { longest: longest.length }),
    ...(unbroken === undefined ? {} : { unbroken: unbroken.length }),
    ...(certain === undefined ? {} : { certain: certain.length }),
    asked: points.at(-1)!.length,
  };
}
