import { join } from "@std/path";
import { didYouMean } from "../../models/did_you_mean.ts";
import { BYTE_TOKENIZER, loadTokenizer } from "../../models/mod.ts";
import { RULER_TASKS, type RulerName } from "../generators/ruler/names.ts";
import type { QuestionTask } from "../generators/ruler/question.ts";
import { recordOf } from "../generators/ruler/records.ts";
import { RULER_NAMES, type RulerOptions, rulerQuestions } from "../generators/ruler/tasks.ts";
import { findTemplate, tokenizerFolder } from "../subjects/words.ts";
import { parseLength } from "../sweep/configuration.ts";
import type { SampleCoordinates } from "../task.ts";
import { loadTemplates } from "../templates.ts";
import { BASE_TEMPLATE, type Wording } from "../wording.ts";
import { RULER_FILES } from "./grid.ts";
import {
  type CommandSpecification,
  countOf,
  listOf,
  numberOf,
  type ParsedCommand,
  UsageError,
} from "./options.ts";
import { reasonOf } from "../errors.ts";
import { visible } from "../names.ts";
import { print } from "./terminal.ts";

/** Command-line interface of `./run ruler`. */
export const RULER: CommandSpecification = {
  name: "ruler",
  summary: "Write RULER's samples as files that its own scripts, and others, can read.",
  options: {
    tasks: {
      takes: "NAME,…",
      alias: "task",
      help: `of ${RULER_TASKS.join(", ")}, niah_<haystack>_<key>_<value>`,
      default: "all whose files are named",
    },
    lengths: { takes: "LENGTH,…", help: "tokens of prompt and reply: 512, 4k", default: "4k" },
    samples: { takes: "N", help: "samples of each task and length", default: "500" },
    seed: { takes: "N", help: "their seed", default: "0" },
    depth: { takes: "D", help: "where the needle goes, from 0 to 1", default: "anywhere" },
    tokenizer: {
      takes: "FOLDER",
      help: "of the model that is to be asked, or hf:owner/name",
      default: "bytes",
    },
    template: {
      takes: "NAME",
      help: "base, chat (that in the tokenizer's folder) or a Jinja file",
      default: "base",
    },
    ...RULER_FILES,
    out: { takes: "FOLDER", help: "where they go", default: "results/ruler" },
  },
  details:
    `  ./run ruler --tokenizer hf:EleutherAI/gpt-neox-20b --tasks vt,fwe --lengths 1k,2k --samples 50

A set is <out>/<length>/data/<task>/validation.jsonl, as RULER's run.sh has it, which then makes none
of its own. Sweeps read a set, ours or RULER's, with --set FOLDER.`,
};

const SAMPLES = 500;
const LENGTH = "4k";

/** Runs `./run ruler`. @returns The exit code. */
export async function rulerCommand({ values }: ParsedCommand): Promise<number> {
  const out = values.get("out") ?? join("results", "ruler");
  const samples = countOf("samples", values.get("samples")) ?? SAMPLES;
  const seed = numberOf("seed", values.get("seed")) ?? 0;
  const depth = numberOf("depth", values.get("depth"));
  const lengths = listOf(values.get("lengths") ?? LENGTH).map(tokensOf);
  const options: RulerOptions = {
    essays: values.get("haystack"),
    squad: values.get("squad"),
    hotpotqa: values.get("hotpotqa"),
  };
  const names = values.has("tasks")
    ? listOf(values.get("tasks"))
    : RULER_TASKS.filter((name) =>
      (name !== "qa_1" || options.squad !== undefined) &&
      (name !== "qa_2" || options.hotpotqa !== undefined)
    );
  const wording = await findWording(values.get("tokenizer"), values.get("template"));
  for (const name of names) {
    checkRulerName(name);
    const task = await rulerQuestions(name, options, wording);
    for (const length of lengths) {
      const coordinates = {
        length,
        seed,
        split: "test",
        ...(task.depths ? { depth } : {}),
      } as const;
      task.ask({ ...coordinates, index: 0 }); // what does not fit leaves no file
      const folder = join(out, String(length), "data", name);
      const path = join(folder, "validation.jsonl");
      const lines = linesOf(task, coordinates, samples, wording);
      try {
        await Deno.mkdir(folder, { recursive: true });
        await Deno.writeTextFile(path, ReadableStream.from(lines));
      } catch (error) {
        if (!(error instanceof Error) || error instanceof RangeError) throw error;
        throw new Error(
          `Cannot write ${path}: ${reasonOf(error)}; name another folder with --out`,
          { cause: error },
        );
      }
      print(`${visible(path)}  ${samples} samples`);
    }
  }
  return 0;
}

function* linesOf(
  task: QuestionTask,
  coordinates: Omit<SampleCoordinates, "index">,
  samples: number,
  wording: Wording,
): Generator<string> {
  for (let index = 0; index < samples; index++) {
    yield `${JSON.stringify(recordOf(task, { ...coordinates, index }, wording))}\n`;
  }
}

function checkRulerName(name: string): asserts name is RulerName {
  if (!(RULER_NAMES as readonly string[]).includes(name)) {
    throw new UsageError(
      didYouMean("RULER task", name, RULER_NAMES, "./run ruler --help lists all"),
    );
  }
}

function tokensOf(text: string): number {
  const length = parseLength(text);
  if (typeof length === "number") return length;
  throw new UsageError(`--lengths takes tokens, such as 512 or 4k: current value is ${text}`);
}

async function findWording(name: string | undefined, template = "base"): Promise<Wording> {
  if (name === undefined) {
    return {
      tokenizer: BYTE_TOKENIZER,
      template: await findTemplate("bytes", template, [BASE_TEMPLATE]),
    };
  }
  const folder = await tokenizerFolder(name);
  return {
    tokenizer: await loadTokenizer(folder),
    template: await findTemplate(name, template, await loadTemplates(folder), [folder]),
  };
}
