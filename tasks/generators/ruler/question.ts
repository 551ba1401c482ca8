import { type Random, randomAt } from "../../random.ts";
import {
  checkDepth,
  checkLength,
  type Sample,
  type SampleCoordinates,
  type Task,
  UNSCORED,
} from "../../task.ts";
import type { Wording } from "../../wording.ts";
import { tokenBehind } from "./evidence.ts";
import { fit } from "./fit.ts";
import { scoringOf } from "./scoring.ts";

/** What is asked, with as much haystack as was asked for. */
export interface Prompt {
  /** The question with its haystack, up to the answer prefix. */
  readonly text: string;
  /** Of each reference, the character of the text from which on it can be read there. */
  readonly evidence?: readonly number[];
  /** Where the needle stands in the haystack, from 0 to 1, where there is one. */
  readonly depth?: number;
}

/** One question, all of whose draws are made: the same haystack, longer or shorter. */
export interface Question {
  /** How the reply begins. */
  readonly answerPrefix: string;
  /** What the reply is to hold. */
  readonly references: readonly string[];
  /** The fewest pieces of haystack that it can be asked with. */
  readonly fewest: number;
  /** The most pieces that there are. @default any number */
  readonly most?: number;
  /** The prompt with so many pieces (words, mostly) of haystack. */
  prompt(pieces: number): Prompt;
}

/** A kind of question: all of a task but how its prompt is made as long as is asked. */
export interface QuestionKind extends Pick<Task, "name" | "options" | "depths" | "loads"> {
  /** The share that a guesser gets right. */
  readonly chance: number;
  /** The haystack's piece in words, for errors. */
  readonly piece: string;
  /** Whether the load is how much is due, so that the budget grows with it beyond the default. */
  readonly asksLoad?: boolean;
  /** Checks a load. @throws {RangeError} for one that cannot be asked. */
  checkLoad?(load: number): void;
  /**
   * Draws a question. What it takes without a haystack may grow with the length, but slower.
   *
   * @param attempt How many were drawn before that do not fit.
   */
  draw(random: Random, coordinates: SampleCoordinates, attempt: number): Question;
}

/** A question at its coordinates, as long as they say. */
export interface Asked {
  /** The question. */
  readonly question: Question;
  /** Its prompt. */
  readonly prompt: Prompt;
  /** The prompt's tokens, template and answer prefix included. */
  readonly tokens: Uint32Array;
  /** The most tokens of its reply. */
  readonly budget: number;
}

/** A task whose prompts can be had as text. */
export interface QuestionTask extends Task {
  /** The question of a sample, as text. @throws {RangeError} where the length does not fit. */
  ask(coordinates: SampleCoordinates): Asked;
}

/** Draws that say how short a prompt can be. */
const PROBES = 40;
/** The share of the probes that fit in the shortest length; those that do not are drawn again. */
const FITTING = 0.9;
/** In a thousand tokens, one may be left over: the search ends there. */
const LEFT_OVER = 1 / 1000;
/** The least share of the room that a haystack which ends may leave used. */
const LEAST_USED = 0.98;
/** Draws after which it is no accident that none fits. */
const DRAWS = 1000;

/**
 * A task of one kind of question: prompt and reply together take as many tokens as the length says,
 * to a piece of the haystack or a thousandth. The haystack's size is searched on real token counts,
 * as the tokens of a whole are not the sum of its parts'.
 *
 * The shortest length holds nine of ten draws without more haystack than they need; at that length a
 * draw that does not fit is drawn again, from the same stream.
 */
export function questionTask(kind: QuestionKind, wording: Wording): QuestionTask {
  const { tokenizer, template } = wording;
  const { name, options, depths, loads } = kind;
  const { budget: budgetOfDefault, match } = scoringOf(name);
  const budgetOf = (load: number | undefined): number =>
    kind.asksLoad && load !== undefined && loads !== undefined
      ? Math.ceil(budgetOfDefault * Math.max(1, load / loads.default))
      : budgetOfDefault;
  const encode = (question: Question, { text }: Prompt): Uint32Array =>
    tokenizer.encode(template.render(text, question.answerPrefix), { special: template.special });
  const fewestTokens = (question: Question): number =>
    encode(question, question.prompt(question.fewest)).length;

  const shortestLengths = new Map<number | undefined, number>();
  const needed = (length: number, load: number | undefined): number => {
    const probes = Array.from({ length: PROBES }, (_, index) => {
      const coordinates = { length, load, seed: 0, index, split: "test" } as const;
      return fewestTokens(kind.draw(randomAt(`${name}: how short`, coordinates), coordinates, 0));
    });
    return probes.sort((a, b) => a - b)[Math.ceil(FITTING * PROBES) - 1] + budgetOf(load);
  };

  const task: QuestionTask = {
    name,
    metric: "accuracy",
    vocabulary: tokenizer.vocabulary,
    options,
    loads,
    depths,
    template: template.name,
    chance: () => kind.chance,
    shortestLength(load = loads?.default): number {
      if (load !== undefined) kind.checkLoad?.(load);
      let shortest = shortestLengths.get(load);
      if (shortest === undefined) {
        // What a question takes may grow with the length, but slower than the length.
        shortest = needed(0, load);
        for (let next; (next = needed(shortest, load)) > shortest;) shortest = next;
        shortestLengths.set(load, shortest);
      }
      return shortest;
    },
    ask(coordinates): Asked {
      const { length, depth, load = loads?.default } = coordinates;
      if (depths) checkDepth(task, depth);
      checkLength(task, length, load);
      const at = { ...coordinates, load };
      const random = randomAt(name, at);
      const budget = budgetOf(load);
      const room = length - budget;
      let question = kind.draw(random, at, 0);
      for (let attempt = 1; fewestTokens(question) > room; attempt++) {
        if (attempt === DRAWS) {
          throw new RangeError(
            `Cannot ask ${name} in ${length} tokens: of ${DRAWS} questions none fits`,
          );
        }
        question = kind.draw(random, at, attempt);
      }
      const { tokens, prompt, exhausted, cut } = fit(
        (pieces) => {
          const prompt = question.prompt(pieces);
          return { prompt, tokens: encode(question, prompt) };
        },
        { room, slack: Math.floor(length * LEFT_OVER), ...question },
      );
      if (cut) {
        throw new RangeError(
          `Cannot ask ${name} in ${length} tokens as its prompt takes ${tokens.length} however long the text is: the template ${template.name} or the tokenizer cuts it`,
        );
      }
      if (exhausted && tokens.length + budget < LEAST_USED * length) {
        throw new RangeError(
          `Cannot ask ${name} in ${length} tokens as there are only ${question.most} ${kind.piece}, which take ${tokens.length}`,
        );
      }
      return { question, prompt, tokens, budget };
    },
    sample(coordinates): Sample {
      const { question, prompt, tokens, budget } = task.ask(coordinates);
      const evidence = evidenceOf(tokens, prompt, question, wording);
      return {
        tokens,
        labels: new Uint32Array(tokens.length).fill(UNSCORED),
        ...(prompt.depth === undefined ? {} : { depth: prompt.depth }),
        reply: {
          budget,
          references: question.references,
          match,
          ...(evidence === undefined ? {} : { evidence }),
        },
      };
    },
  };
  return task;
}

/** The token from which on each reference can be read. */
function evidenceOf(
  tokens: Uint32Array,
  { text, evidence }: Prompt,
  { answerPrefix }: Question,
  wording: Wording,
): number[] | undefined {
  if (evidence === undefined) return undefined;
  const whole = wording.template.render(text, answerPrefix);
  const start = whole.indexOf(text.trim());
  if (start < 0) return undefined;
  const positions = new Map(
    [...new Set(evidence)].map((character) => [
      character,
      tokenBehind(tokens, whole.slice(0, start + character), wording),
    ]),
  );
  return evidence.map((character) => positions.get(character)!);
}
