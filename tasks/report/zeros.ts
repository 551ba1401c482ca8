import type { Row } from "../sweep/rows.ts";
import { escape, listOf, table } from "./html.ts";
import { panels } from "./curves.ts";
import { hasLearned, type Learning, weigh } from "./learning.ts";
import type { ModelTraits, Results } from "./runs.ts";
import { digestKey, type SampleDigest } from "./samples.ts";
import { tokens, withInterval } from "./theme.ts";

/** A model that answers nothing rightly, in a task and at a length. */
export interface Zero {
  /** The model's label. */
  readonly model: string;
  /** The task's name. */
  readonly task: string;
  /** Tokens in a sample. */
  readonly length: number;
  /** How much was to be remembered, in tasks that have a load. */
  readonly load?: number;
  /** Why, as far as the results tell; each a sentence's part. */
  readonly why: readonly string[];
}

/**
 * Where the accuracy is 0 over all seeds and depths, and why: from the samples where they were logged,
 * otherwise from what the CSV says. A model that computes NaN has no accuracy: its cells have failed.
 */
export function zerosOf(results: Results): Zero[] {
  const { rows, models, samples } = results;
  const modelOf = new Map(models.map((model) => [model.model, model]));
  const { learning } = weigh(results);
  const titleOf = new Map(
    panels(rows, "accuracy").map(({ task, load, title }) => [JSON.stringify([task, load]), title]),
  );
  const key = ({ model, task, length, load }: Row): string =>
    JSON.stringify([model, task, length, load ?? null]);
  const zeros: Zero[] = [];
  for (const group of Map.groupBy(rows, key).values()) {
    const main = group.filter(({ metric }) => metric === "accuracy");
    if (main.length === 0 || main.some(({ value }) => value > 0)) continue;
    const [{ model, task, template, length, load }] = main;
    const { name, run, traits } = modelOf.get(model)!;
    const title = titleOf.get(JSON.stringify([task, load]));
    const weights = traits?.unchanged ?? model;
    const digest = samples.get(run)?.get(
      digestKey({ model: name, task, template, length, load }),
    );
    zeros.push({
      ...{ model, task, length },
      ...(load === undefined ? {} : { load }),
      why: reasonsOf(group, {
        digest,
        traits,
        learning: learning.find((one) => one.model === weights && one.task === title),
      }),
    });
  }
  return zeros;
}

/** What is known of a model's answers besides its rows. */
interface Known {
  readonly digest: SampleDigest | undefined;
  readonly traits: ModelTraits | undefined;
  /** Whether its weights learned the task. */
  readonly learning: Learning | undefined;
}

function reasonsOf(rows: readonly Row[], { digest, traits, learning }: Known): string[] {
  const main = rows.filter(({ metric }) => metric === "accuracy");
  const [{ length, train_length, template }] = main;
  const all = main.reduce((sum, { samples }) => sum + samples, 0);
  const faults = digest?.faults;
  const isEmpty = faults?.empty ??
    main.reduce((sum, { replies_empty = 0 }) => sum + replies_empty, 0);
  const of = (count: number, samples = digest?.samples ?? all): string =>
    count === samples ? `all ${samples}` : `${count} of ${samples}`;
  const chat = template === "base" ? " (of a chat model: try --template chat)" : "";
  const reasons: string[] = [];
  const say = (count: number | undefined, text: (count: number) => string): void => {
    if (count !== undefined && count > 0) reasons.push(text(count));
  };
  say(
    faults?.cut,
    (count) =>
      `${of(count)} prompts do not hold their answer: the template or the tokenizer cuts them`,
  );
  say(isEmpty, (count) => `${of(count)} replies are empty${chat}`);
  say(
    faults?.short,
    (count) =>
      `${of(count)} replies ended too early for an answer, after ${
        digest!.longestShort
      } tokens at most${chat}`,
  );
  say(
    faults?.thought,
    (count) =>
      `${of(count)} replies begin with thoughts, which use up their ${digest!.budget} tokens`,
  );
  say(
    faults?.marked,
    (count) => `${of(count)} replies hold the marks of another template than ${template ?? "base"}`,
  );
  // What stands past a window may still come through a recurrent layer: then it explains nothing.
  const isBlind = traits?.carries !== true;
  say(
    isBlind ? faults?.unreached : 0,
    (count) => `${of(count)} answers stand farther back than the model’s attention reaches`,
  );
  if (faults === undefined && isBlind) {
    const law = rows.find(({ metric }) => metric === "stacked_law") ??
      rows.find(({ metric }) => metric === "window_law");
    const chance = rows.find(({ metric }) => metric === "chance")?.value ?? 0;
    if (law !== undefined && law.value <= chance) {
      reasons.push("the answers stand farther back than the model’s attention reaches");
    }
  }
  if (learning !== undefined && !hasLearned(learning)) {
    reasons.push(
      `it did not learn the task: ${withInterval(learning.point)} at ${
        tokens(learning.length)
      } tokens, within its training length`,
    );
  }
  if (reasons.length > 0) return reasons;
  if (train_length !== undefined && length > train_length) {
    const times = Number((length / train_length).toPrecision(2));
    return [`it is ${times} times as long as it was trained at`];
  }
  return [
    digest === undefined
      ? "nothing tells: --resume --log-samples shows the replies"
      : "the replies are as long as they may be, and wrong",
  ];
}

/** Zeros that are alike: of one model, for the same reasons. */
interface ZeroGroup {
  readonly model: string;
  readonly tasks: readonly string[];
  readonly lengths: readonly number[];
  /** Of the longest. */
  readonly why: readonly string[];
}

/** Zeros that differ in their length alone, or in their task alone, are one. */
function groupZeros(zeros: readonly Zero[]): ZeroGroup[] {
  const reason = ({ why }: Pick<Zero, "why">): string =>
    why.map((text) => text.replace(/[\d.,]+[KM]?/g, "#")).join();
  const lines = [
    ...Map.groupBy(
      zeros,
      (zero) => JSON.stringify([zero.model, zero.task, zero.load, reason(zero)]),
    ).values(),
  ].map((group) => {
    const [{ model, task, load }] = group;
    const title = load === undefined ? task : `${task}, load ${load}`;
    return { model, title, lengths: group.map(({ length }) => length), why: group.at(-1)!.why };
  });
  return [
    ...Map.groupBy(lines, (line) => JSON.stringify([line.model, line.lengths, reason(line)]))
      .values(),
  ].map((group) => ({ ...group[0], tasks: group.map(({ title }) => title) }));
}

/** Where the accuracy is 0, and why. */
export function zeroTable(zeros: readonly Zero[]): string {
  return table(groupZeros(zeros), [
    { head: "model", cell: ({ model }) => escape(model), text: "short" },
    { head: "why", cell: ({ why }) => escape(why.join("; ")), text: "long" },
    { head: "lengths", cell: ({ lengths }) => lengths.map(tokens).join(", "), text: "short" },
    { head: "tasks", cell: ({ tasks }) => escape(tasks.join(", ")), text: "long" },
  ], { cards: true });
}

/** More than so many are counted. */
const TOLD = 6;

/** Where the accuracy is 0, as lines of text. */
export function zeroLines(zeros: readonly Zero[]): string[] {
  if (zeros.length === 0) return [];
  const groups = groupZeros(zeros);
  const told = groups.slice(0, TOLD).map(({ model, tasks, lengths, why }) =>
    `  ${model}, ${listOf(tasks)}, ${listOf(lengths.map(String))} tokens: ${why.join("; ")}`
  );
  return [
    "accuracy 0:",
    ...told,
    ...(groups.length > TOLD ? [`  and ${groups.length - TOLD} more: see the report`] : []),
  ];
}
