import { basename, dirname, join } from "@std/path";
import * as v from "valibot";
import { requireDeno } from "../platform.ts";
import { check, parseJson } from "../schema.ts";
import { readBoundedText } from "../text_file.ts";
import { JsonTokenizer } from "./json_tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { WorldTokenizer } from "./world_tokenizer.ts";

const JSON_FILE = "tokenizer.json";
/** Bytes of a file of a tokenizer; those of vocabularies of a quarter million tokens have 35 MB. */
const LARGEST = 512 * 2 ** 20;
const WORLD = /^rwkv_vocab_.*\.txt$/;
/** What to do without folders. */
const INSTEAD = "it has no folders; make a WorldTokenizer of its text, or take BYTE_TOKENIZER";
/** How to come by RWKV's vocabulary, which its `.pth` files lie without. */
const WORLD_SOURCE =
  "RWKV's World models take rwkv_vocab_v20230424.txt, which is at https://raw.githubusercontent.com/BlinkDL/ChatRWKV/main/tokenizer/rwkv_vocab_v20230424.txt: put it beside the checkpoint";

/** Whether a folder holds a tokenizer that {@linkcode loadTokenizer} reads. */
export async function holdsTokenizer(folder: string): Promise<boolean> {
  requireDeno(`look for a tokenizer in ${folder}`, INSTEAD);
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  return names.some((name) => name === JSON_FILE || WORLD.test(name));
}

/**
 * Loads a checkpoint's tokenizer from its folder: `tokenizer.json`, with `tokenizer_config.json`
 * and `special_tokens_map.json` where they are there, or RWKV's World vocabulary.
 *
 * @param path The folder, or a file in it: the checkpoint's, or the vocabulary itself.
 * @throws {Error} where there is neither, or a file is not a tokenizer; and in a browser.
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  requireDeno(`load a tokenizer from ${path}`, INSTEAD);
  if (WORLD.test(basename(path))) return await loadWorld(path);
  const folder = await isFile(path) ? dirname(path) : path;
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  if (names.includes(JSON_FILE)) {
    const source = join(folder, JSON_FILE);
    const [map = {}, configuration = {}] = await Promise.all(
      ["special_tokens_map.json", "tokenizer_config.json"].map((file) =>
        names.includes(file) ? readObject(join(folder, file)) : undefined
      ),
    );
    const tokens = Object.entries(map).filter(([name]) =>
      configuration[name] === undefined || configuration[name] === null
    );
    return new JsonTokenizer(
      await readJson(source),
      { ...configuration, ...Object.fromEntries(tokens) },
      source,
    );
  }
  const world = names.find((name) => WORLD.test(name));
  if (world !== undefined) return await loadWorld(join(folder, world));
  throw new Error(
    `Cannot load a tokenizer from ${path} as ${
      folder === path ? "it" : "its folder"
    } holds no tokenizer.json and no rwkv_vocab_*.txt${
      names.some((name) => name.endsWith(".pth")) ? `; ${WORLD_SOURCE}` : ""
    }`,
  );
}

/** Whether a path is a file's. @throws {Error} where nothing is there. */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(
      `Cannot load a tokenizer from ${path} as there is no such file or folder: name the folder of a checkpoint that has one`,
      { cause: error },
    );
  }
}

async function loadWorld(source: string): Promise<Tokenizer> {
  return new WorldTokenizer(await readBoundedText(source), source);
}

/** The object that a small file holds. */
async function readObject(path: string): Promise<Record<string, unknown>> {
  return check(v.record(v.string(), v.unknown(), "an object"), await readJson(path), path);
}

async function readJson(path: string): Promise<unknown> {
  return parseJson(await readBoundedText(path, LARGEST), path);
}
