import { join } from "@std/path";
import { replaceFile } from "../../models/checkpoints/replace_file.ts";
import { reasonOf } from "../errors.ts";

/** The log's file in a model's folder. */
const FILE = "log.csv";

/** A training's log: a CSV with a row for each block of steps. */
export class TrainingLog {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /**
   * Begins a log, or cuts off what a killed run wrote into it after its last checkpoint.
   *
   * @param step Up to which rows are kept.
   */
  static async open(
    directory: string,
    columns: readonly string[],
    step: number,
  ): Promise<TrainingLog> {
    const rows = step === 0 ? [] : await readRows(directory, columns.length);
    const kept = rows.filter(([first]) => Number(first) <= step);
    const log = new TrainingLog(join(directory, FILE));
    await log.#wrapped(() =>
      replaceFile(log.#path, [columns, ...kept].map((row) => row.join(",") + "\n").join(""))
    );
    return log;
  }

  /** Appends a row. */
  async append(row: readonly (string | number)[]): Promise<void> {
    await this.#wrapped(() =>
      Deno.writeTextFile(this.#path, row.join(",") + "\n", { append: true })
    );
  }

  async #wrapped(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      throw new Error(
        `Cannot write ${this.#path}: ${
          reasonOf(error)
        }; the last checkpoint is safe: continue with --resume`,
        { cause: error },
      );
    }
  }
}

/** The last row of a log, where there is one. */
export async function lastRow(directory: string, columns: number): Promise<string[] | undefined> {
  return (await readRows(directory, columns)).at(-1);
}

/** The rows below the header; a last one that was written in part is none. */
async function readRows(directory: string, columns: number): Promise<string[][]> {
  let text: string;
  try {
    text = await Deno.readTextFile(join(directory, FILE));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  const lines = text.split("\n").slice(1, -1).map((line) => line.replace(/\r$/, "").split(","));
  return lines.filter((fields) => fields.length === columns && /^\d+$/.test(fields[0]));
}
