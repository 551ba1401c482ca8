import { readBoundedText } from "../models/text_file.ts";

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What went wrong with a file that is named already: "Permission denied", "No space left on device". */
export function reasonOf(error: unknown): string {
  return messageOf(error).replace(/ \(os error \d+\)(?:: .*)?$/s, "");
}

/**
 * The text of a file that somebody named.
 *
 * @param what What it is to hold: `the sweep`.
 * @throws {Error} where it cannot be read, by name.
 */
export async function readNamed(path: string, what: string): Promise<string> {
  try {
    return await readBoundedText(path);
  } catch (error) {
    throw new Error(`Cannot read ${what} ${path}: ${reasonOf(error)}`, { cause: error });
  }
}
