import { Random, randomAt } from "../../random.ts";
import type { Split } from "../../task.ts";
import type { Wording } from "../../wording.ts";
import {
  type DocumentQuestion,
  type DocumentQuestions,
  loadQuestions,
  type QuestionSet,
} from "./documents.ts";
import { type Prompt, type Question, type QuestionTask, questionTask } from "./question.ts";

const INSTRUCTION =
  "Answer the question based on the given documents. Only give me the answer and do not output any other words.";
/** One question in so many is for training. */
const TRAINING = 10;

/**
 * Question answering (RULER, section 3.4 and `qa.py`): a question, the passages that hold its answer,
 * and others: first those of the same article or question, then any. Any of the answers is right.
 *
 * ```text
 * Answer the question based on the given documents. Only give me the answer and do not output any
 * other words.
 *
 * The following are given documents.
 *
 * Document 1:
 * …
 *
 * Answer the question based on the given documents. Only give me the answer and do not output any
 * other words.
 *
 * Question: In what country is Normandy located? Answer:
 * ```
 *
 * RULER puts the passage that holds the answer at one place for a given number of documents, so that
 * depth and length go together; here the seed places it, or the depth: the share of the other
 * documents that stand before it. Of HotpotQA, the two passages that the answer rests on must be
 * there, the other eight come first among the others. The last other document is cut where the length
 * says. A seed asks the same questions at every length, none twice; every tenth is for training.
 *
 * Chance is that of `yes` and `no`, which are answers without a document.
 *
 * @throws {Error} where the file is not named, cannot be read, or holds no such questions.
 */
export async function questionAnsweringTask(
  name: string,
  set: QuestionSet,
  file: string | undefined,
  wording: Wording,
): Promise<QuestionTask> {
  const data = await loadQuestions(name, set, file);
  const { documents, questions } = data;
  const pieces = new Map<number, readonly string[]>(); // the words of documents that were needed
  const piecesOf = (document: number): readonly string[] => {
    let words = pieces.get(document);
    if (words === undefined) {
      pieces.set(document, words = documents[document].split(/(?<=\s)(?=\S)/));
    }
    return words;
  };
  const orders = new Map<string, readonly DocumentQuestion[]>();
  const orderOf = (seed: number, split: Split): readonly DocumentQuestion[] => {
    const key = `${split} ${seed}`;
    let order = orders.get(key);
    if (order === undefined) {
      const random = randomAt(`${name}: questions`, { length: 0, index: 0, seed, split });
      const training = (index: number): boolean => index % TRAINING === TRAINING - 1;
      order = random.shuffle(
        questions.filter((_, index) => training(index) === (split === "train")),
      );
      orders.set(key, order);
    }
    if (order.length === 0) {
      throw new RangeError(
        `Cannot train on ${name} as one question in ${TRAINING} is for training: ${file} has ${questions.length}`,
      );
    }
    return order;
  };
  const yesOrNo = questions.filter(({ answers }) =>
    answers.some((text) => /^(yes|no)$/i.test(text))
  );

  return questionTask({
    name,
    options: { [set.option]: file },
    chance: yesOrNo.length / questions.length,
    depths: true,
    piece: "words of documents",
    draw(random, { seed, index, split, depth }, attempt): Question {
      const order = orderOf(seed, split);
      const question = attempt === 0 ? order[index % order.length] : random.choose(order);
      const others = new OtherDocuments(random, data, question, piecesOf);
      const shares = question.gold.map(() => random.float());
      return {
        answerPrefix: " Answer:",
        references: question.answers,
        fewest: 0,
        prompt(pieces): Prompt {
          const texts = others.texts(pieces);
          const places = shares.map((share) =>
            depth === undefined
              ? Math.floor(share * (texts.length + 1))
              : Math.round(depth * texts.length)
          );
          const gold = question.gold.map((document, i) => ({
            text: documents[document],
            place: places[i],
          })).sort((a, b) => a.place - b.place);
          let text = `${INSTRUCTION}\n\nThe following are given documents.\n\n`;
          let first: number | undefined;
          let number = 0;
          const add = (document: string): void => {
            text += `Document ${++number}:\n${document}\n\n`;
          };
          for (let i = 0; i <= texts.length; i++) {
            for (const { text: document } of gold.filter(({ place }) => place === i)) {
              first ??= text.length;
              add(document);
            }
            if (i < texts.length) add(texts[i]);
          }
          return {
            text: `${text}${INSTRUCTION}\n\nQuestion: ${question.text}`,
            evidence: question.answers.map(() => first!),
            ...(new Set(places).size === 1
              ? { depth: texts.length === 0 ? 0 : places[0] / texts.length }
              : {}),
          };
        },
      };
    },
  }, wording);
}

/** The documents around the gold ones, drawn as they are needed; from the first again at their end. */
class OtherDocuments {
  readonly #random: Random;
  readonly #count: number;
  readonly #piecesOf: (document: number) => readonly string[];
  readonly #used: Set<number>;
  readonly #order: number[];

  constructor(
    random: Random,
    { documents }: DocumentQuestions,
    { gold, near }: DocumentQuestion,
    piecesOf: (document: number) => readonly string[],
  ) {
    this.#random = new Random(random.state());
    this.#count = documents.length;
    this.#piecesOf = piecesOf;
    this.#order = this.#random.shuffle(near);
    this.#used = new Set([...gold, ...near]);
  }

  /** The documents that so many pieces make, the last one cut. */
  texts(pieces: number): string[] {
    const texts: string[] = [];
    for (let i = 0, left = pieces; left > 0; i++) {
      const words = this.#piecesOf(this.#document(i));
      texts.push(words.slice(0, left).join("").trimEnd());
      left -= words.length;
    }
    return texts;
  }

  #document(index: number): number {
    while (this.#order.length <= index && this.#used.size < this.#count) {
      const document = this.#random.integer(0, this.#count - 1);
      if (this.#used.has(document)) continue;
      this.#used.add(document);
      this.#order.push(document);
    }
    return this.#order[index % this.#order.length];
  }
}
