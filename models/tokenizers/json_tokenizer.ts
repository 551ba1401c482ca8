import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

/** What of a `tokenizer_config.json` is read here. */
interface TokenizerConfiguration {
  readonly bos_token?: string | { content?: string } | null;
  readonly eos_token?: string | { content?: string } | null;
}

/** The tokenizer of a `tokenizer.json`, by Hugging Face's own package. */
export class JsonTokenizer implements Tokenizer {
  /** One more than the largest token. */
  readonly vocabulary: number;
  /** The token that begins a text, where `tokenizer_config.json` names one. */
  readonly beginning?: number;
  /** The token that ends a text, where `tokenizer_config.json` names one. */
  readonly end?: number;
  readonly #tokenizer: HuggingFaceTokenizer;

  /**
   * Takes what the two files hold, parsed; the second may be left out.
   *
   * @param source The first one's name, for errors.
   * @throws {Error} where it is no tokenizer, or has a part that is not known.
   */
  constructor(tokenizer: unknown, configuration: unknown, source: string) {
    try {
      this.#tokenizer = new HuggingFaceTokenizer(
        tokenizer as Record<string, unknown>,
        (configuration ?? {}) as Record<string, unknown>,
      );
      const tokens = this.#tokenizer.get_vocab(true).values();
      this.vocabulary = tokens.reduce((most, token) => Math.max(most, token), -1) + 1;
    } catch (error) {
      throw new Error(
        `Cannot read ${source} as a tokenizer: ${(error as Error).message}`,
        { cause: error },
      );
    }
    const { bos_token, eos_token } = (configuration ?? {}) as TokenizerConfiguration;
    this.beginning = this.#find(bos_token);
    this.end = this.#find(eos_token);
  }

  /** The tokens of a text. */
  encode(text: string, options: EncodeOptions = {}): Uint32Array {
    const { special = true } = options;
    return Uint32Array.from(this.#tokenizer.encode(text, { add_special_tokens: special }).ids);
  }

  /**
   * The text of tokens, without special ones; those that the vocabulary lacks have none. Spaces stay
   * as they are, `clean_up_tokenization_spaces` or not: text that is cleaned is another text.
   */
  decode(tokens: ArrayLike<number>): string {
    const known = Array.from(tokens)
      .filter((token) => this.#tokenizer.id_to_token(token) !== undefined);
    if (known.length === 0) return "";
    return this.#tokenizer.decode(known, {
      skip_special_tokens: true,
      clean_up_tokenization_spaces: false,
    });
  }

  #find(token: TokenizerConfiguration["bos_token"]): number | undefined {
    const content = typeof token === "string" ? token : token?.content;
    return content === undefined ? undefined : this.#tokenizer.token_to_id(content);
  }
}
