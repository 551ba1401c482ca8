import { Random } from "../../random.ts";
import type { Wording } from "../../wording.ts";
import { type Prompt, type Question, type QuestionTask, questionTask } from "./question.ts";
import { scoringOf } from "./scoring.ts";
import { randomLetters } from "./words.ts";

const LETTERS = 6;
/** RULER's exponent; ζ(2) makes the shares sum to 1 over all ranks. */
const ALPHA = 2;
const ZETA = Math.PI ** 2 / 6;
/** One different word in so many tokens. */
const TOKENS_A_WORD = 50;
const FEWEST_WORDS = 8;
/** Stands for the most frequent word, which is noise. */
const FILLER = "...";
const ASKED = 3;
const ANSWER_PREFIX =
  " Answer: According to the coded text above, the three most frequently appeared words are:";

/**
 * Frequent words extraction (RULER, section 3.3 and `freq_words_extraction.py`): coded words, the k-th
 * of which stands n·k⁻²/ζ(2) times; the most frequent is written as dots, and the next three are due.
 *
 * ```text
 * Read the following coded text and track the frequency of each coded word. Find the three most
 * frequently appeared coded words. ... xkwqpa ... ... tuovbz xkwqpa ...
 * Question: Do not provide any explanation. Please ignore the dots '....'. What are the three most
 * frequently appeared words in the above coded text? Answer: According to the coded text above, the
 * three most frequently appeared words are:
 * ```
 *
 * The fewest words are those from which on the third stands more often than the fourth.
 */
export function frequentWordsTask(name: string, wording: Wording): QuestionTask {
  return questionTask({
    name,
    options: {},
    chance: 0,
    depths: false,
    piece: "words",
    draw(random, { length }): Question {
      const count = Math.max(
        FEWEST_WORDS,
        Math.floor((length - scoringOf(name).budget) / TOKENS_A_WORD),
      );
      const distinct = new Set<string>([FILLER]);
      while (distinct.size < count) distinct.add(randomLetters(random, LETTERS, "a"));
      const words = [...distinct];
      const state = random.state();
      return {
        answerPrefix: ANSWER_PREFIX,
        references: words.slice(1, 1 + ASKED),
        fewest: FEWEST,
        prompt(pieces): Prompt {
          const text = words.flatMap((word, index) =>
            new Array<string>(timesOf(index + 1, pieces)).fill(word)
          );
          return { text: ask(new Random(state).shuffle(text).join(" ")) };
        },
      };
    },
  }, wording);
}

/** How often the word of a rank stands, of so many words. */
function timesOf(rank: number, words: number): number {
  return Math.floor(words * rank ** -ALPHA / ZETA);
}

/** From here on the last word asked for stands more often than the one after it. */
const FEWEST = (() => {
  const last = 1 + ASKED;
  // Where the two shares are a whole word apart, so are their floors.
  let fewest = Math.ceil(ZETA / (last ** -ALPHA - (last + 1) ** -ALPHA));
  while (timesOf(last, fewest - 1) > timesOf(last + 1, fewest - 1)) fewest--;
  return fewest;
})();

function ask(text: string): string {
  return `Read the following coded text and track the frequency of each coded word. Find the three most frequently appeared coded words. ${text}\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three most frequently appeared words in the above coded text?`;
}
