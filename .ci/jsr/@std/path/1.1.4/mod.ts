import "jsr:@std/internal@^1.0.12/os";

// A bundle for browsers holds this too, where nothing asks for it: Node's modules are not imported.
const { process } = globalThis as unknown as {
  process?: { getBuiltinModule(name: string): unknown };
};
const path = process?.getBuiltinModule("node:path") as typeof import("node:path");
const url = process?.getBuiltinModule("node:url") as typeof import("node:url");

export const {
  basename,
  dirname,
  extname,
  isAbsolute,
  join,
  normalize,
  parse,
  relative,
  resolve,
} = path ?? {};

/** The path that a file: URL names. */
export function fromFileUrl(address: URL | string): string {
  return url.fileURLToPath(address);
}

/** The file: URL of an absolute path. */
export function toFileUrl(path: string): URL {
  return new URL(url.pathToFileURL(path).href);
}
