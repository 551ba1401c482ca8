import { parse, stringify } from "@std/csv";

/** The columns of `sweep.csv`, in order. */
export const COLUMNS = [
  "model",
  "variant",
  "family",
  "parameters",
  "dtype",
  "state_bytes",
  "train_length",
  "train_seed",
  "train_tokens",
  "learning_rate",
  "task",
  "template",
  "length",
  "depth",
  "load",
  "distance",
  "seed",
  "samples",
  "metric",
  "value",
  "ci_low",
  "ci_high",
  "prefill_ms",
  "step_ms",
  "peak_bytes",
  "replies_empty",
  "begin_token",
  "reason",
  "seconds",
  "started",
  "adapter",
  "commit",
  "version",
] as const;

/** A column of an older `variants.csv`, whose rows were means over trainings. */
const TRAINING_SEEDS = "training_seeds";

const TEXTS = [
  "model",
  "variant",
  "family",
  "dtype",
  "task",
  "template",
  "distance",
  "metric",
  "reason",
  "started",
  "adapter",
  "commit",
  "version",
] as const;
const OPTIONAL = [
  "variant",
  "dtype",
  "train_length",
  "train_seed",
  "train_tokens",
  "learning_rate",
  "template",
  "depth",
  "load",
  "distance",
  TRAINING_SEEDS,
  "ci_low",
  "ci_high",
  "prefill_ms",
  "step_ms",
  "peak_bytes",
  "replies_empty",
  "begin_token",
  "reason",
  "seconds",
  "started",
  "commit",
] as const;

/** Whether a column holds text. */
export function isText(column: string): boolean {
  return (TEXTS as readonly string[]).includes(column);
}

/** Whether a column is empty where it does not apply. */
export function isOptional(column: string): boolean {
  return (OPTIONAL as readonly string[]).includes(column);
}

/** The metric of a cell that was tried and has no result: its value counts such cells. */
export const FAILED = "failed";

/** One cell and metric: a line of `sweep.csv`. A column that does not apply is left out. */
export interface Row {
  /** The model's name. */
  readonly model: string;
  /** What a model that the sweep trained is compared as, whatever its seed and its learning rate. */
  readonly variant?: string;
  /** Its architecture. */
  readonly family: string;
  /** How many weights it has. */
  readonly parameters: number;
  /** How its weights are kept on the GPU, where that was asked for; f32 else. */
  readonly dtype?: string;
  /** How large its state is after `length` tokens. */
  readonly state_bytes: number;
  /** The length that it was trained at, where that is known. */
  readonly train_length?: number;
  /** The seed of its training, where it was trained here: a training is the unit of evidence. */
  readonly train_seed?: number;
  /** How many tokens it was trained on, where it was trained here. */
  readonly train_tokens?: number;
  /** The peak learning rate, where it was trained here. */
  readonly learning_rate?: number;
  /** The task's name. */
  readonly task: string;
  /** The prompt template of a task in words. */
  readonly template?: string;
  /** Tokens in a sample. */
  readonly length: number;
  /** Where the needle is, where it is fixed. */
  readonly depth?: number;
  /** How much is to be remembered. */
  readonly load?: number;
  /**
   * How far back in tokens the answers stood that the metric is of, from and to: `16-31`; all of them
   * where it is left out.
   */
  readonly distance?: string;
  /** Seed of the samples. */
  readonly seed: number;
  /** In older files: of how many models, trained with as many seeds, it is the mean. */
  readonly training_seeds?: number;
  /** Samples that the metric is of. */
  readonly samples: number;
  /**
   * `accuracy` or `perplexity`; `accuracy@A-B` of the samples whose needle lies at a depth from A to
   * B; `perplexity@A-B` of the positions A to B alone (counted from 0); `bits_per_byte`, which
   * compares where perplexities of two tokenizers do not; `accuracy_at_distance` of the answers that
   * stood at the row's distance;
   * `forgetting_curve`, the accuracy of copying text less that of predicting it behind other text, and
   * these two, `copy_accuracy` and `language_model_accuracy`; `context_gain`, by how many nats a long
   * context makes a token likelier, `long_perplexity` and `key_tokens`, the perplexity and the share of
   * those that it makes much likelier;
   * `chance`; `guess`, the accuracy of a guesser that knows which answers there are, but not to what;
   * `window_law`, the accuracy of a perfect model that sees as many last tokens, `stacked_law` of one
   * whose layers hand on what they see; `distance_law`, of one that answers rightly as far back as it
   * was trained, and guesses beyond;
   * `failed` alone of a cell that was tried and has no result, which {@linkcode Row.reason} explains.
   */
  readonly metric: string;
  /** The metric's value. */
  readonly value: number;
  /** Lower end of the 95% interval. */
  readonly ci_low?: number;
  /** Upper end of the 95% interval. */
  readonly ci_high?: number;
  /** Milliseconds to read one sample, as one of its batch. */
  readonly prefill_ms?: number;
  /** Milliseconds for one more token after `length` of them. */
  readonly step_ms?: number;
  /** The most GPU memory held while one sample alone is read, weights included. */
  readonly peak_bytes?: number;
  /** How many of a cell's replies were empty, of tasks that are answered by one. */
  readonly replies_empty?: number;
  /** 1 where the tokenizer's begin token stands before each text, 0 where a text has none before it. */
  readonly begin_token?: number;
  /** Why a cell has no result. */
  readonly reason?: string;
  /** How long its cell took, what was done once for the length or the model included. */
  readonly seconds?: number;
  /** When its cell was begun: ISO 8601, UTC. */
  readonly started?: string;
  /** What it ran on. */
  readonly adapter: string;
  /** The commit of Lengthwise, where it ran from a repository. */
  readonly commit?: string;
  /** The version of Lengthwise. */
  readonly version: string;
}

/** Whether a row's length is known to be within what its model was trained at. */
export function isTrainedLength(
  { length, train_length }: Pick<Row, "length" | "train_length">,
): boolean {
  return train_length !== undefined && length <= train_length;
}

/** Rows as CSV. */
export function formatRows(rows: readonly Row[]): string {
  const trained = rows.some((row) => row.training_seeds !== undefined);
  const columns = [...COLUMNS, ...(trained ? [TRAINING_SEEDS] : [])];
  return stringify(rows as unknown as Record<string, unknown>[], { columns });
}

/**
 * CSV as rows.
 *
 * @param source The file's name, for errors.
 * @throws {Error} where a column is missing or a number is none.
 */
export function parseRows(csv: string, source: string): Row[] {
  const records = readCsv(csv, source);
  const missing = COLUMNS.filter((column) => !isOptional(column) && !records[0].includes(column));
  if (missing.length > 0) {
    throw new Error(
      `Cannot read ${source} as a sweep's results: it lacks the columns ${missing.join(", ")}`,
    );
  }
  const [header, ...lines] = records;
  return lines.map((line, i) => {
    const row: Record<string, string | number> = {};
    for (const column of [...COLUMNS, TRAINING_SEEDS]) {
      const cell = line[header.indexOf(column)] ?? "";
      if (isText(column)) {
        if (cell !== "" || !isOptional(column)) row[column] = cell;
      } else if (cell !== "") {
        row[column] = Number(cell);
        if (Number.isNaN(row[column])) {
          throw new Error(
            `Cannot read ${source}: line ${i + 2} has ${cell} for ${column}, which takes a number`,
          );
        }
      } else if (!isOptional(column)) {
        throw new Error(`Cannot read ${source}: line ${i + 2} has nothing for ${column}`);
      }
    }
    return row as unknown as Row;
  });
}

function readCsv(csv: string, source: string): string[][] {
  try {
    const records = parse(csv);
    const uneven = records.findIndex(({ length }) => length !== records[0].length);
    if (uneven > 0) {
      throw new SyntaxError(
        `line ${uneven + 1} has ${records[uneven].length} fields, the first ${records[0].length}`,
      );
    }
    if (records.length > 0) return records;
  } catch (error) {
    throw new Error(
      `Cannot read ${source} as CSV: ${
        error instanceof Error ? error.message : error
      }; its sweep's --resume writes it again`,
      { cause: error },
    );
  }
  throw new Error(`Cannot read ${source} as CSV: it is empty`);
}

/** A value as the CSV has it: six digits, as more would only be noise in a diff. */
export function round(value: number): number {
  return Number(value.toPrecision(6));
}

/** The same of a value that there may not be, or not as a number: nothing then. */
export function roundFinite(value: number | undefined): number | undefined {
  return value === undefined || !Number.isFinite(value) ? undefined : round(value);
}
