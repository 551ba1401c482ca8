/** How a text becomes tokens. */
export interface EncodeOptions {
  /**
   * Whether the tokens that the model expects around a text are added, such as Llama's at the
   * beginning; `true` by default.
   */
  special?: boolean;
}

/** Turns text into tokens and back. */
export interface Tokenizer {
  /** One more than the largest token; a model's own vocabulary may be padded past it. */
  readonly vocabulary: number;
  /** The token that begins a text, where there is one. */
  readonly beginning?: number;
  /** The token that ends a text, where there is one: generation stops at it. */
  readonly end?: number;
  /** The tokens of a text. */
  encode(text: string, options?: EncodeOptions): Uint32Array;
  /** The text of tokens, without special ones; bytes that are not UTF-8 become U+FFFD. */
  decode(tokens: ArrayLike<number>): string;
}

const REPLACEMENT = "\uFFFD";

/**
 * Decodes tokens as a model makes them. A character may be spread over several tokens, and a token's
 * text may depend on those before it, so that it is not the sum of the tokens' texts: text comes out
 * once it can no longer change.
 */
export class StreamingDecoder {
  readonly #tokenizer: Tokenizer;
  /** The tokens whose text was given out last, then those that wait. */
  #tokens: number[] = [];
  /** How many of them were given out, and their text. */
  #given = 0;
  #prefix = "";

  /** A decoder for one text. */
  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** The text that a further token completes; empty where a character is not whole yet. */
  push(token: number): string {
    this.#tokens.push(token);
    const text = this.#tokenizer.decode(this.#tokens);
    if (text.length <= this.#prefix.length || text.endsWith(REPLACEMENT)) return "";
    const added = text.slice(this.#prefix.length);
    this.#tokens = this.#tokens.slice(this.#given);
    this.#prefix = this.#tokenizer.decode(this.#tokens);
    this.#given = this.#tokens.length;
    return added;
  }

  /** The text of what still waits, when the tokens have ended; U+FFFD for half a character. */
  finish(): string {
    const text = this.#tokenizer.decode(this.#tokens).slice(this.#prefix.length);
    this.#tokens = [];
    this.#given = 0;
    this.#prefix = "";
    return text;
  }
}
