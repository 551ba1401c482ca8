import { dirname, fromFileUrl, relative, resolve } from "@std/path";

/** The JSON schemas of files that are read and written, which editors check them by. */
const SCHEMAS = {
  recipe: import.meta.resolve("./training/recipe.schema.json"),
  sweep: import.meta.resolve("./sweep/sweep.schema.json"),
} as const;

/**
 * What a file's `$schema` says: the way to the schema from the file's folder, or its address where
 * this program came from the network.
 */
export function schemaAddress(kind: keyof typeof SCHEMAS, file: string): string {
  const address = SCHEMAS[kind];
  if (!address.startsWith("file:")) return address;
  const way = relative(dirname(resolve(file)), fromFileUrl(address)).replaceAll("\\", "/");
  return way.startsWith(".") || way.startsWith("/") ? way : `./${way}`;
}
