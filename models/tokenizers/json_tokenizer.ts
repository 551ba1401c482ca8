import * as v from "valibot";
import { requireDeno } from "../platform.ts";
import { Sandbox, type Sandboxed } from "../sandbox/sandbox.ts";
import { check, integer, listOf, showValue, TEXT } from "../schema.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

/** A token's number. */
const TOKEN = integer(0, 2 ** 28 - 1);

/** What of a `tokenizer.json` is relied on; the package that runs it checks the rest. */
const TOKENIZER = v.looseObject({
  model: v.looseObject({
    vocab: v.union([
      v.record(v.string(), TOKEN),
      listOf(v.looseTuple([TEXT, v.number()])),
    ], "a table of tokens' numbers, or a list of tokens and their scores"),
  }, "an object"),
  added_tokens: v.nullish(listOf(v.looseObject({ id: TOKEN, content: TEXT }, "an object"))),
}, "an object");

const SPECIAL = v.nullish(v.union([TEXT, v.looseObject({ content: v.nullish(TEXT) })], "a string"));
/** What of a `tokenizer_config.json` is read here, and of a `special_tokens_map.json`. */
const CONFIGURATION = v.looseObject({ bos_token: SPECIAL, eos_token: SPECIAL }, "an object");

/** Megabytes of all tokenizers together. */
const MEMORY = 4096;
/** Milliseconds in which a tokenizer is built. */
const BUILDING = 120_000;
/** Milliseconds of a call, and of each character or token of it. */
const CALL = 10_000;
const CALL_PER_UNIT = 0.1;
/** Tokens that a character may become (some normalize to 18 others), and characters that a token may. */
const TOKENS_PER_CHARACTER = 64;
const CHARACTERS_PER_TOKEN = 1024;

const SANDBOX = new Sandbox(new URL("./json_tokenizer_worker.ts", import.meta.url), MEMORY);

/** Limits of a {@linkcode JsonTokenizer}. */
export interface JsonTokenizerOptions {
  /** Milliseconds that a call may take, beside a tenth for each character or token. @default 10_000 */
  readonly milliseconds?: number;
}

/**
 * The tokenizer of a `tokenizer.json`, by Hugging Face's own package. It runs in a worker, with a limit
 * on time and memory: the patterns in such a file may take for ever on some texts.
 */
export class JsonTokenizer implements Tokenizer {
  /** One more than the largest token. */
  readonly vocabulary: number;
  /** The token that begins a text, where `tokenizer_config.json` names one. */
  readonly beginning?: number;
  /** The token that ends a text, where `tokenizer_config.json` names one. */
  readonly end?: number;
  readonly #source: string;
  readonly #tokenizer: Sandboxed;
  readonly #milliseconds: number;

  /**
   * Takes what the two files hold, parsed; the second may be left out.
   *
   * @param source The first one's name, for errors.
   * @throws {Error} where it is not a tokenizer, or has a part that is not known; and in a browser.
   */
  constructor(
    tokenizer: unknown,
    configuration: unknown,
    source: string,
    options: JsonTokenizerOptions = {},
  ) {
    this.#milliseconds = options.milliseconds ?? CALL;
    requireDeno(
      `read ${source} as a tokenizer`,
      "its patterns run in a worker that is waited for; take @huggingface/tokenizers itself there",
    );
    check(TOKENIZER, tokenizer, source, "as a tokenizer");
    const { bos_token, eos_token, ...rest } = check(
      CONFIGURATION,
      configuration ?? {},
      `${source}'s configuration`,
    );
    this.#source = source;
    try {
      this.#tokenizer = SANDBOX.make(
        [JSON.stringify(tokenizer), JSON.stringify({ bos_token, eos_token, ...rest })],
        BUILDING,
      );
      this.vocabulary = this.#call("vocabulary", [], 0) as number;
      this.beginning = this.#find(bos_token);
      this.end = this.#find(eos_token);
    } catch (error) {
      throw new Error(
        `Cannot read ${source} as a tokenizer: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  /**
   * The tokens of a text. Of special ones, those that stand before it are added, and none behind it: a
   * prompt is to be continued.
   *
   * @throws {Error} where it takes more time than any text should.
   */
  encode(text: string, options: EncodeOptions = {}): Uint32Array {
    const { special = true } = options;
    const size = TOKENS_PER_CHARACTER * (text.length + TOKENS_PER_CHARACTER);
    const tokens = this.#run("encode", [text, special], text.length, size);
    if (tokens instanceof Uint32Array) return tokens;
    throw new Error(`Cannot encode a text with ${this.#source}: it gave ${showValue(tokens)}`);
  }

  /**
   * The text of tokens, without special ones; those that the vocabulary lacks have none. Spaces stay
   * as they are, `clean_up_tokenization_spaces` or not: text that is cleaned is another text.
   */
  decode(tokens: ArrayLike<number>): string {
    const size = CHARACTERS_PER_TOKEN * (tokens.length + 1);
    const text = this.#run("decode", [Uint32Array.from(tokens)], tokens.length, size);
    if (typeof text === "string") return text;
    throw new Error(`Cannot decode tokens with ${this.#source}: it gave ${showValue(text)}`);
  }

  #run(method: string, values: readonly unknown[], units: number, size: number): unknown {
    try {
      return this.#call(method, values, units, size);
    } catch (error) {
      throw new Error(
        `Cannot ${method} ${
          values[0] instanceof Uint32Array ? "tokens" : "a text"
        } with ${this.#source}: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  #call(method: string, values: readonly unknown[], units: number, size = Infinity): unknown {
    const milliseconds = Math.ceil(this.#milliseconds + CALL_PER_UNIT * units);
    return this.#tokenizer.call(method, values, { milliseconds, size });
  }

  #find(token: v.InferOutput<typeof SPECIAL>): number | undefined {
    const content = typeof token === "string" ? token : token?.content;
    return content ? this.#call("find", [content], 0) as number | undefined : undefined;
  }
}
