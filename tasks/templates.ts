import { Template } from "@huggingface/jinja";
import { join } from "@std/path";
import { BASE_TEMPLATE, type PromptTemplate } from "./wording.ts";

/** Options of {@linkcode chatTemplate}. */
export interface ChatTemplateOptions {
  /** The texts of special tokens by the names that a template uses: `bos_token`, `eos_token`, … */
  readonly specialTokens?: Readonly<Record<string, string>>;
  /** What the model is told before the question, in a turn of its own; nothing unless told. */
  readonly system?: string;
}

/** The parts of the date that a template is told, Llama 3's default: a prompt is always the same. */
const DATE: Readonly<Record<string, string>> = {
  "%Y": "2024",
  "%m": "07",
  "%d": "26",
  "%b": "Jul",
  "%B": "July",
  "%y": "24",
  "%A": "Friday",
  "%a": "Fri",
  "%H": "12",
  "%M": "00",
  "%S": "00",
  "%%": "%",
};

/** Stands for the question; of private use, so that no template holds it. */
const MARK = "\u{F0000}question\u{F0000}";

const FOLDERS_FILES = "chat_template.jinja and tokenizer_config.json's chat_template";

/**
 * A model's own chat template: the question is the user's turn, and the answer prefix stands right
 * behind the generation prompt, as RULER has it, so that the reply continues it. The template is
 * Jinja, run by Hugging Face's package, and spells out the special tokens, so that none is added.
 * A template that asks for the date always gets the same one.
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
 * @throws {Error} where it is no Jinja, or does not hold the question.
 */
export function chatTemplate(source: string, options: ChatTemplateOptions = {}): PromptTemplate {
  const { specialTokens = {}, system } = options;
  let template: Template;
  try {
    // The package's own strftime_now() reads the clock; the line's end is trimmed with its block.
    template = new Template(`{% set strftime_now = same_date %}\n${source}`);
  } catch (error) {
    throw new Error(`Cannot read a chat template: ${(error as Error).message}`, { cause: error });
  }
  const render = (question: string): string => {
    try {
      return template.render({
        messages: [
          ...(system === undefined ? [] : [{ role: "system", content: system }]),
          { role: "user", content: question },
        ],
        add_generation_prompt: true,
        tools: null,
        documents: null,
        same_date: (format: string): string => format.replace(/%./g, (part) => DATE[part] ?? part),
        ...specialTokens,
      });
    } catch (error) {
      throw new Error(
        `Cannot ask one question in a chat template: ${(error as Error).message}`,
        { cause: error },
      );
    }
  };
  // What stands around a question does not depend on it, so that a long one need not pass through
  // Jinja; but many templates trim it.
  const rendered = render(MARK);
  const trims = render(` ${MARK} `) === rendered;
  const parts = rendered.split(MARK);
  if (parts.length !== 2) {
    throw new Error(
      `Cannot use a chat template as it must hold the question once: current number is ${
        parts.length - 1
      }`,
    );
  }
  const [before, after] = parts;
  return {
    name: "chat",
    special: false,
    render: (question, answerPrefix) =>
      before + (trims ? question.trim() : question) + after + answerPrefix,
  };
}

/**
 * The chat template of a checkpoint's folder: `chat_template.jinja`, or `chat_template` of its
 * `tokenizer_config.json`, of which a list holds several by name; `default` is taken.
 *
 * @returns Nothing where the folder has none: a base model.
 * @throws {Error} where what is there is no template.
 */
export async function loadChatTemplate(
  folder: string,
  options: Pick<ChatTemplateOptions, "system"> = {},
): Promise<PromptTemplate | undefined> {
  const configuration = await readConfiguration(join(folder, "tokenizer_config.json"));
  const source = await readIfThere(join(folder, "chat_template.jinja")) ??
    defaultOf(configuration.chat_template, folder);
  if (source === undefined) return undefined;
  try {
    return chatTemplate(source, { ...options, specialTokens: specialTokensOf(configuration) });
  } catch (error) {
    throw new Error(`${(error as Error).message} (of ${folder})`, { cause: error });
  }
}

/**
 * The templates that a checkpoint's folder can be asked in: the plain one, and its own where it has one.
 *
 * @throws {Error} where what is there is no template.
 */
export async function loadTemplates(folder: string): Promise<PromptTemplate[]> {
  const chat = await loadChatTemplate(folder);
  return [BASE_TEMPLATE, ...(chat ? [chat] : [])];
}

function defaultOf(templates: unknown, folder: string): string | undefined {
  if (templates === undefined || templates === null || typeof templates === "string") {
    return templates ?? undefined;
  }
  const named = Array.isArray(templates)
    ? templates.find((entry) => entry?.name === "default")?.template
    : undefined;
  if (typeof named === "string") return named;
  throw new Error(
    `Cannot take a chat template from ${folder} as ${FOLDERS_FILES} hold neither one nor a list with one that is called default`,
  );
}

/** The texts of a `tokenizer_config.json`'s `…_token`, each a text or an object that has one. */
function specialTokensOf(configuration: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(configuration).flatMap(([name, token]) => {
      if (!name.endsWith("_token")) return [];
      const text = typeof token === "string" ? token : (token as { content?: unknown })?.content;
      return typeof text === "string" ? [[name, text]] : [];
    }),
  );
}

async function readConfiguration(path: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readIfThere(path);
  try {
    return text === undefined ? {} : JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot read ${path} as it is no JSON (${(error as Error).message})`, {
      cause: error,
    });
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
