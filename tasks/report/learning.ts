import { curvesOf, type Panel, panels, type Point, type TrainingValue } from "./curves.ts";
import { isTrainedLength } from "../sweep/rows.ts";
import type { ReportModel, Results } from "./runs.ts";
import { tokens, withInterval } from "./theme.ts";

/** Whether the trainings of a model learned a task at the length that they were trained at. */
export interface Learning {
  /** The model's label. */
  readonly model: string;
  /** The task as the report titles it. */
  readonly task: string;
  /** The length that it is judged at: the longest that was asked up to the training length. */
  readonly length: number;
  /** What it scores there. */
  readonly point: Point;
  /** The trainings that learned, and those that did not. */
  readonly learned: readonly TrainingValue[];
  /** The trainings that did not. */
  readonly failed: readonly TrainingValue[];
  /** What a guesser scores. */
  readonly chance: number;
}

/**
 * Who of the models that were trained here learned a task: a training has where its accuracy at the
 * training length is nearer to 1 than to chance. A model that was not asked so short is not judged.
 */
export function learningOf({ title, rows }: Panel): Learning[] {
  const trained = rows.filter((row) => row.train_seed !== undefined && isTrainedLength(row));
  return curvesOf(trained, "accuracy").map(({ model, points }): Learning => {
    const point = points.at(-1)!;
    const [{ train_seed = 0 }] = trained.filter((row) => row.model === model);
    const all = point.trainings ?? [{ seed: train_seed, value: point.value }];
    const levels = trained.filter((row) => row.model === model && row.metric === "chance");
    const chance = levels[0]?.value ?? 0;
    const has = ({ value }: TrainingValue): boolean => value >= (1 + chance) / 2;
    return {
      model,
      task: title,
      length: point.length,
      point,
      learned: all.filter(has),
      failed: all.filter((training) => !has(training)),
      chance,
    };
  });
}

/** Whether a model's accuracy at other lengths says anything: most of its trainings learned the task. */
export function hasLearned({ learned, failed }: Learning): boolean {
  return learned.length > failed.length;
}

/** What is to be said of trainings that did not learn, a sentence a model. */
export function describeFailures(learning: readonly Learning[]): string[] {
  return learning.filter(({ failed }) => failed.length > 0).map((one) => {
    const { model, learned, failed, length, point, chance } = one;
    const count = learned.length + failed.length;
    const scored = `${withInterval(point)} at ${tokens(length)} tokens, where chance is ${
      chance.toFixed(2)
    }`;
    const claim = hasLearned(one)
      ? "it is in the mean all the same"
      : "so that nothing is said of other lengths";
    if (count === 1) return `${model} did not learn it (${scored}), ${claim}.`;
    return learned.length === 0
      ? `None of ${count} trainings of ${model} learned it (${scored}), ${claim}.`
      : `${failed.length} of ${count} trainings of ${model} did not learn it (mean ${scored}), ${claim}.`;
  });
}

/** Trainings that a claim about an architecture takes; where learning is all or nothing. */
export const TRAININGS = { fewest: 3, fewestOfBimodal: 5 } as const;

/** Who has too few trainings for a claim, and why. */
export interface FewTrainings {
  /** Models of fewer than three. */
  readonly few: readonly string[];
  /** Models some of whose trainings learned and some did not, of fewer than five. */
  readonly bimodal: readonly string[];
}

/** The models of a report whose trainings are too few to speak of their architectures. */
export function fewTrainings({ models }: Results, learning: readonly Learning[]): FewTrainings {
  const few = models.filter(({ trainSeeds }) => trainSeeds.length < TRAININGS.fewest)
    .map(({ model }) => model);
  const mixed = new Set(
    learning.filter(({ learned, failed }) => learned.length > 0 && failed.length > 0)
      .map(({ model }) => model),
  );
  const bimodal = models.filter(({ model, trainSeeds }) =>
    mixed.has(model) && trainSeeds.length < TRAININGS.fewestOfBimodal && !few.includes(model)
  ).map(({ model }) => model);
  return { few, bimodal };
}

/** What a change after the training did to a model in a task, at the length that it was trained at. */
export interface ChangeEffect {
  /** The changed model's label. */
  readonly model: string;
  /** The task as the report titles it. */
  readonly task: string;
  /** What was changed. */
  readonly changes: readonly string[];
  /** The length that it is told for: the longest that was asked up to the training length. */
  readonly length: number;
  /** What it scores there. */
  readonly point: Point;
  /** The model that has the same weights, unchanged, where it was asked the task at that length. */
  readonly unchanged?: Learning;
}

function effectsOf(
  { title, rows }: Panel,
  learning: readonly Learning[],
  models: readonly ReportModel[],
): ChangeEffect[] {
  const curves = curvesOf(rows.filter(isTrainedLength), "accuracy");
  return models.flatMap(({ model, traits }) => {
    const point = curves.find((curve) => curve.model === model)?.points.at(-1);
    if (traits === undefined || traits.changes.length === 0 || point === undefined) return [];
    const unchanged = learning.find((one) =>
      one.model === traits.unchanged && one.length === point.length
    );
    const { length } = point;
    const told = { model, task: title, changes: traits.changes, length, point };
    return [{ ...told, ...(unchanged === undefined ? {} : { unchanged }) }];
  });
}

/** What changes did, a sentence a model: its weights learned the task or did not, whatever it scores. */
export function describeEffects(effects: readonly ChangeEffect[]): string[] {
  return effects.map(({ model, changes, length, point, unchanged }) => {
    const scores = `${withInterval(point)} at ${tokens(length)} tokens`;
    if (unchanged === undefined) {
      return `${model} scores ${scores}, with ${
        changes.join(" and ")
      } added after its training: the unchanged model was not asked the same here, so that whether its weights learned the task is not judged.`;
    }
    const before = withInterval(unchanged.point);
    return hasLearned(unchanged)
      ? `${model} has the weights of ${unchanged.model}, which learned it: at the training length, ${
        changes.join(" and ")
      } takes it from ${before} to ${scores}.`
      : `${model} has the weights of ${unchanged.model}, which did not learn it, so that nothing is said of the change.`;
  });
}

/** Results with what may be claimed from them. */
export interface Evidence {
  /** Who learned what: a model that was changed after its training is not judged by what it scores. */
  readonly learning: readonly Learning[];
  /** What changes did. */
  readonly effects: readonly ChangeEffect[];
  /**
   * The results without the tasks of models that did not learn them: what such a model scores at other
   * lengths says nothing. What it costs stays.
   */
  readonly claimed: Results;
}

/**
 * Judges what results are evidence of. Where a task was asked with some load at longer lengths alone,
 * who learned it with no other load has not learned it. A model that was changed after its training is
 * judged by the unchanged one: its weights have learned what that has.
 */
export function weigh(results: Results): Evidence {
  const all = panels(results.rows, "accuracy");
  const weightsOf = new Map(
    results.models.filter(({ traits }) => traits !== undefined && traits.changes.length > 0)
      .map(({ model, traits }) => [model, traits!.unchanged]),
  );
  const judged = all.map((panel) => {
    const learning = learningOf(panel).filter(({ model }) => !weightsOf.has(model));
    return { panel, learning, effects: effectsOf(panel, learning, results.models) };
  });
  const without = ({ task, title }: Panel): Set<string> => {
    const own = judged.find(({ panel }) => panel.title === title)!.learning;
    const known = new Set(own.map(({ model }) => model));
    const others = judged.filter(({ panel }) => panel.task === task)
      .flatMap(({ learning }) => learning).filter(({ model }) => !known.has(model));
    const learned = new Set(others.filter(hasLearned).map(({ model }) => model));
    return new Set(
      [...own.filter((one) => !hasLearned(one)), ...others]
        .map(({ model }) => model).filter((model) => !learned.has(model)),
    );
  };
  const dropped = new Set(all.flatMap((panel) => {
    const models = without(panel);
    return panel.rows.filter(({ model }) => models.has(weightsOf.get(model) ?? model));
  }));
  return {
    learning: judged.flatMap(({ learning }) => learning),
    effects: judged.flatMap(({ effects }) => effects),
    claimed: { ...results, rows: results.rows.filter((row) => !dropped.has(row)) },
  };
}
