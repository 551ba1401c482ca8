import * as v from "valibot";
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

/** Other scripts may write null for what they leave out, and fields of their own. */
const RECORD = v.looseObject({
  index: v.optional(v.number()),
  input: v.string(),
  outputs: v.pipe(v.array(v.string()), v.minLength(1)),
  length: v.pipe(v.number(), v.integer(), v.minValue(1)),
  length_w_model_temp: v.optional(v.number()),
  answer_prefix: v.optional(v.string()),
  token_position_answer: v.optional(v.number()),
});

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
    const source = `${file}:${number + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new Error(
        `Cannot read ${source} as it is not valid JSON (${(error as Error).message})`,
        {
          cause: error,
        },
      );
    }
    const record = v.safeParse(RECORD, value);
    if (!record.success) {
      throw new Error(
        `Cannot read ${source} as a sample of RULER as it must have input, outputs and length: it has ${
          Object.keys(value ?? {}).slice(0, 16).join(", ").slice(0, 200)
        }`,
      );
    }
    records.push({ ...record.output, index: record.output.index ?? records.length });
  });
  if (records.length === 0) throw new Error(`Cannot read ${file} as it has no samples`);
  return records;
}
