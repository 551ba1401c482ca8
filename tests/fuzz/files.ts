import { fromFileUrl, join } from "@std/path";
import { CheckpointConfig } from "../../models/checkpoints/published/config.ts";
import { readPublished } from "../../models/checkpoints/published/registry.ts";
import { readSafetensors } from "../../models/checkpoints/safetensors.ts";
import { openWeights } from "../../models/mod.ts";
import { loadTokenizer } from "../../models/tokenizers/mod.ts";
import { checkConfiguration } from "../../tasks/sweep/configuration.ts";
import { readSweep } from "../../tasks/sweep/sweep_file.ts";
import { readStopTokens } from "../../tasks/subjects/stop_tokens.ts";
import { createTask } from "../../tasks/mod.ts";
import { loadChatTemplate } from "../../tasks/templates.ts";
import { parseRecipe } from "../../tasks/training/recipe_file.ts";
import type { Draws } from "./draws.ts";
import { checkRefusal, type FuzzCase, type FuzzKind, type Outcome } from "./kind.ts";
import { mutateBytes, mutateJson, mutateText } from "./mutate.ts";
import { strictSafetensors } from "./strict_safetensors.ts";

const GOLDEN = fromFileUrl(new URL("../golden/checkpoints/", import.meta.url));
const ZOO = fromFileUrl(new URL("../../models/zoo/", import.meta.url));
const EXAMPLES = fromFileUrl(new URL("../../tasks/examples/", import.meta.url));
/** Where the mutated files stand; the process has one of its own. */
const FOLDER = await Deno.makeTempDir();
/** Files larger than this say nothing that smaller ones do not. */
const LARGEST = 64 * 1024;

/** Files below a folder, by a pattern of their names. */
function filesBelow(folder: string, name: RegExp): string[] {
  return [...Deno.readDirSync(folder)].flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory) return filesBelow(path, name);
    return name.test(entry.name) && Deno.statSync(path).size <= LARGEST ? [path] : [];
  }).sort();
}

const SAFETENSORS = filesBelow(GOLDEN, /\.safetensors$/);
const PICKLES = filesBelow(GOLDEN, /\.(pth|bin)$/);
const CONFIGS = [...filesBelow(GOLDEN, /^config.*\.json$/), ...filesBelow(ZOO, /^config\.json$/)];
const RECIPES = filesBelow(ZOO, /^recipe\.json$/);
const SWEEPS = filesBelow(EXAMPLES, /\.json$/).filter((path) => !path.endsWith("hybrid.json"));
const TOKENIZERS = ["tokenizer_bytelevel", "tokenizer_llama"].map((name) => join(GOLDEN, name));

/** Runs a loader on what was mutated: what it takes must pass `check`. */
async function taken<Loaded>(
  load: () => Promise<Loaded> | Loaded,
  check: (loaded: Loaded) => Promise<void> | void,
): Promise<Outcome> {
  let loaded: Loaded;
  try {
    loaded = await load();
  } catch (error) {
    return checkRefusal(error);
  }
  await check(loaded);
  return "right";
}

/** A folder with one file, and nothing of the case before. */
function folderWith(files: Readonly<Record<string, Uint8Array | string>>): string {
  for (const { name } of Deno.readDirSync(FOLDER)) Deno.removeSync(join(FOLDER, name));
  for (const [name, content] of Object.entries(files)) {
    const path = join(FOLDER, name);
    if (typeof content === "string") Deno.writeTextFileSync(path, content);
    else Deno.writeFileSync(path, content);
  }
  return FOLDER;
}

function readJson(path: string): unknown {
  return JSON.parse(Deno.readTextFileSync(path));
}

/** Weights that were opened: each tensor can be read, and has the elements that its shape says. */
async function checkWeights(path: string): Promise<Outcome> {
  return await taken(() => openWeights(path), async (weights) => {
    using opened = weights;
    for (const [name, { shape }] of opened.tensors) {
      const size = shape.reduce((product, extent) => product * extent, 1);
      try {
        const { length } = await opened.readFloats(name);
        if (length !== size) throw new TypeError(`${name} has ${length} elements, not ${size}`);
      } catch (error) {
        checkRefusal(error);
      }
    }
  });
}

const COUNTS =
  /^(width|vocabulary|heads|keyHeads|keyDim|valueDim|dim|channels|state|groups|hidden)$/;

/** Fails where a configuration holds what no model has: sizes that are none, or no numbers. */
function checkSane(value: unknown, key = ""): void {
  if (typeof value === "number") {
    const whole = !COUNTS.test(key) || (Number.isInteger(value) && value > 0);
    if (!Number.isFinite(value) || !whole) {
      throw new TypeError(`a model was described with ${key} = ${value}`);
    }
  } else if (Array.isArray(value)) {
    if (value.length > 4096) {
      throw new TypeError(`a model was described with ${value.length} ${key}`);
    }
    for (const item of value) checkSane(item, key);
  } else if (typeof value === "object" && value !== null) {
    for (const [name, item] of Object.entries(value)) checkSane(item, name);
  }
}

const QUESTION = "Which word  was it? {{ 1 }} <|end|>";
const TEMPLATES = [
  "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}",
  "{%- for message in messages -%}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token }}{%- endfor -%}",
  "{% set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}{{ system }}{% for m in messages if m.role != 'system' %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles') }}{% endif %}USER: {{ m.content }} {% endfor %}{{ strftime_now('%d %b %Y') }} ASSISTANT:",
];

const JINJA =
  "{{ }} {% %} {%- -%} {# #} messages m.content bos_token | trim [0] ['role'] not and or == + ~ if else endif for in endfor set x = namespace() range(9) loop.index raise_exception('no') '' \" \\ \n \u{1f600} 1e9 * %}"
    .split(" ");

/** Either mistakes in the bytes, or in what they say. */
function mutateJsonFile(path: string, draws: Draws): Uint8Array<ArrayBuffer> {
  return draws.chance(0.15)
    ? mutateBytes(Deno.readFileSync(path), draws)
    : new TextEncoder().encode(JSON.stringify(mutateJson(readJson(path), draws)));
}

async function checkTokenizer(path: string): Promise<Outcome> {
  return await taken(async () => {
    const tokenizer = await loadTokenizer(path);
    const tokens = await tokenizer.encode("Hello, wörld! 12 345\n\tAnd  so on: <s> 漢字");
    return { tokenizer, tokens, text: await tokenizer.decode(tokens) };
  }, ({ tokenizer, tokens, text }) => {
    const strange = tokens.find((token) => !(token < tokenizer.vocabulary));
    if (strange !== undefined) {
      throw new TypeError(`token ${strange} of a vocabulary of ${tokenizer.vocabulary}`);
    }
    if (typeof text !== "string") throw new TypeError("tokens are decoded to no text");
  });
}

const CASES: Record<string, FuzzCase> = {
  async safetensors(draws): Promise<Outcome> {
    const path = draws.option("file", SAFETENSORS);
    const bytes = mutateBytes(Deno.readFileSync(path), draws);
    return await taken(() => readSafetensors(bytes, "a.safetensors"), ({ tensors }) => {
      const strict = strictSafetensors(bytes);
      if (typeof strict === "string") throw new TypeError(`taken, though ${strict}`);
      for (const [name, { shape, data }] of tensors) {
        const size = strict.get(name)?.reduce((product, extent) => product * extent, 1);
        if (size !== data.length || `${shape}` !== `${strict.get(name)}`) {
          throw new TypeError(`${name} is [${shape}] of ${data.length}, not [${strict.get(name)}]`);
        }
      }
    });
  },

  async pickle(draws): Promise<Outcome> {
    const path = draws.option("file", PICKLES);
    const bytes = mutateBytes(Deno.readFileSync(path), draws);
    return await checkWeights(join(folderWith({ "a.pth": bytes }), "a.pth"));
  },

  async index(draws): Promise<Outcome> {
    const folder = join(GOLDEN, "safetensors_sharded");
    const files = Object.fromEntries(
      [...Deno.readDirSync(folder)].map((
        { name },
      ) => [name, Deno.readFileSync(join(folder, name))]),
    );
    const name = "model.safetensors.index.json";
    files[name] = mutateJsonFile(join(folder, name), draws);
    return await checkWeights(folderWith(files));
  },

  async config(draws): Promise<Outcome> {
    const path = draws.option("file", CONFIGS);
    const text = new TextDecoder().decode(mutateJsonFile(path, draws));
    return await taken(
      () => readPublished(CheckpointConfig.parse(text, "config.json")),
      ({ configuration }) => checkSane(configuration),
    );
  },

  async recipe(draws): Promise<Outcome> {
    const text = new TextDecoder().decode(mutateJsonFile(draws.option("file", RECIPES), draws));
    return await taken(async () => {
      const recipe = parseRecipe(text, "recipe.json");
      for (const { name, options } of recipe.tasks) await createTask(name, options);
      return recipe;
    }, (recipe) => checkSane(recipe));
  },

  async sweep(draws): Promise<Outcome> {
    const bytes = mutateJsonFile(draws.option("file", SWEEPS), draws);
    const folder = folderWith({ "a.json": bytes });
    return await taken(async () => {
      const sweep = await readSweep(join(folder, "a.json"));
      checkConfiguration(sweep);
      return sweep;
    }, (sweep) => checkSane(sweep));
  },

  async stop_tokens(draws): Promise<Outcome> {
    const said = mutateJson({ eos_token_id: draws.choose([2, [2, 3]]), top_p: 0.9 }, draws);
    const folder = folderWith({ "generation_config.json": JSON.stringify(said) });
    return await taken(() => readStopTokens(folder, undefined), (tokens) => {
      const strange = tokens.find((token) => !(Number.isInteger(token) && token >= 0));
      if (strange !== undefined) throw new TypeError(`a reply ends at token ${strange}`);
    });
  },

  async tokenizer(draws): Promise<Outcome> {
    const folder = draws.option("folder", TOKENIZERS);
    const names = ["tokenizer.json", "tokenizer_config.json"];
    const mutated = draws.option("file", names);
    const files = Object.fromEntries(names.map((name) => {
      const path = join(folder, name);
      return [name, name === mutated ? mutateJsonFile(path, draws) : Deno.readFileSync(path)];
    }));
    return await checkTokenizer(folderWith(files));
  },

  async vocabulary(draws): Promise<Outcome> {
    const name = "rwkv_vocab_v20230424.txt";
    const bytes = mutateBytes(Deno.readFileSync(join(GOLDEN, "tokenizer_world", name)), draws);
    return await checkTokenizer(folderWith({ [name]: bytes }));
  },

  async template(draws): Promise<Outcome> {
    const files = {
      "chat_template.jinja": draws.chance(0.2)
        ? mutateBytes(new TextEncoder().encode(draws.choose(TEMPLATES)), draws)
        : mutateText(draws.choose(TEMPLATES), JINJA, draws),
      "tokenizer_config.json": JSON.stringify(
        mutateJson({ bos_token: "<s>", eos_token: { content: "</s>" } }, draws),
      ),
    };
    const folder = folderWith(files);
    return await taken(async () => {
      const template = await loadChatTemplate(folder);
      return await template?.render(QUESTION, " It is");
    }, (prompt) => {
      if (!prompt?.includes(QUESTION.trim())) {
        throw new TypeError(`the question is lost: ${prompt}`);
      }
    });
  },
};

/** Mutated files of every format through its loader. */
export const FILES: FuzzKind = { cases: CASES, patience: 30 };
