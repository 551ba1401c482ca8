import type { Tokenizer } from "./tokenizer.ts";

/** Each byte of the text's UTF-8 is a token. */
export const BYTE_TOKENIZER: Tokenizer = Object.freeze({
  vocabulary: 256,
  encode: (text: string): Uint32Array => Uint32Array.from(new TextEncoder().encode(text)),
  decode: (tokens: ArrayLike<number>): string => decodeUtf8(Uint8Array.from(tokens)),
});

/** UTF-8 as text, a byte order mark included. */
export function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
