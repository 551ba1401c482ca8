import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { loadTokenizer } from "../../models/mod.ts";
import { chatTemplate } from "../../tasks/mod.ts";
import { findPublished } from "../../tasks/subjects/published.ts";
import { readStopTokens } from "../../tasks/subjects/stop_tokens.ts";
import { parseRecipe } from "../../tasks/training/recipe_file.ts";
import { inFolder } from "../testing.ts";

const GOLDEN = fromFileUrl(new URL("../golden/checkpoints", import.meta.url));
const TOKENIZER = `${GOLDEN}/tokenizer_bytelevel`;

const templateOf = (name: string): Promise<string> =>
  Deno.readTextFile(`${GOLDEN}/strangers/templates/${name}.jinja`);

Deno.test("a template that loops for long is refused, and the next one is read", async () => {
  const started = performance.now();
  const source = await templateOf("loop_1e9");
  assertThrows(
    () => chatTemplate(source),
    Error,
    "Cannot ask one question in a chat template: it took",
  );
  assert(performance.now() - started < 30_000);
  assertEquals(chatTemplate("{{ messages[0].content }}!").render("Q?", " A:"), "Q?! A:");
});

Deno.test("a template that writes too much is refused", () => {
  const filler = "{% for i in range(3000) %}{{ '" + "x".repeat(1000) + "' }}{% endfor %}";
  assertThrows(
    () => chatTemplate(`{{ messages[0].content }}${filler}`),
    Error,
    "characters, more than",
  );
});

Deno.test("a template is applied to the question itself, whatever it does to the text", async () => {
  const replaces = chatTemplate(await templateOf("replace"));
  assertEquals(replaces.render("a cat", " a"), "b cbt a");
  const measures = chatTemplate(await templateOf("conditional_length"));
  assertEquals(measures.render("short", ""), "SHORT short");
  const long = "a question of more than thirty characters";
  assertEquals(measures.render(long, ""), `LONG ${long}`);
  assertEquals(chatTemplate("{{ messages[0].content | upper }}").render("what?", ""), "WHAT?");
});

/** Writes the byte-level tokenizer with changes of its files. */
async function writeTokenizer(
  folder: string,
  changes: Record<string, unknown>,
  files: Record<string, unknown> = {},
): Promise<void> {
  const tokenizer = JSON.parse(await Deno.readTextFile(`${TOKENIZER}/tokenizer.json`));
  const written = { "tokenizer.json": { ...tokenizer, ...changes }, ...files };
  for (const [name, content] of Object.entries(written)) {
    await Deno.writeTextFile(join(folder, name), JSON.stringify(content));
  }
}

/** A post-processor that adds a token on a side, as Llama's and T5's have it. */
function adding(id: number, side: "before" | "behind"): unknown {
  const token = { SpecialToken: { id: "<|endoftext|>", type_id: 0 } };
  const text = { Sequence: { id: "A", type_id: 0 } };
  return {
    type: "TemplateProcessing",
    single: side === "before" ? [token, text] : [text, token],
    pair: [],
    special_tokens: {
      "<|endoftext|>": { id: "<|endoftext|>", ids: [id], tokens: ["<|endoftext|>"] },
    },
  };
}

Deno.test("a tokenizer that appends its end token does not end a prompt; one before it stays", () =>
  inFolder(async (folder) => {
    await writeTokenizer(folder, {});
    const plain = [...(await loadTokenizer(folder)).encode("the cat")];
    await writeTokenizer(folder, { post_processor: adding(0, "behind") });
    const appending = await loadTokenizer(folder);
    assertEquals([...appending.encode("the cat")], plain);
    // An end that is written out is the text's own.
    assertEquals([...appending.encode("the cat<|endoftext|>")], [...plain, 0]);
    await writeTokenizer(folder, { post_processor: adding(0, "before") });
    assertEquals([...(await loadTokenizer(folder)).encode("the cat")], [0, ...plain]);
  }));

Deno.test("a tokenizer whose pattern backtracks for ever is stopped, by name", () =>
  inFolder(async (folder) => {
    const { JsonTokenizer } = await import("../../models/mod.ts");
    const tokenizer = JSON.parse(await Deno.readTextFile(`${TOKENIZER}/tokenizer.json`));
    const pattern = { Regex: "(a+)+$" };
    const pre_tokenizer = { type: "Split", pattern, behavior: "Isolated", invert: false };
    const path = join(folder, "tokenizer.json");
    const made = new JsonTokenizer({ ...tokenizer, pre_tokenizer }, {}, path, {
      milliseconds: 500,
    });
    assertThrows(
      () => made.encode("a".repeat(50) + "b"),
      Error,
      `Cannot encode a text with ${path}: it took longer than`,
    );
    assertEquals(made.decode(made.encode("ab")), "ab");
  }));

Deno.test("tokenizer.json is checked before it is built", () =>
  inFolder(async (folder) => {
    const refuses = async (changes: Record<string, unknown>, message: string): Promise<void> => {
      await writeTokenizer(folder, changes);
      const error = await assertRejects(() => loadTokenizer(folder), Error, message);
      assertStringIncludes(error.message, `Cannot read ${folder}/tokenizer.json as a tokenizer: `);
    };
    await refuses({ model: { type: "BPE", vocab: { a: 1e12 }, merges: [] } }, '"vocab" must be');
    await refuses({ model: { type: "BPE", vocab: { a: 1.5 }, merges: [] } }, '"vocab" must be');
    await refuses({ model: 3 }, '"model" must be an object');
    await refuses({ added_tokens: [{ id: -1, content: "<s>" }] }, '"id" must be an integer from 0');
    await refuses({ added_tokens: [{ id: 1, content: 3 }] }, '"content" must be a string');
    await writeTokenizer(folder, {}, { "tokenizer_config.json": { eos_token: 7 } });
    await assertRejects(() => loadTokenizer(folder), Error, '"eos_token" must be a string');
  }));

Deno.test("special tokens are those of tokenizer_config.json, else of special_tokens_map.json", () =>
  inFolder(async (folder) => {
    const end = "<|endoftext|>";
    const map = { eos_token: { content: end }, bos_token: end };
    await writeTokenizer(folder, {}, { "special_tokens_map.json": map });
    const { beginning, end: ends } = await loadTokenizer(folder);
    assertEquals([beginning, ends], [0, 0]);
    const configuration = { eos_token: "a", bos_token: null };
    await writeTokenizer(folder, {}, { "tokenizer_config.json": configuration });
    const both = await loadTokenizer(folder);
    assertEquals([both.beginning, both.end], [0, both.encode("a")[0]]);
  }));

Deno.test("a reply ends at what generation_config.json names, else config.json, and the tokenizer's end", () =>
  inFolder(async (folder) => {
    const tokenizer = { ...await loadTokenizer(TOKENIZER), end: 7 } as never;
    const write = (file: string, eos: unknown): Promise<void> =>
      Deno.writeTextFile(join(folder, file), JSON.stringify({ eos_token_id: eos }));
    assertEquals(await readStopTokens(folder, undefined), []);
    assertEquals(await readStopTokens(folder, tokenizer), [7]);
    await write("config.json", 3);
    assertEquals(await readStopTokens(folder, tokenizer), [3, 7]);
    await Deno.writeTextFile(
      join(folder, "config.json"),
      JSON.stringify({ text_config: { eos_token_id: [3] } }),
    );
    assertEquals(await readStopTokens(folder, tokenizer), [3, 7]);
    await write("generation_config.json", null);
    assertEquals(await readStopTokens(folder, undefined), [3]);
    await write("generation_config.json", [4, 7]);
    assertEquals(await readStopTokens(folder, tokenizer), [4, 7]);
    for (const wrong of ["4", -1, 1.5, [4, "x"], {}]) {
      await write("generation_config.json", wrong);
      await assertRejects(() => readStopTokens(folder, tokenizer), Error, '"eos_token_id" must be');
    }
  }));

Deno.test("a tokenizer from elsewhere brings its chat template along", () =>
  inFolder(async (folder) => {
    const model = `${GOLDEN}/strangers/llama32`;
    const find = async (tokenizer: string): Promise<readonly string[]> => {
      const { card } = await findPublished({
        ...{ kind: "published", name: model, place: model, changes: [], tokenizer },
      });
      const error = await assertRejects(() => card.task("vt", {}, "none"), RangeError, "it has");
      return [error.message.split("it has ")[1]];
    };
    assertEquals(await find(TOKENIZER), ["base"]);
    await writeTokenizer(folder, {}, {
      "tokenizer_config.json": { chat_template: "[{{ messages[0].content }}]" },
    });
    assertEquals(await find(folder), ["base, chat"]);
  }));

Deno.test("a recipe is checked where it comes from a file, and what it must be is said", async () => {
  const path = fromFileUrl(new URL("../../models/zoo/gla-niah/recipe.json", import.meta.url));
  const text = await Deno.readTextFile(path);
  const recipe = JSON.parse(text);
  assertEquals(parseRecipe(text, path), recipe);
  const refuses = (changes: Record<string, unknown>, message: string): void => {
    const changed = JSON.stringify({ ...recipe, ...changes });
    assertThrows(() => parseRecipe(changed, "r.json"), Error, `Cannot read r.json${message}`);
  };
  refuses({ model: undefined }, ': it must give "model"');
  refuses({ steps: 1e12 }, ': "steps" must be a positive integer');
  refuses({ learningRate: "3e-3" }, ': "learningRate" must be a number');
  refuses({ tasks: [] }, ': "tasks" must be a list of at least one task');
  refuses({ tasks: [{ name: "chess", options: {} }] }, ', "tasks" item 0: "name" must be one of');
  refuses(
    { tasks: [{ name: "mqar", options: { vocabulary: { a: 1 } } }] },
    ', "tasks" item 0, "options": "vocabulary" must be a number, a text',
  );
  refuses({ rate: 1 }, ': "rate" is none of its fields');
  const [layer] = recipe.model.layers;
  refuses(
    { model: { ...recipe.model, layers: [{ ...layer, mixer: { ...layer.mixer, heads: 1e9 } }] } },
    ', "model", "layers" item 0, "mixer": "heads" must be a positive integer, at most 4096',
  );
});
