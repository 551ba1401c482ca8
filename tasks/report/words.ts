import { EFFECTIVE } from "../generators/ruler/names.ts";
import type { Row } from "../sweep/rows.ts";
import { escape, listOf } from "./html.ts";
import { fewTrainings, type Learning } from "./learning.ts";
import type { TaskMean } from "./mean.ts";
import type { ReportModel, Results, RunOrigin } from "./runs.ts";
import { meanTable } from "./tables.ts";
import { type Look, tokens } from "./theme.ts";

/** How many models, at which lengths. */
export function headline({ models, rows }: Results): string {
  if (rows.length === 0) return "No results";
  const count = new Set(models.map(({ name }) => name)).size;
  const lengths = rows.map(({ length }) => length);
  const low = lengths.reduce((least, length) => Math.min(least, length));
  const high = lengths.reduce((most, length) => Math.max(most, length));
  return `${count} ${count === 1 ? "model" : "models"}, ${
    low === high ? tokens(low) : `from ${tokens(low)} to ${tokens(high)}`
  } tokens`;
}

/** More names than this are counted. */
const NAMED = 6;

/** Of each run that has not all that was planned, what is missing. */
export function incompleteLines(origins: readonly RunOrigin[]): string[] {
  return origins.flatMap(({ name, progress }) => {
    if (progress === undefined || progress.missing.length + progress.begun === 0) return [];
    const { done, total, missing, begun } = progress;
    const told = missing.slice(0, NAMED);
    const more = missing.length - told.length;
    const absent = missing.length === 0
      ? "Every model has some at each of its tasks and lengths"
      : `Missing: ${told.join("; ")}${more > 0 ? `; and parts of ${more} more models` : ""}`;
    const fewer = begun === 0
      ? ""
      : ` ${begun} ${begun === 1 ? "length has" : "lengths have"} fewer samples than planned.`;
    return [
      `${
        origins.length === 1 ? "This sweep" : name
      } is incomplete: ${done} of ${total} cells have a result. ${absent}.${fewer}`,
    ];
  });
}

/** What the results are too few for. */
export function warnings(results: Results, learning: readonly Learning[]): string {
  if (results.rows.length === 0) return "";
  const { few, bimodal } = fewTrainings(results, learning);
  const seeds = new Set(results.rows.map(({ seed }) => seed)).size;
  const who = few.length === results.models.length
    ? "Each model here is"
    : `${few.length > NAMED ? `${few.length} of the models` : listOf(few)} ${
      few.length === 1 ? "is" : "are"
    }`;
  const sentences = [
    ...(few.length === 0 ? [] : [
      `${who} of one or two trainings: a difference between two of them is one between trainings, not yet one between architectures. A claim about an architecture takes three trainings or more.`,
    ]),
    ...(bimodal.length === 0 ? [] : [
      `Of ${
        listOf(bimodal)
      } some trainings learned and some did not: where learning is all or nothing, take five trainings or more.`,
    ]),
    ...(seeds >= 3 ? [] : [
      `Only ${seeds} ${
        seeds === 1 ? "seed" : "seeds"
      } of samples: take three or more before you call a difference a finding.`,
    ]),
  ];
  return sentences.map((sentence) => `<p class="note">${escape(sentence)}</p>`).join("");
}

/** Each mean as a table, with what is in it and what is not. */
export function meansText(
  means: readonly TaskMean[],
  models: readonly ReportModel[],
  look: ReadonlyMap<string, Look>,
): string {
  if (means.length === 0) return "";
  const modelOf = new Map(models.map((model) => [model.model, model]));
  return means.map((mean) => {
    const { title, tasks, tasksLeftOut, curves } = mean;
    const inIt = curves.map(({ model }) => modelOf.get(model)!);
    // That another run of a model in it asked for something else goes without saying.
    const leftOut = mean.leftOut.filter((model) =>
      !inIt.some(({ name, run }) =>
        name === modelOf.get(model)!.name && run !== modelOf.get(model)!.run
      )
    );
    const of = tasks.length === 1
      ? `Accuracy on ${escape(title)}.`
      : `Mean accuracy over ${escape(title)}, each counting the same${
        tasks.length > NAMED ? "" : `: ${escape(listOf(tasks))}`
      }.`;
    const others = tasksLeftOut.length === 0
      ? ""
      : ` Not every model here was asked ${escape(listOf(tasksLeftOut))}, or learned ${
        tasksLeftOut.length === 1 ? "it" : "them"
      }: what is not shared is not in the mean.`;
    const it = tasks.length === 1 ? "it" : "them";
    const missing = leftOut.length === 0
      ? ""
      : ` ${escape(listOf(leftOut))} ${
        leftOut.length === 1 ? "was" : "were"
      } not asked all of ${it}, or did not learn ${it}, and ${
        leftOut.length === 1 ? "has" : "have"
      } no comparable mean.`;
    return `<p>${of}${others}${missing}</p>${meanTable(mean, look)}`;
  }).join("\n") + muted(
    `The effective length is RULER’s: the longest length with at least ${EFFECTIVE} (printed bold)${
      means.some(({ name }) => name === "ruler") ? "" : ", a bar that was set for RULER’s 13 tasks"
    }. “Unbroken up to” is the longest that has it together with all shorter lengths that were asked, “certain at” the longest whose whole interval has it. “≥” says that no longer one was asked.`,
  );
}

/** How the page's intervals and lines are to be read. */
export function readingText(rows: readonly Row[]): string {
  const trained = rows.some((row) =>
    row.training_seeds !== undefined || row.train_seed !== undefined
  );
  return `<p>Shaded bands, bars and brackets are 95% intervals. Those of accuracies are Wilson’s, over as many independent answers as the samples amount to: answers within one sample go together and count for less. A point pools all seeds and depths of its length; in a mean over tasks, the tasks’ intervals add in squares. ${
    trained
      ? "Of several trainings, each is a thin line (dashed where it did not learn), and the interval is of their mean, for any distribution from 0 to 1 (Gaffke’s): three that agree do not rule out a fourth that fails. Of one training, it speaks of the test samples alone."
      : "The intervals speak of the test samples, not of training again: another seed of the same training can give another model."
  }</p>
<p>A training has learned a task where its accuracy at the training length is nearer to 1 than to chance. A model most of whose trainings did not has no curve: what it scores at other lengths says nothing.</p>
<p>Chance is what a guesser scores who knows the format and not the sequence. A vertical dotted line is the training length: what lies right of it was never seen in training. It has a model’s colour where that model alone was trained at it.</p>`;
}

/** An explanation, in grey. */
export function muted(text: string): string {
  return `<p class="muted">${text}</p>`;
}
