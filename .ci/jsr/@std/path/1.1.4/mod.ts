import "jsr:@std/internal@^1.0.12/os";
import { fileURLToPath, pathToFileURL } from "node:url";

export {
  basename,
  dirname,
  extname,
  isAbsolute,
  join,
  normalize,
  parse,
  relative,
  resolve,
} from "node:path";

/** The path that a file: URL names. */
export function fromFileUrl(url: URL | string): string {
  return fileURLToPath(url);
}

/** The file: URL of an absolute path. */
export function toFileUrl(path: string): URL {
  return new URL(pathToFileURL(path).href);
}
