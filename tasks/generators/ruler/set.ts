import { join } from "@std/path";
import { randomAt } from "../../random.ts";
import { checkLength, type Sample, type Task, UNSCORED } from "../../task.ts";
import type { Wording } from "../../wording.ts";
import { tokenBehind } from "./evidence.ts";
import { parseRecords, type RulerRecord } from "./records.ts";
import { scoringOf } from "./scoring.ts";

/** The share of a length that the longest sample of a set has, where it was made for this length. */
const LEAST_USED = 0.8;
const NEEDLE = "One of the special magic ";

/**
 * A task whose samples were made before: a `validation.jsonl` of RULER's own scripts or of `./run
 * ruler`, or a folder of them by length, as RULER's `run.sh` has it
 * (`<length>/data/<task>/validation.jsonl`).
 *
 * Seed 0 asks in the file's order, every other seed in another; there are no training samples. Where
 * the model's own chat template asks, the set must have been made with RULER's template `base`.
 *
 * @throws {Error} where there is no such file, or it holds other things.
 */
export function setTask(name: string, set: string, wording: Wording): Task {
  const { tokenizer, template } = wording;
  const { budget, match, prefixBegins } = scoringOf(name);
  const single = set.endsWith(".jsonl");
  const lengths = single ? [] : lengthsOf(set);
  const loaded = new Map<string, readonly RulerRecord[]>();
  const recordsOf = (file: string): readonly RulerRecord[] => {
    let records = loaded.get(file);
    if (records === undefined) {
      loaded.set(file, records = parseRecords(Deno.readTextFileSync(file), file));
    }
    return records;
  };
  const fileAt = (length: number): string => {
    if (single) return set;
    const file = filesAt(set, name, length).find(isFile);
    if (file !== undefined) return file;
    const [wanted] = filesAt(set, name, length);
    throw new RangeError(
      `Cannot ask ${name} in ${length} tokens as there is no ${wanted}: the lengths in ${set} are ${
        lengths.join(", ")
      }`,
    );
  };
  const longest = single
    ? recordsOf(set).reduce((most, { length }) => Math.max(most, length), 0)
    : undefined;
  if (!single && !lengths.some((length) => filesAt(set, name, length).some(isFile))) {
    throw new Error(
      `Cannot ask ${name} from ${set} as it holds no ${
        filesAt("", name, "<length>").join(" and no ")
      }`,
    );
  }

  const task: Task = {
    name,
    metric: "accuracy",
    vocabulary: tokenizer.vocabulary,
    options: { set },
    depths: false,
    template: template.name,
    ...(longest === undefined ? {} : { longestLength: Math.floor(longest / LEAST_USED) }),
    chance: () => 0,
    shortestLength: () => longest ?? Math.min(...lengths),
    sample(coordinates): Sample {
      const { length, seed, index, split } = coordinates;
      if (split === "train") {
        throw new RangeError(`Cannot train on ${name} of ${set}: its samples are for testing`);
      }
      checkLength(task, length);
      const file = fileAt(length);
      const records = recordsOf(file);
      if (index >= records.length) {
        throw new RangeError(
          `Cannot ask sample ${index} of ${file} as it has ${records.length}: ask as many at most`,
        );
      }
      const record = seed === 0 ? records[index] : shuffledBy(seed, records)[index];
      const { question, answerPrefix } = divide(record, prefixBegins);
      const text = template.render(question, answerPrefix);
      const tokens = tokenizer.encode(text, { special: template.special });
      if (tokens.length + budget > length) {
        throw new RangeError(
          `Cannot ask sample ${index} of ${file} in ${length} tokens as it takes ${
            tokens.length + budget
          } with this tokenizer and template: make a set for them with ./run ruler`,
        );
      }
      const evidence = name.startsWith("niah_")
        ? record.outputs.map((output) =>
          tokenBehind(tokens, text.slice(0, needleOf(text, output)), wording)
        )
        : undefined;
      return {
        tokens,
        labels: new Uint32Array(tokens.length).fill(UNSCORED),
        ...(evidence?.length === 1 ? { depth: evidence[0] / tokens.length } : {}),
        reply: {
          budget,
          references: record.outputs,
          match,
          ...(evidence === undefined ? {} : { evidence }),
        },
      };
    },
  };
  return task;

  function shuffledBy(seed: number, records: readonly RulerRecord[]): RulerRecord[] {
    const random = randomAt(`${name}: set`, { length: 0, index: 0, seed, split: "test" });
    return random.shuffle(records);
  }
}

/** A prompt and how its reply begins, which older sets do not tell apart. */
function divide(
  { input, answer_prefix }: RulerRecord,
  prefixBegins: string,
): { question: string; answerPrefix: string } {
  if (answer_prefix !== undefined) return { question: input, answerPrefix: answer_prefix };
  const start = input.lastIndexOf(prefixBegins);
  return start < 0
    ? { question: input, answerPrefix: "" }
    : { question: input.slice(0, start), answerPrefix: input.slice(start) };
}

/** The character at which the needle of an output begins. */
function needleOf(text: string, output: string): number {
  const value = text.indexOf(`: ${output}.`);
  const needle = text.lastIndexOf(NEEDLE, value);
  return needle < 0 ? Math.max(0, value) : needle;
}

/** Where RULER's `run.sh` puts a task's set, and where its `prepare.py` does. */
function filesAt(set: string, name: string, length: number | string): string[] {
  const folder = join(set, String(length));
  return [
    join(folder, "data", name, "validation.jsonl"),
    join(folder, name, "validation.jsonl"),
  ];
}

function lengthsOf(set: string): number[] {
  let names: string[];
  try {
    names = [...Deno.readDirSync(set)].map((entry) => entry.name);
  } catch (error) {
    throw new Error(`Cannot read ${set} as a set of RULER: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return names.filter((entry) => /^\d+$/.test(entry)).map(Number).sort((a, b) => a - b);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
