import { reasonOf } from "../errors.ts";

/**
 * Writes text at the end of an open file, and waits until it is on the disk.
 *
 * @param path The file's name, for errors.
 * @throws {Error} where the disk is full.
 */
export async function appendText(file: Deno.FsFile, path: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.syncData();
  } catch (error) {
    throw new Error(
      `Cannot write ${path}: ${
        reasonOf(error)
      }; the cells before are safe: make room, then continue with --resume`,
      { cause: error },
    );
  }
}
