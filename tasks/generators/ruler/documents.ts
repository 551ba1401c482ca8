import * as v from "valibot";

/** A question with what it can be answered from, as numbers of documents. */
export interface DocumentQuestion {
  /** The question. */
  readonly text: string;
  /** Answers, any of which is right. */
  readonly answers: readonly string[];
  /** The documents that hold the answer. */
  readonly gold: readonly number[];
  /** Documents about the same, which stand before any others. */
  readonly near: readonly number[];
}

/** Questions about documents. */
export interface DocumentQuestions {
  /** Different texts, sorted. */
  readonly documents: readonly string[];
  /** In the order of the file. */
  readonly questions: readonly DocumentQuestion[];
}

/** A published set of questions. */
export interface QuestionSet {
  /** The option that names its file. */
  readonly option: "squad" | "hotpotqa";
  /** What it is called. */
  readonly title: string;
  /** The file that RULER takes. */
  readonly address: string;
  /** Reads the file's JSON. */
  readonly read: (json: unknown) => DocumentQuestions;
}

const SQUAD_FILE = v.object({
  data: v.array(v.object({
    paragraphs: v.array(v.object({
      context: v.string(),
      qas: v.array(v.object({
        question: v.string(),
        is_impossible: v.nullish(v.boolean()),
        answers: v.array(v.object({ text: v.string() })),
      })),
    })),
  })),
});

const HOTPOTQA_FILE = v.array(v.object({
  question: v.string(),
  answer: v.string(),
  supporting_facts: v.array(v.tuple([v.string(), v.number()])),
  context: v.array(v.tuple([v.string(), v.array(v.string())])),
}));

/** What a schema makes of a file. @throws {Error} that names the field and what it must be. */
function parse<Schema extends v.GenericSchema>(
  schema: Schema,
  json: unknown,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, json, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue) ?? "it";
  throw new Error(
    `${path.slice(0, 100)} must be ${issue.expected}: found ${issue.received.slice(0, 100)}`,
  );
}

/** SQuAD 2.0 (Rajpurkar et al. 2018): each paragraph a document, what has no answer left out. */
export const SQUAD: QuestionSet = {
  option: "squad",
  title: "SQuAD 2.0",
  address: "https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v2.0.json",
  read(json): DocumentQuestions {
    const { data } = parse(SQUAD_FILE, json);
    const documents = distinct(
      data.flatMap(({ paragraphs }) => paragraphs.map(({ context }) => context)),
    );
    const numbers = numberOf(documents);
    return {
      documents,
      questions: data.flatMap(({ paragraphs }) => {
        const article = [...new Set(paragraphs.map(({ context }) => numbers.get(context)!))];
        return paragraphs.flatMap(({ context, qas }) => {
          const gold = numbers.get(context)!;
          const near = article.filter((document) => document !== gold);
          return qas.filter(({ is_impossible }) => is_impossible !== true).map((qa) => ({
            text: qa.question,
            answers: [...new Set(qa.answers.map(({ text }) => text))],
            gold: [gold],
            near,
          }));
        });
      }),
    };
  },
};

/** HotpotQA's distractor setting (Yang et al. 2018): ten paragraphs a question, two of which it takes. */
export const HOTPOTQA: QuestionSet = {
  option: "hotpotqa",
  title: "HotpotQA",
  address: "http://curtis.ml.cmu.edu/datasets/hotpot/hotpot_dev_distractor_v1.json",
  read(json): DocumentQuestions {
    const data = parse(HOTPOTQA_FILE, json);
    const textOf = ([title, sentences]: [string, string[]]): string =>
      `${title}\n${sentences.join("")}`;
    const documents = distinct(data.flatMap(({ context }) => context.map(textOf)));
    const numbers = numberOf(documents);
    return {
      documents,
      questions: data.map(({ question, answer, supporting_facts, context }) => {
        const titles = new Set(supporting_facts.map(([title]) => title));
        const chosen = (gold: boolean): number[] => [
          ...new Set(
            context.filter(([title]) => titles.has(title) === gold)
              .map((entry) => numbers.get(textOf(entry))!),
          ),
        ];
        return { text: question, answers: [answer], gold: chosen(true), near: chosen(false) };
      }),
    };
  },
};

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}

function numberOf(documents: readonly string[]): Map<string, number> {
  return new Map(documents.map((document, number) => [document, number]));
}

const loaded = new Map<string, Promise<DocumentQuestions>>();

/**
 * The questions of a published file.
 *
 * @throws {Error} where no file is named, or it holds no such questions; it says where to get it.
 */
export function loadQuestions(
  task: string,
  set: QuestionSet,
  file: string | undefined,
): Promise<DocumentQuestions> {
  if (file === undefined) {
    return Promise.reject(
      new Error(
        `Cannot ask ${task} without ${set.title}: name its file with --${set.option} (the option ${set.option}), which is at ${set.address}`,
      ),
    );
  }
  const key = `${set.option} ${file}`;
  let questions = loaded.get(key);
  if (questions === undefined) {
    questions = readQuestions(set, file);
    loaded.set(key, questions);
    questions.catch(() => loaded.delete(key));
  }
  return questions;
}

async function readQuestions(set: QuestionSet, file: string): Promise<DocumentQuestions> {
  try {
    const questions = set.read(JSON.parse(await Deno.readTextFile(file)));
    const usable = questions.questions.filter(({ answers, gold }) =>
      answers.length > 0 && gold.length > 0
    );
    if (usable.length === 0) throw new Error("there is no question with an answer in it");
    return { ...questions, questions: usable };
  } catch (error) {
    throw new Error(
      `Cannot read ${file} as ${set.title} (${
        (error as Error).message
      }): what is wanted is ${set.address}`,
      { cause: error },
    );
  }
}
