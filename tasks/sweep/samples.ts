import { scoreReply } from "../reply.ts";
import type { Answers, Subject } from "../subject.ts";
import { type Sample, scoredPositions, type Task } from "../task.ts";
import type { Cell } from "./cells.ts";
import { windowLaw } from "./laws.ts";
import { round } from "./rows.ts";

/**
 * A sample with its answer: a line of `samples.jsonl`. Its fields up to `truncation` are those of the
 * predictions that RULER's own `evaluate.py` reads.
 */
export interface SampleRecord {
  /** Its number in the cell. */
  readonly index: number;
  /** The prompt as text, or its tokens' numbers; of a long one its beginning and its end. */
  readonly input: string;
  /** What is due. */
  readonly outputs: readonly string[];
  /** The reply: text, or the likeliest tokens at the positions that were asked. */
  readonly pred: string;
  /** RULER keeps a sample's own fields here: there are none. */
  readonly others: Readonly<Record<string, never>>;
  /** The tokens of the prompt and of the longest reply. */
  readonly length: number;
  /** RULER's field for cut prompts: -1, as none is cut to a length. */
  readonly truncation: -1;
  /** The cell that it is of. */
  readonly cell: Cell;
  /** SHA-256 of the whole prompt's tokens, each as four bytes, little-endian, in hexadecimal. */
  readonly sha256: string;
  /** From 0 to 1, or the sample's perplexity. */
  readonly score: number;
  /** Tokens of the prompt. */
  readonly prompt_tokens: number;
  /** Tokens of the reply, where one is due. */
  readonly reply_tokens?: number;
  /** The most tokens that the reply may have, where one is due. */
  readonly reply_budget?: number;
  /** Where the needle was, from 0 to 1, where there is one. */
  readonly depth?: number;
  /** Of each question, the position of the token behind which its answer is due. */
  readonly asked?: readonly number[];
  /** Of each answer due, the farthest position that it rests on, where that is known. */
  readonly evidence?: readonly number[];
  /** The share of the answers due that rest on what the model's attention reaches, if it is limited. */
  readonly reached?: number;
  /** How many of the answers due stand nowhere in the prompt, where they should. */
  readonly missing?: number;
}

/** A prompt of more characters is kept as its beginning and its end. */
const LONGEST = 2 ** 15;
/** How much of each. */
const END = 2 ** 12;
/** More questions of one sample are not listed. */
const MOST_QUESTIONS = 256;

/** What was asked in a cell, and what was answered. */
export interface AnsweredCell {
  /** The cell. */
  readonly cell: Cell;
  /** Its task. */
  readonly task: Task;
  /** Its samples. */
  readonly samples: readonly Sample[];
  /** Their answers. */
  readonly answers: Omit<Answers, "peakBytes">;
}

/** The samples of a cell with their answers, as `samples.jsonl` keeps them. */
export async function recordSamples(
  { cell, task, samples, answers }: AnsweredCell,
  subject: Subject,
): Promise<SampleRecord[]> {
  const inWords = task.template !== undefined || task.metric !== "accuracy";
  const write = (tokens: Uint32Array): string =>
    inWords && subject.decode ? subject.decode(tokens) : tokens.join(" ");
  return await Promise.all(samples.map(async (sample, index): Promise<SampleRecord> => {
    const { tokens, reply, depth } = sample;
    const prompt = write(tokens);
    const due = reply === undefined
      ? answerOf(task, sample, answers, index)
      : replyOf(prompt, sample, answers, index);
    const reached = reachOf(sample, subject);
    return {
      index,
      input: shorten(prompt),
      outputs: due.outputs,
      pred: due.pred,
      others: {},
      length: tokens.length + (reply?.budget ?? 0),
      truncation: -1,
      cell,
      sha256: await hashOfTokens(tokens),
      score: round(due.score),
      prompt_tokens: tokens.length,
      ...due.more,
      ...(depth === undefined ? {} : { depth: round(depth) }),
      ...(reached === undefined ? {} : { reached: round(reached) }),
    };
  }));
}

interface Due extends Pick<SampleRecord, "outputs" | "pred" | "score"> {
  readonly more: Partial<SampleRecord>;
}

function replyOf(
  prompt: string,
  { reply }: Sample,
  { replies = [], replyTokens }: AnsweredCell["answers"],
  index: number,
): Due {
  const { references, budget, evidence } = reply!;
  const text = replies[index];
  const lower = prompt.toLowerCase();
  const missing = references.filter((reference) => !lower.includes(reference.toLowerCase())).length;
  const given = replyTokens?.[index];
  return {
    outputs: references,
    pred: text,
    score: scoreReply(reply!, text),
    more: {
      ...(given === undefined ? {} : { reply_tokens: given }),
      reply_budget: budget,
      ...(evidence === undefined ? {} : { evidence }),
      ...(missing === 0 ? {} : { missing }),
    },
  };
}

function answerOf(
  { metric }: Task,
  sample: Sample,
  { correct, nll, predicted }: AnsweredCell["answers"],
  index: number,
): Due {
  const positions = scoredPositions(sample);
  const mean = (values: ArrayLike<number>): number =>
    Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
  if (metric === "perplexity" || metric === "context_gain") {
    return { outputs: [], pred: "", score: Math.exp(mean(nll[index])), more: {} };
  }
  const { labels, evidence } = sample;
  const asked = positions.slice(0, MOST_QUESTIONS);
  return {
    outputs: asked.map((t) => String(labels[t])),
    pred: predicted?.[index].slice(0, MOST_QUESTIONS).join(" ") ?? "",
    score: mean(correct[index]),
    more: { asked, ...(evidence === undefined ? {} : { evidence: asked.map((t) => evidence[t]) }) },
  };
}

/** The share of the answers that a perfect model with this one's sight could know. */
function reachOf(sample: Sample, { window, sinks, reach = window }: Subject): number | undefined {
  return reach === undefined ? undefined : windowLaw([sample], reach, 0, sinks);
}

function shorten(text: string): string {
  if (text.length <= LONGEST) return text;
  const left = (text.length - 2 * END).toLocaleString("en");
  return `${text.slice(0, END)} […${left} characters…] ${text.slice(-END)}`.toWellFormed();
}

async function hashOfTokens(tokens: Uint32Array): Promise<string> {
  const bytes = new DataView(new ArrayBuffer(4 * tokens.length));
  tokens.forEach((token, i) => bytes.setUint32(4 * i, token, true));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
