import { fromFileUrl, isAbsolute, join } from "@std/path";

/** Characters of a commit that tell it from others. */
const SHORT = 12;

/**
 * The commit of the repository that this module stands in, where it stands in one.
 *
 * @returns 12 hexadecimal digits.
 */
export function commitHere(): Promise<string | undefined> {
  const root = new URL("../", import.meta.url);
  return here ??= root.protocol === "file:"
    ? commitOf(fromFileUrl(root))
    : Promise.resolve(undefined);
}

let here: Promise<string | undefined> | undefined;

/** The commit that is checked out in a folder; undefined if it is not a repository. */
export async function commitOf(folder: string): Promise<string | undefined> {
  const read = (...parts: string[]): Promise<string | undefined> =>
    Deno.readTextFile(join(...parts)).then((text) => text.trim(), () => undefined);
  const linked = /^gitdir: (.*)$/.exec(await read(folder, ".git") ?? "")?.[1]; // of a work tree
  const own = linked === undefined
    ? join(folder, ".git")
    : isAbsolute(linked)
    ? linked
    : join(folder, linked);
  const head = await read(own, "HEAD");
  const name = /^ref: (.*)$/.exec(head ?? "")?.[1];
  if (name === undefined) return checked(head);
  const common = await read(own, "commondir");
  const shared = common === undefined ? own : isAbsolute(common) ? common : join(own, common);
  const packed = await read(shared, "packed-refs");
  return checked(
    await read(own, name) ?? await read(shared, name) ??
      packed?.split("\n").find((line) => line.endsWith(` ${name}`)),
  );
}

function checked(commit: string | undefined): string | undefined {
  return /^[0-9a-f]{40,64}\b/.test(commit ?? "") ? commit!.slice(0, SHORT) : undefined;
}
