import { basename, extname, join } from "@std/path";
import * as v from "valibot";
import { Sandbox, type Sandboxed } from "../models/sandbox/sandbox.ts";
import { readBoundedText } from "../models/text_file.ts";
import { check, listOf, parseJson, TEXT } from "../models/schema.ts";
import { reasonOf } from "./errors.ts";
import { BASE_TEMPLATE, type PromptTemplate } from "./wording.ts";

/** Options of {@linkcode chatTemplate}. */
export interface ChatTemplateOptions {
  /** The texts of special tokens by the names that a template uses: `bos_token`, `eos_token`, … */
  readonly specialTokens?: Readonly<Record<string, string>>;
  /** What the model gets before the question, in a turn of its own. @default nothing */
  readonly system?: string;
}

/** Stands for the question; of private use and without letters, so that no template holds or changes it. */
const MARK = "\u{F0000}\u{F0001}\u{F0002}";
/** Characters of a template. */
const LONGEST_SOURCE = 2 ** 20;
/** Megabytes of all templates together, and milliseconds in which one is parsed. */
const MEMORY = 512;
const PARSING = 10_000;
/** Milliseconds of a prompt, and of each character of its question. */
const RENDERING = 5_000;
const RENDERING_PER_CHARACTER = 0.01;
/** Characters that a template may add, and how often it may hold the question. */
const ADDED = 2 ** 20;
const HELD = 4;

const SANDBOX = new Sandbox(new URL("./template_worker.ts", import.meta.url), MEMORY);

const FOLDERS_FILES = "chat_template.jinja and tokenizer_config.json's chat_template";

/**
 * A model's own chat template: the question is the user's turn, and the answer prefix stands right
 * behind the generation prompt, as RULER has it, so that the reply continues it. The template is
 * Jinja, run by Hugging Face's package in a worker with limits on time and output, and spells out the
 * special tokens, so that none is added. A template that asks for the date always gets the same one.
 *
 * ```ts
 * import { chatTemplate } from "@lengthwise/lengthwise/tasks";
 *
 * const template = chatTemplate(
 *   "{{ bos_token }}{% for message in messages %}[INST] {{ message.content }} [/INST]{% endfor %}",
 *   { specialTokens: { bos_token: "<s>" } },
 * );
 * console.log(template.render("Which is it?", " It is")); // <s>[INST] Which is it? [/INST] It is
 * ```
 *
 * @param source The template.
 * @throws {Error} where it is not Jinja, does not hold the question, or takes more than the limits; so
 * does its `render()`.
 */
export function chatTemplate(source: string, options: ChatTemplateOptions = {}): PromptTemplate {
  const { specialTokens = {}, system } = options;
  let template: Sandboxed;
  try {
    if (source.length > LONGEST_SOURCE) throw new Error(`it has ${source.length} characters`);
    template = SANDBOX.make([source], PARSING);
  } catch (error) {
    throw new Error(`Cannot read a chat template: ${(error as Error).message}`, { cause: error });
  }
  const render = (question: string): string => {
    const names = {
      messages: [
        ...(system === undefined ? [] : [{ role: "system", content: system }]),
        { role: "user", content: question },
      ],
      add_generation_prompt: true,
      tools: null,
      documents: null,
      ...specialTokens,
    };
    try {
      return template.call("render", [names], {
        milliseconds: Math.ceil(RENDERING + RENDERING_PER_CHARACTER * question.length),
        size: HELD * question.length + ADDED,
      }) as string;
    } catch (error) {
      throw new Error(
        `Cannot ask one question in a chat template: ${(error as Error).message}`,
        { cause: error },
      );
    }
  };
  const times = render(MARK).split(MARK).length - 1;
  if (times !== 1) {
    throw new Error(
      `Cannot use a chat template as it must hold the question once: current number is ${times}; the question is {{ messages[0].content }}`,
    );
  }
  return {
    name: "chat",
    special: false,
    render: (question, answerPrefix) => render(question) + answerPrefix,
  };
}

/**
 * The chat template of a checkpoint's folder: `chat_template.jinja`, or `chat_template` of its
 * `tokenizer_config.json`, of which a list holds several by name; `default` is taken.
 *
 * @returns Undefined where the folder has none: a base model.
 * @throws {Error} where what is there is not a template.
 */
export async function loadChatTemplate(
  folder: string,
  options: Pick<ChatTemplateOptions, "system"> = {},
): Promise<PromptTemplate | undefined> {
  if ((await Deno.stat(folder)).isFile) return undefined; // a vocabulary alone
  const configuration = await readConfiguration(join(folder, "tokenizer_config.json"));
  const tokens = await readConfiguration(join(folder, "special_tokens_map.json"));
  const source = await readIfThere(join(folder, "chat_template.jinja")) ??
    defaultOf(configuration.chat_template, folder);
  if (source === undefined) return undefined;
  try {
    return chatTemplate(source, {
      ...options,
      specialTokens: specialTokensOf([tokens, configuration]),
    });
  } catch (error) {
    throw new Error(`${(error as Error).message} (of ${folder})`, { cause: error });
  }
}

/**
 * The templates that a model can be asked in: the plain one, and its chat template, where the first of
 * some folders has one that has any: the tokenizer's before the checkpoint's.
 *
 * @throws {Error} where what is there is not a template.
 */
export async function loadTemplates(...folders: readonly string[]): Promise<PromptTemplate[]> {
  for (const folder of folders) {
    const chat = await loadChatTemplate(folder);
    if (chat) return [BASE_TEMPLATE, chat];
  }
  return [BASE_TEMPLATE];
}

/** Whether a template is called by a file's path, rather than `base` or `chat`. */
export function isTemplateFile(name: string): boolean {
  return /[\\/]|\.(jinja2?|j2|txt)$/.test(name);
}

/**
 * The template that a file holds, in Jinja as {@linkcode chatTemplate} takes it, by the file's name
 * without what is behind its dot: `templates/instruct.jinja` is `instruct`.
 *
 * @param folders Of tokenizers, for the texts of special tokens: the first that has any counts.
 * @throws {Error} where it cannot be read, or holds no template.
 */
export async function loadTemplateFile(
  path: string,
  folders: readonly string[] = [],
): Promise<PromptTemplate> {
  let specialTokens: Record<string, string> = {};
  for (const folder of folders) {
    specialTokens = await readSpecialTokens(folder);
    if (Object.keys(specialTokens).length > 0) break;
  }
  let source: string;
  try {
    source = await readBoundedText(path);
  } catch (error) {
    throw new Error(`Cannot read the template ${path}: ${reasonOf(error)}`, { cause: error });
  }
  try {
    const stem = basename(path, extname(path));
    const name = stem === "base" || stem === "chat" ? basename(path) : stem; // those are taken
    return { ...chatTemplate(source, { specialTokens }), name };
  } catch (error) {
    throw new Error(`${(error as Error).message} (of ${path})`, { cause: error });
  }
}

async function readSpecialTokens(folder: string): Promise<Record<string, string>> {
  if ((await Deno.stat(folder)).isFile) return {}; // a vocabulary alone
  const files = ["special_tokens_map.json", "tokenizer_config.json"];
  return specialTokensOf(
    await Promise.all(files.map((file) => readConfiguration(join(folder, file)))),
  );
}

/** A special token: its text, or an object that has it; other entries may be of any kind. */
const SPECIAL_TOKEN = v.union([TEXT, v.looseObject({ content: TEXT })]);
const CONFIGURATION = v.looseObject({
  chat_template: v.nullish(v.union([
    TEXT,
    listOf(v.looseObject({ name: TEXT, template: TEXT }, "an object")),
  ], "a string, or a list of templates by name")),
}, "an object");
type Configuration = v.InferOutput<typeof CONFIGURATION>;

function defaultOf(
  templates: Configuration["chat_template"],
  folder: string,
): string | undefined {
  if (templates === undefined || templates === null || typeof templates === "string") {
    return templates ?? undefined;
  }
  const named = templates.find(({ name }) => name === "default")?.template;
  if (named !== undefined) return named;
  throw new Error(
    `Cannot take a chat template from ${folder} as ${FOLDERS_FILES} hold neither one nor a list with one that is called default`,
  );
}

/** The texts of the `…_token` in a folder's files, of which those of the last count. */
function specialTokensOf(
  files: readonly Readonly<Record<string, unknown>>[],
): Record<string, string> {
  return Object.fromEntries(
    files.flatMap((file) => Object.entries(file)).flatMap(([name, value]) => {
      const token = v.safeParse(SPECIAL_TOKEN, value);
      if (!name.endsWith("_token") || !token.success) return [];
      return [[name, typeof token.output === "string" ? token.output : token.output.content]];
    }),
  );
}

async function readConfiguration(path: string): Promise<Configuration> {
  const text = await readIfThere(path);
  return text === undefined ? {} : check(CONFIGURATION, parseJson(text, path), path);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readBoundedText(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
