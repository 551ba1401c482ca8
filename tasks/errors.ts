import { readBoundedText } from "../models/text_file.ts";

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What went wrong with a file that is named already: "Permission denied", "No space left on device". */
export function reasonOf(error: unknown): string {
  return messageOf(error)
    .replace(/ \(os error \d+\)(?:: .*)?$/s, "")
    // Devices and the system's own folders, which --allow-write is not enough for.
    .replace(
      /^Requires all access to .*--allow-all flag$/s,
      "Deno does not write into the system's own files",
    );
}

/**
 * The text of a file that somebody named.
 *
 * @param what What it is to hold: `the sweep`.
 * @param remedy What to do where it cannot be read.
 * @throws {Error} where it cannot be read, by name.
 */
export async function readNamed(path: string, what: string, remedy?: string): Promise<string> {
  try {
    return await readBoundedText(path);
  } catch (error) {
    const rest = remedy === undefined ? "" : `; ${remedy}`;
    throw new Error(`Cannot read ${what} ${path}: ${reasonOf(error)}${rest}`, { cause: error });
  }
}
