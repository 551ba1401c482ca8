/** What a task in words needs of a tokenizer; that of a model fits. */
export interface TaskTokenizer {
  /** One more than the largest token. */
  readonly vocabulary: number;
  /**
   * The tokens of a text.
   *
   * @param options.special Whether the tokens that a model expects around a text are added; `true`
   * by default.
   */
  encode(text: string, options?: { special?: boolean }): Uint32Array;
  /** The text of tokens. */
  decode(tokens: ArrayLike<number>): string;
}

/** How a question becomes what a model reads. */
export interface PromptTemplate {
  /** As results call it: `base`, `chat`. */
  readonly name: string;
  /** Whether the tokenizer adds its own special tokens; a chat template spells them out. */
  readonly special: boolean;
  /**
   * The prompt, up to where the reply begins.
   *
   * @param question What is asked, with all that is needed to know it.
   * @param answerPrefix How the reply begins; it belongs to the prompt.
   */
  render(question: string, answerPrefix: string): string;
}

/** The language that a task in words is asked in. */
export interface Wording {
  /** The model's tokenizer. */
  readonly tokenizer: TaskTokenizer;
  /** The prompt template. */
  readonly template: PromptTemplate;
}

/** For models that continue a text: the question, and the reply begins right behind its prefix. */
export const BASE_TEMPLATE: PromptTemplate = {
  name: "base",
  special: true,
  render: (question, answerPrefix) => question + answerPrefix,
};
