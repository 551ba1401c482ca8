import { Tokenizer } from "@huggingface/tokenizers";
import { type Methods, serve } from "../sandbox/serve.ts";

serve((tokenizer: string, configuration: string): Methods => {
  const made = new Tokenizer(JSON.parse(tokenizer), JSON.parse(configuration));
  const encode = (text: string, special: boolean): number[] =>
    made.encode(text, { add_special_tokens: special }).ids;
  const appended = appendedTokens(encode("a", true), encode("a", false));
  return {
    vocabulary: () =>
      made.get_vocab(true).values().reduce((most, token) => Math.max(most, token), -1) + 1,
    find: (content: string) => made.token_to_id(content),
    encode: (text: string, special: boolean) =>
      Uint32Array.from(special ? without(encode(text, true), appended) : encode(text, false)),
    decode(tokens: Uint32Array): string {
      const known = Array.from(tokens).filter((token) => made.id_to_token(token) !== undefined);
      if (known.length === 0) return "";
      return made.decode(known, {
        skip_special_tokens: true,
        clean_up_tokenization_spaces: false,
      });
    },
  };
});

/** The special tokens that stand behind a text. */
function appendedTokens(special: readonly number[], plain: readonly number[]): number[] {
  const before = special.findIndex((_, start) =>
    plain.every((token, index) => special[start + index] === token)
  );
  return before < 0 ? [] : special.slice(before + plain.length);
}

/** A prompt is continued: no token ends it. */
function without(tokens: number[], appended: readonly number[]): number[] {
  const start = tokens.length - appended.length;
  return appended.length > 0 && appended.every((token, index) => tokens[start + index] === token)
    ? tokens.slice(0, start)
    : tokens;
}
