import { showNames } from "../schema.ts";
import { decodeUtf8 } from "./byte_tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";

const END_OF_TEXT = 0;
const LARGEST_TOKEN = 2 ** 28 - 1;
const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  "\\": "\\",
  "'": "'",
  '"': '"',
};

/**
 * RWKV's World vocabulary: at each byte of the text's UTF-8, the longest token that matches. The
 * vocabulary's file (`rwkv_vocab_v20230424.txt`) has a line per token: its number, its text or bytes as
 * Python writes them, and how many bytes these are. Token 0 ends a text and has none.
 */
export class WorldTokenizer implements Tokenizer {
  /** One more than the largest token. */
  readonly vocabulary: number;
  /** The token that ends a text. */
  readonly end: number = END_OF_TEXT;
  readonly #bytes: ReadonlyMap<number, Uint8Array>;
  /** Nodes are numbered as they are made: `256 · node + byte` leads to the next. */
  readonly #edges = new Map<number, number>();
  readonly #tokens: (number | undefined)[] = [undefined];

  /**
   * Reads a vocabulary.
   *
   * @param source The file's name, for errors.
   * @throws {Error} that names the line that is wrong, or the byte that no token has.
   */
  constructor(vocabulary: string, source: string) {
    const bytes = new Map<number, Uint8Array>();
    vocabulary.split("\n").forEach((line, index) => {
      if (line.trim() === "") return;
      const [token, text] = parseLine(line, `${source}:${index + 1}`);
      bytes.set(token, text);
      this.#insert(token, text);
    });
    for (let byte = 0; byte < 256; byte++) {
      const node = this.#edges.get(byte);
      if (node === undefined || this.#tokens[node] === undefined) {
        throw new Error(`Cannot read ${source} as it has no token for byte ${byte}: truncated?`);
      }
    }
    this.#bytes = bytes;
    this.vocabulary = bytes.keys().reduce((most, token) => Math.max(most, token), 0) + 1;
  }

  /** The tokens of a text; there are no special ones to add. */
  encode(text: string): Uint32Array {
    const bytes = new TextEncoder().encode(text);
    const tokens: number[] = [];
    for (let at = 0; at < bytes.length;) {
      let longest = at;
      let token = END_OF_TEXT;
      let node: number | undefined = 0;
      for (let next = at; next < bytes.length;) {
        node = this.#edges.get(256 * node + bytes[next++]);
        if (node === undefined) break;
        const found = this.#tokens[node];
        if (found !== undefined) [longest, token] = [next, found];
      }
      tokens.push(token);
      at = longest;
    }
    return Uint32Array.from(tokens);
  }

  /** The text of tokens; those that the vocabulary lacks have none. */
  decode(tokens: ArrayLike<number>): string {
    const parts = Array.from(tokens, (token) => this.#bytes.get(token) ?? new Uint8Array());
    const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return decodeUtf8(bytes);
  }

  #insert(token: number, bytes: Uint8Array): void {
    let node = 0;
    for (const byte of bytes) {
      const edge = 256 * node + byte;
      let next = this.#edges.get(edge);
      if (next === undefined) {
        next = this.#tokens.push(undefined) - 1;
        this.#edges.set(edge, next);
      }
      node = next;
    }
    this.#tokens[node] = token;
  }
}

/** `300 b'\xe4\xb8' 2` */
function parseLine(line: string, source: string): [token: number, bytes: Uint8Array] {
  const parsed = /^(\d+) (b?)('.*'|".*") (\d+)\r?$/.exec(line);
  const bytes = parsed && parseLiteral(parsed[3], parsed[2] === "b");
  if (!parsed || !bytes || bytes.length === 0 || bytes.length !== Number(parsed[4])) {
    throw new Error(
      `Cannot read ${source} as it must be a number, a literal and its length: current line is ${
        showNames([line])
      }`,
    );
  }
  const token = Number(parsed[1]);
  if (token > LARGEST_TOKEN) {
    throw new Error(`Cannot read ${source} as its token must be at most ${LARGEST_TOKEN}`);
  }
  return [token, bytes];
}

/** What a literal of Python's `repr()` stands for; undefined where it is none. */
function parseLiteral(literal: string, isBytes: boolean): Uint8Array | undefined {
  const quote = literal[0];
  let valid = true;
  const text = literal.slice(1, -1).replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.?))|(['"])/gu,
    (_, two, four, eight, escaped, bare) => {
      if (bare !== undefined) {
        valid &&= bare !== quote;
        return bare;
      }
      if (escaped !== undefined) {
        valid &&= escaped in ESCAPES;
        return ESCAPES[escaped];
      }
      return String.fromCodePoint(parseInt(two ?? four ?? eight, 16));
    },
  );
  if (!valid) return undefined;
  return isBytes
    ? Uint8Array.from(text, (character) => character.charCodeAt(0))
    : new TextEncoder().encode(text);
}
