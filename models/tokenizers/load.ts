import { join } from "@std/path";
import { JsonTokenizer } from "./json_tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { WorldTokenizer } from "./world_tokenizer.ts";

const WORLD = /^rwkv_vocab_.*\.txt$/;

/**
 * Loads a checkpoint's tokenizer from its folder: `tokenizer.json`, with `tokenizer_config.json`
 * where it is there, or RWKV's World vocabulary.
 *
 * @throws {Error} where there is neither, or a file is no tokenizer.
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  if (names.includes("tokenizer.json")) {
    const source = join(folder, "tokenizer.json");
    const configuration = names.includes("tokenizer_config.json")
      ? await readJson(join(folder, "tokenizer_config.json"))
      : undefined;
    return new JsonTokenizer(await readJson(source), configuration, source);
  }
  const world = names.find((name) => WORLD.test(name));
  if (world !== undefined) {
    const source = join(folder, world);
    return new WorldTokenizer(await Deno.readTextFile(source), source);
  }
  throw new Error(
    `Cannot load a tokenizer from ${folder} as it holds no tokenizer.json and no rwkv_vocab_*.txt`,
  );
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    throw new Error(`Cannot read ${path} as it is no JSON (${(error as Error).message})`, {
      cause: error,
    });
  }
}
