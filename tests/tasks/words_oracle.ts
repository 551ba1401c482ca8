import {
  type Answers,
  BASE_TEMPLATE,
  createTask,
  type PromptTemplate,
  type RulerName,
  type Subject,
} from "../../tasks/mod.ts";
import { answerRuler } from "./ruler_oracle.ts";
import { wordTokenizer } from "./word_tokenizer.ts";

/** What is unusual about an oracle. */
export interface WordsOracleOptions {
  /** What it says in place of the right reply to a prompt. */
  readonly reply?: (prompt: string, right: string, index: number) => string;
  /** How it is asked. */
  readonly template?: PromptTemplate;
  /** How many tokens back it sees, as it says. */
  readonly window?: number;
}

/** A model that answers RULER's tasks in words, by reading its prompt. */
export function wordsOracle(
  name: string,
  tasks: readonly RulerName[],
  { reply = (_, right) => right, template = BASE_TEMPLATE, window }: WordsOracleOptions = {},
): Subject & AsyncDisposable {
  const tokenizer = wordTokenizer();
  return {
    name,
    family: "oracle",
    parameters: 1000,
    trainLength: 1024,
    tasks,
    ...(window === undefined ? {} : { window }),
    fingerprint: name,
    task: (which, options = {}) => createTask(which as RulerName, options, { tokenizer, template }),
    stateBytes: () => 64,
    decode: (tokens) => tokenizer.decode(tokens),
    answer(samples): Promise<Answers> {
      const replies = samples.map(({ tokens }, index) => {
        const prompt = tokenizer.decode(tokens);
        return reply(prompt, answerRuler(prompt), index);
      });
      return Promise.resolve({
        correct: samples.map(() => new Uint8Array()),
        nll: samples.map(() => new Float32Array()),
        replies,
        replyTokens: replies.map((text) => tokenizer.encode(text).length),
        prefillMilliseconds: samples.length,
        peakBytes: 4096,
      });
    },
    stepMilliseconds: () => Promise.resolve(1),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
