import { join } from "@std/path";
import * as v from "valibot";
import { check, integer, listOf, parsePythonJson } from "../../models/schema.ts";
import { readBoundedText } from "../../models/text_file.ts";
import type { Tokenizer } from "../../models/mod.ts";

const TOKEN = integer(0, 2 ** 28 - 1);
const END = v.nullish(v.union([TOKEN, listOf(TOKEN)], "a token's number or a list of them"));
/** What transformers' configurations say of the end of a text; those of more than text keep it apart. */
const CONFIGURATION = v.object({
  eos_token_id: END,
  text_config: v.nullish(v.object({ eos_token_id: END }, "an object")),
}, "an object");

/** The first file that names tokens counts, as in transformers. */
const FILES = ["generation_config.json", "config.json"];

/**
 * The tokens that end a reply: those that a checkpoint's `generation_config.json` names, or where it
 * names none its `config.json`; and the tokenizer's own end. A chat model may end its turn with another
 * token than its text.
 *
 * @throws {Error} where a file is not valid JSON, or names something that is not a token.
 */
export async function readStopTokens(
  folder: string,
  tokenizer: Tokenizer | undefined,
): Promise<readonly number[]> {
  const end = tokenizer?.end === undefined ? [] : [tokenizer.end];
  for (const file of FILES) {
    const path = join(folder, file);
    const text = await readBoundedText(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    if (text === undefined) continue;
    const { eos_token_id: named, text_config: inner } = check(
      CONFIGURATION,
      parsePythonJson(text, path),
      path,
    );
    const tokens = [named ?? inner?.eos_token_id ?? []].flat();
    if (tokens.length > 0) return [...new Set([...tokens, ...end])];
  }
  return end;
}
