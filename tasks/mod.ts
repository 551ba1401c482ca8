/**
 * What is asked: tasks at any length, scoring, sweeps over lengths, and their report.
 *
 * A {@linkcode Task} is a question that is a pure function of its coordinates, a {@linkcode Subject}
 * a model that answers, a {@linkcode SweepConfiguration} a grid of cells as plain data.
 *
 * ```ts
 * import { mqar } from "@lengthwise/lengthwise/tasks";
 *
 * const task = mqar({ vocabulary: 64, pairs: 4 });
 * const sample = task.sample({ length: 64, seed: 0, index: 0, split: "test" });
 * console.log(sample.tokens.length, task.chance(), task.shortestLength());
 * ```
 *
 * @module
 */
export * from "./task.ts";
export * from "./registry.ts";
export { type Reply, scoreReply } from "./reply.ts";
export { chatTemplate, type ChatTemplateOptions, loadChatTemplate } from "./templates.ts";
export * from "./wording.ts";
export { compression, type CompressionOptions } from "./generators/compression.ts";
export { contextGain, type ContextGainOptions } from "./generators/context_gain.ts";
export {
  copying,
  type CopyingOptions,
  ngramLookup,
  type NgramLookupOptions,
} from "./generators/copying.ts";
export { forgettingCurve } from "./generators/forgetting_curve.ts";
export {
  fuzzyInContextRecall,
  type FuzzyInContextRecallOptions,
} from "./generators/fuzzy_in_context_recall.ts";
export {
  inContextRecall,
  type InContextRecallOptions,
  noisyInContextRecall,
  type NoisyInContextRecallOptions,
} from "./generators/in_context_recall.ts";
export { induction, type InductionOptions } from "./generators/induction.ts";
export type { LayoutOptions } from "./generators/layout.ts";
export { memorization, type MemorizationOptions } from "./generators/memorization.ts";
export { mqar, type MqarOptions } from "./generators/mqar.ts";
export { niah, type NiahOptions } from "./generators/niah.ts";
export type { Haystack } from "./generators/haystack.ts";
export { passkey, type PasskeyOptions } from "./generators/passkey.ts";
export { phoneBook, type PhoneBookOptions } from "./generators/phone_book.ts";
export {
  EFFECTIVE,
  HAYSTACK_KINDS,
  type HaystackKind,
  NEEDLE_KINDS,
  type NeedleKind,
  RULER_TASKS,
  type RulerName,
} from "./generators/ruler/names.ts";
export { RULER_NAMES, type RulerOptions } from "./generators/ruler/tasks.ts";
export { selectiveCopying, type SelectiveCopyingOptions } from "./generators/selective_copying.ts";
export {
  parity,
  s5,
  type S5Options,
  type StateTrackingOptions,
} from "./generators/state_tracking.ts";
export { text } from "./generators/text.ts";
export type { TextOptions } from "./generators/text_source.ts";
export type { TokenRange } from "./random.ts";
export * from "./statistics.ts";
export * from "./subject.ts";
export {
  type AskedModel,
  type ModelDescription,
  type ModelEntry,
  type ModelOrigin,
  type ModelSettings,
} from "./subjects/description.ts";
export type { KnownCheckpoint } from "./subjects/known.ts";
export { ModelSubject } from "./subjects/model_subject.ts";
export type { PublishedOptions } from "./subjects/published.ts";
export { resolveModel } from "./subjects/resolve.ts";
export { ModelSource, type ModelSourceOptions } from "./subjects/source.ts";
export {
  type Length,
  parseLength,
  type SweepConfiguration,
  type SweepPoint,
  type TaskGrid,
  tokensOf,
} from "./sweep/configuration.ts";
export { SWEEPS } from "./experiments/mod.ts";
export type { RecallChoice } from "./report/recall.ts";
export type { ModelTraits, Run } from "./report/runs.ts";
export type { Progress } from "./sweep/plan.ts";
export type { SampleDigest, SampleFault } from "./report/samples.ts";
export { readSamples } from "./sweep/sample_log.ts";
export type { SampleRecord } from "./sweep/samples.ts";
export {
  PICTURE_FILES,
  type PictureFile,
  type ReportFiles,
  type ReportOptions,
  writeReport,
} from "./report/write.ts";
export {
  type Cell,
  describeCell,
  enumerateCells,
  type ModelCells,
  type OnLeftOut,
} from "./sweep/cells.ts";
export { type CellEstimate, estimateSweep, type SweepEstimate } from "./sweep/estimate.ts";
export {
  type Contradiction,
  type ForeignJournal,
  type MergeResult,
  mergeSweep,
} from "./sweep/merge.ts";
export { readSweep } from "./sweep/sweep_file.ts";
export { type TrainedModel, trainedModels, type Training } from "./sweep/trainings.ts";
export { bestRates, variantRows } from "./sweep/variants.ts";
export {
  findRecipe,
  type Recipe,
  RECIPES,
  type RecipeTask,
  type TrainingPoint,
} from "./training/recipe.ts";
export { readRecipe } from "./training/recipe_file.ts";
export { DivergedError } from "./training/checkpoint.ts";
export { train, type TrainingProgress, type TrainOptions } from "./training/train.ts";
export { COLUMNS, formatRows, parseRows, type Row } from "./sweep/rows.ts";
export { type LawOptions, type Level, levelsOf, windowLaw } from "./sweep/laws.ts";
export { type Score, score, type ScoreOptions } from "./sweep/score.ts";
export {
  type FailedCell,
  runSweep,
  type SweepOptions,
  type SweepProgress,
  type SweepResult,
} from "./sweep/run.ts";
export { parseShard, type Shard, shardFolder, takeShard } from "./sweep/shards.ts";
export { readTuning } from "./tuning/file.ts";
