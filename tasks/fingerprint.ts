import { join } from "@std/path";

/** Bytes of a file that its fingerprint looks at, at so many evenly spaced places. */
const PIECE = 2 ** 16;
const PIECES = 16;

/**
 * Tells files from others of their names, by their sizes and by pieces of them: a checkpoint may hold
 * many gigabytes.
 *
 * @param names In the folder, in any order.
 * @returns 16 hexadecimal digits.
 */
export async function fingerprint(folder: string, names: readonly string[]): Promise<string> {
  const parts: Uint8Array[] = [];
  for (const name of [...names].sort()) {
    using file = await Deno.open(join(folder, name));
    const { size } = await file.stat();
    parts.push(new TextEncoder().encode(`${name} ${size}\n`));
    for (let i = 0; i < PIECES; i++) {
      const piece = new Uint8Array(Math.min(PIECE, size));
      await file.seek(Math.floor((size - piece.length) * i / (PIECES - 1)), Deno.SeekMode.Start);
      parts.push(piece.subarray(0, await file.read(piece) ?? 0));
      if (size <= PIECE) break;
    }
  }
  const hash = await crypto.subtle.digest("SHA-256", await new Blob(parts as BlobPart[]).bytes());
  return new Uint8Array(hash, 0, 8).toHex();
}

/** The fingerprint of a file, or of all that a folder holds; undefined where there is neither. */
export async function fingerprintPath(path: string): Promise<string | undefined> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info === undefined) return undefined;
  return info.isDirectory
    ? await fingerprint(path, await filesIn(path))
    : await fingerprint(path, [""]);
}

/**
 * The files below a folder, by their paths in it. Links are followed; a folder that several lead to,
 * or one that leads back to itself, is looked into once.
 */
async function filesIn(
  folder: string,
  inside = "",
  seen: Set<string> = new Set(),
): Promise<string[]> {
  const real = await Deno.realPath(join(folder, inside));
  if (seen.has(real)) return [];
  seen.add(real);
  const names = await Array.fromAsync(Deno.readDir(join(folder, inside)), ({ name }) => name);
  const files: string[] = [];
  for (const name of names.sort()) {
    const path = join(inside, name);
    const info = await Deno.stat(join(folder, path)).catch(() => undefined); // links may lead nowhere
    if (info?.isDirectory) files.push(...await filesIn(folder, path, seen));
    else if (info?.isFile) files.push(path);
  }
  return files;
}
