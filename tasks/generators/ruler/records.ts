import type { SampleCoordinates } from "../../task.ts";
import type { Wording } from "../../wording.ts";
import type { QuestionTask } from "./question.ts";

/** A line of RULER's `validation.jsonl`. */
export interface RulerRecord {
  /** The sample's number. */
  readonly index: number;
  /** The prompt, in older sets with the answer prefix at its end. */
  readonly input: string;
  /** What the reply is to hold. */
  readonly outputs: readonly string[];
  /** The tokens of the prompt, answer prefix included, and of the longest reply. */
  readonly length: number;
  /** The same, the model's own prompt template included. */
  readonly length_w_model_temp?: number;
  /** How the reply begins. */
  readonly answer_prefix?: string;
  /** How many tokens stand before the first output. */
  readonly token_position_answer?: number;
}

/** A sample as RULER's own scripts read it. */
export function recordOf(
  task: QuestionTask,
  coordinates: SampleCoordinates,
  { tokenizer, template }: Wording,
): RulerRecord {
  const { question, prompt, tokens, budget } = task.ask(coordinates);
  const input = template.render(prompt.text, "");
  const outputs = question.references;
  const length = tokens.length + budget;
  const answer = input.indexOf(outputs[0]);
  const before = answer < 0
    ? undefined
    : tokenizer.encode(input.slice(0, answer), { special: template.special }).length;
  return {
    index: coordinates.index,
    input,
    outputs,
    length,
    length_w_model_temp: length,
    answer_prefix: question.answerPrefix,
    ...(before === undefined ? {} : { token_position_answer: before }),
  };
}

/**
 * The records of a `validation.jsonl`, RULER's or ours.
 *
 * @throws {Error} that names the line that is none.
 */
export function parseRecords(text: string, file: string): RulerRecord[] {
  const records: RulerRecord[] = [];
  text.split("\n").forEach((line, number) => {
    if (line.trim() === "") return;
    let record: Partial<RulerRecord>;
    try {
      record = JSON.parse(line);
    } catch (error) {
      throw new Error(
        `Cannot read ${file}:${number + 1} as it is no JSON (${(error as Error).message})`,
        { cause: error },
      );
    }
    const { index = records.length, input, outputs, length } = record;
    if (
      typeof input !== "string" || typeof length !== "number" || !Array.isArray(outputs) ||
      outputs.length === 0 || !outputs.every((output) => typeof output === "string")
    ) {
      throw new Error(
        `Cannot read ${file}:${
          number + 1
        } as a sample of RULER as it must have input, outputs and length: it has ${
          Object.keys(record ?? {}).join(", ")
        }`,
      );
    }
    records.push({ ...record, index, input, outputs, length });
  });
  if (records.length === 0) throw new Error(`Cannot read ${file} as it has no samples`);
  return records;
}
