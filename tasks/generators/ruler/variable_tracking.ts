import type { Random } from "../../random.ts";
import type { Wording } from "../../wording.ts";
import { fill, NOISE_HAYSTACK } from "./haystack.ts";
import { type Prompt, type Question, type QuestionTask, questionTask } from "./question.ts";
import { randomLetters } from "./words.ts";

const HOPS = 4;
/** Letters of a variable's name, in the question and in the example. */
const LETTERS = 5;
const EXAMPLE_LETTERS = 3;
/** The most tokens of the example: RULER's, or half of a prompt that is short. */
const EXAMPLE_TOKENS = 500;
/** Words of a line of noise. */
const LINE = 19;

/** A value, and variables each of which is assigned the one before it. */
interface Chain {
  readonly value: string;
  readonly variables: readonly string[];
  /** Where each assignment stands, from 0 to 1. */
  readonly shares: readonly number[];
}

/**
 * Variable tracking (RULER, section 3.2 and `variable_tracking.py`): in noise, a variable gets a value
 * and others get each other's; all that have the value are due. One example stands before it.
 *
 * ```text
 * Memorize and track the chain(s) of variable assignment hidden in the following text.
 *
 * The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.
 * VAR QZRTB = 48213
 * VAR MNXEA = VAR QZRTB
 * The grass is green. The sky is
 * Question: Find all variables that are assigned the value 48213 in the text above. Answer: According
 * to the chain(s) of variable assignment in the text above, 2 variables are assigned the value 48213,
 * they are:
 * ```
 *
 * The load counts hops, 4 by default: 5 variables. As there is one chain, a variable can be read
 * wherever its name stands: the evidence is the last assignment that has it. The example takes the 500
 * tokens that RULER's may, or half of a length below 1000.
 */
export function variableTrackingTask(name: string, wording: Wording): QuestionTask {
  return questionTask({
    name,
    options: {},
    chance: 0,
    depths: false,
    piece: "words",
    loads: { counts: "hops", default: HOPS },
    asksLoad: true,
    checkLoad(load): void {
      if (!Number.isInteger(load) || load < 1) {
        throw new RangeError(
          `Cannot ask ${name} as the number of hops must be a positive integer: current number is ${load}`,
        );
      }
    },
    draw(random, { length, load = HOPS }): Question {
      const chain = drawChain(random, load, LETTERS);
      let shown = drawChain(random, load, EXAMPLE_LETTERS);
      while (shown.value === chain.value) shown = drawChain(random, load, EXAMPLE_LETTERS);
      const exampleOf = (lines: number): string => {
        const { text } = ask(shown, lines * LINE);
        return `${text}${prefixOf(shown)} ${shown.variables.join(" ")}\n\n`;
      };
      const most = Math.min(EXAMPLE_TOKENS, length / 2);
      let example = exampleOf(0);
      for (let lines = 1;; lines++) {
        const longer = exampleOf(lines);
        if (wording.tokenizer.encode(longer).length > most) break;
        example = longer;
      }
      return {
        answerPrefix: prefixOf(chain),
        references: chain.variables,
        fewest: 0,
        prompt(pieces): Prompt {
          const { text, starts } = ask(chain, pieces);
          return {
            text: example + text,
            evidence: chain.variables.map((_, index) =>
              example.length + starts[Math.min(index + 1, load)]
            ),
          };
        },
      };
    },
  }, wording);
}

function drawChain(random: Random, hops: number, letters: number): Chain {
  const variables = new Set<string>();
  while (variables.size <= hops) variables.add(randomLetters(random, letters, "A"));
  return {
    value: String(random.integer(10_000, 99_999)),
    variables: [...variables],
    shares: Array.from({ length: hops + 1 }, () => random.float()).sort((a, b) => a - b),
  };
}

/** The question, and the character at which each assignment begins. */
function ask(
  { value, variables, shares }: Chain,
  pieces: number,
): { text: string; starts: readonly number[] } {
  const before =
    "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n";
  const parts = NOISE_HAYSTACK.parts(pieces);
  const { text, starts } = fill(
    NOISE_HAYSTACK,
    pieces,
    variables.map((variable, index) => ({
      text: index === 0
        ? `VAR ${variable} = ${value}`
        : `VAR ${variable} = VAR ${variables[index - 1]} `,
      place: Math.floor(shares[index] * (parts + 1)),
    })),
  );
  return {
    text:
      `${before}${text}\nQuestion: Find all variables that are assigned the value ${value} in the text above.`,
    starts: starts.map((start) => before.length + start),
  };
}

function prefixOf({ value, variables }: Chain): string {
  return ` Answer: According to the chain(s) of variable assignment in the text above, ${variables.length} variables are assigned the value ${value}, they are: `;
}
