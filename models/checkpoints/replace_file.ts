/** Where a file is written before it takes its place: each process has its own. */
export function partialPath(path: string): string {
  return `${path}.${Deno.pid}.partial`;
}

/**
 * Writes a file whole or not at all: into a second one, which then takes its place.
 *
 * @throws {Error} where it cannot be written; the file that was there stays.
 */
export async function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const partial = partialPath(path);
  try {
    using file = await Deno.open(partial, { write: true, create: true, truncate: true });
    for (let written = 0; written < bytes.length;) {
      written += await file.write(bytes.subarray(written));
    }
    await file.sync();
    await Deno.rename(partial, path);
  } catch (error) {
    await Deno.remove(partial).catch(() => {}); // on a full disk, its room is needed
    throw error;
  }
}
