import { Random } from "../../random.ts";
import type { Wording } from "../../wording.ts";
import { type Question, type QuestionTask, questionTask } from "./question.ts";
import { plainWords } from "./words.ts";

/** How often words stand in a list. */
export interface CommonWordsRecipe {
  /** How often each of the common words stands. */
  readonly common: number;
  /** How often each of the others does. */
  readonly others: number;
  /** How many others the example has, how often its common words stand, and how often its others. */
  readonly example: { readonly words: number; readonly common: number; readonly others: number };
}

const COMMON = 10;
/** RULER's recipes, the first below so many tokens. */
const LONG_FROM = 4096;
const SHORT: CommonWordsRecipe = {
  common: 6,
  others: 1,
  example: { words: 10, common: 3, others: 1 },
};
const LONG: CommonWordsRecipe = {
  common: 30,
  others: 3,
  example: { words: 30, common: 10, others: 3 },
};
/** A different word takes this many tokens or more, its number and its repetitions included. */
const TOKENS_A_WORD = 9;

/** Options of RULER's common words. */
export interface CommonWordsOptions {
  /**
   * Which of RULER's two recipes: `short` for ten words ×6 among others ×1, `long` for ×30 among ×3.
   * Unless told, `long` from 4096 tokens on, where a prompt of it fits.
   */
  readonly recipe?: "short" | "long";
}

/**
 * Common words extraction (RULER, section 3.3 and `common_words_extraction.py`): a numbered list of
 * words in which ten stand more often than all others; those are due. One example stands before it.
 *
 * ```text
 * Below is a numbered list of words. In these words, some appear more often than others. Memorize the
 * ones that appear most often.
 * 1. anchor 2. lemon 3. anchor 4. river …
 * Question: What are the 10 most common words in the above list? Answer: The top 10 words that appear
 * most often in the list are:
 * ```
 */
export async function commonWordsTask(
  name: string,
  { recipe }: CommonWordsOptions,
  wording: Wording,
): Promise<QuestionTask> {
  const lists = await plainWords();
  const kindOf = (chosen: (length: number) => CommonWordsRecipe): QuestionTask =>
    questionTask({
      name,
      options: { recipe },
      chance: 0,
      depths: false,
      piece: "words",
      draw(random, { length }): Question {
        const { common, others, example } = chosen(length);
        const list = lists.find(({ length: words }) => words * TOKENS_A_WORD >= length) ??
          lists[lists.length - 1];
        const words = new Words(random, list);
        const shown = listOf(words, 0, COMMON, example, example.words, random.state());
        const exampleText = `${ask(shown.text)}${ANSWER_PREFIX} ${numbered(shown.common)}\n`;
        const first = COMMON + example.words;
        const state = random.state();
        return {
          answerPrefix: ANSWER_PREFIX,
          references: words.slice(first, first + COMMON),
          fewest: 0,
          most: list.length - first - COMMON,
          prompt: (pieces) => ({
            text: exampleText +
              ask(listOf(words, first, COMMON, { common, others }, pieces, state).text),
          }),
        };
      },
    }, wording);
  if (recipe !== undefined) return kindOf(() => (recipe === "long" ? LONG : SHORT));
  const longFrom = Math.max(LONG_FROM, kindOf(() => LONG).shortestLength());
  return kindOf((length) => length >= longFrom ? LONG : SHORT);
}

const ANSWER_PREFIX = " Answer: The top 10 words that appear most often in the list are:";

function ask(list: string): string {
  return `Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that appear most often.\n${list}\nQuestion: What are the 10 most common words in the above list?`;
}

function numbered(words: readonly string[]): string {
  return words.map((word, index) => `${index + 1}. ${word}`).join(" ");
}

/** Different words of a list in a random order, drawn as they are needed. */
class Words {
  readonly #random: Random;
  readonly #list: readonly string[];
  readonly #moved = new Map<number, number>();
  readonly #drawn: string[] = [];

  constructor(random: Random, list: readonly string[]) {
    this.#random = new Random(random.state());
    this.#list = list;
  }

  slice(from: number, to: number): string[] {
    for (let i = this.#drawn.length; i < to; i++) {
      const j = this.#random.integer(i, this.#list.length - 1);
      this.#drawn.push(this.#list[this.#moved.get(j) ?? j]);
      this.#moved.set(j, this.#moved.get(i) ?? i);
    }
    return this.#drawn.slice(from, to);
  }
}

function listOf(
  words: Words,
  first: number,
  count: number,
  repeats: { readonly common: number; readonly others: number },
  others: number,
  state: [number, number, number, number],
): { text: string; common: string[] } {
  const common = words.slice(first, first + count);
  const repeated = [
    ...common.flatMap((word) => new Array<string>(repeats.common).fill(word)),
    ...words.slice(first + count, first + count + others)
      .flatMap((word) => new Array<string>(repeats.others).fill(word)),
  ];
  return { text: numbered(new Random(state).shuffle(repeated)), common };
}
