/**
 * Makes the copy that is published: the files that deno.json's `publish` names, each text
 * import turned into a module. JSR has refused packages with text imports (jsr-io/jsr#1478), so
 * `import source from "./x.wgsl" with { type: "text" }` becomes `import source from "./x.wgsl.ts"`.
 *
 *     deno run -A .ci/publish.ts FOLDER      # then: cd FOLDER && deno publish
 *     deno run -A .ci/publish.ts --check     # a dry run on a copy, and a smoke test of it
 *
 * @module
 */
import { basename, dirname, extname, fromFileUrl, join, resolve } from "@std/path";

const TEXT_IMPORT =
  /((?:\bfrom|\bimport\s*\()\s*)"(\.{1,2}\/[^"]+)"(?:\s+with\s*|\s*,\s*\{\s*with:\s*)\{\s*type:\s*"text",?\s*\}(?:,?\s*\}(?=,?\s*\)))?/g;

/** The module that has a text as its default export. */
export function textModule(text: string): string {
  return `export default \`${text.replace(/[\\`]|\$(?=\{)/g, "\\$&")}\` as string;\n`;
}

/** A source with its text imports rewritten, and the specifiers of what they import. */
export function rewriteTextImports(source: string): { source: string; imports: string[] } {
  const imports: string[] = [];
  const rewritten = source.replace(TEXT_IMPORT, (all, head, specifier, at) => {
    const line = source.slice(source.lastIndexOf("\n", at) + 1, at).trimStart();
    if (/^(\*|\/\/|\/\*)/.test(line)) return all;
    imports.push(specifier);
    return `${head}"${specifier}.ts"`;
  });
  return { source: rewritten, imports };
}

async function filesUnder(path: string): Promise<string[]> {
  const { isDirectory } = await Deno.stat(path).catch(() => {
    throw new Error(`Cannot publish as ${path} is not there: deno.json's publish.include names it`);
  });
  if (!isDirectory) return [path];
  const files: string[] = [];
  for await (const entry of Deno.readDir(path)) {
    files.push(...await filesUnder(join(path, entry.name)));
  }
  return files;
}

/** The most that a published package may take: it is fetched by everybody who imports it. */
const LARGEST_PACKAGE_BYTES = 5_000_000;
/**
 * What stays in the repository: logs of trainings, the folders' derivations, and the references that only
 * tests run.
 */
const LEFT_OUT =
  /\/models\/zoo\/.*(\/log\.csv$|\/learning_rates\/)|\/(kernels|models|tasks)\/.*\/(README\.md|reference\.ts)$/;

/** JSON that programs read, which needs no indentation: schemas, and what is beside the weights. */
const COMPACT = /\.schema\.json$|\/models\/zoo\/.*\.json$/;

/** Copies what is published from one folder to another, which must be empty or not there. */
export async function copyForPublishing(root: string, copy: string): Promise<void> {
  const { publish } = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
  const excluded: string[] = (publish.exclude ?? []).map((name: string) => join(root, name));
  const files: string[] = [];
  for (const name of [...publish.include, "deno.lock"]) {
    const found = await filesUnder(join(root, name));
    files.push(
      ...found.filter((file) =>
        !LEFT_OUT.test(file.replaceAll("\\", "/")) &&
        !excluded.some((folder) => file.startsWith(folder))
      ),
    );
  }
  const texts = new Set<string>();
  for (const file of files) {
    const target = join(copy, file.slice(root.length));
    await Deno.mkdir(dirname(target), { recursive: true });
    if (COMPACT.test(file.replaceAll("\\", "/"))) {
      await Deno.writeTextFile(target, JSON.stringify(JSON.parse(await Deno.readTextFile(file))));
      continue;
    }
    if (extname(file) !== ".ts") {
      await Deno.copyFile(file, target);
      continue;
    }
    const { source, imports } = rewriteTextImports(await Deno.readTextFile(file));
    for (const specifier of imports) texts.add(join(dirname(target), specifier));
    await Deno.writeTextFile(target, source);
  }
  for (const text of texts) {
    await Deno.writeTextFile(`${text}.ts`, textModule(await Deno.readTextFile(text)));
    await Deno.remove(text);
  }
}

/** Checks what is about to be published. @throws {RangeError} where it is too large. */
export async function checkSize(copy: string): Promise<number> {
  let bytes = 0;
  for (const file of await filesUnder(copy)) {
    if (basename(file) === "deno.lock") continue; // publishing reads it: it is not in the package
    bytes += (await Deno.stat(file)).size;
  }
  if (bytes > LARGEST_PACKAGE_BYTES) {
    throw new RangeError(
      `Cannot publish as the package takes ${bytes} bytes: at most ${LARGEST_PACKAGE_BYTES} are allowed; leave files out in .ci/publish.ts`,
    );
  }
  return bytes;
}

async function deno(cwd: string, ...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd }).spawn().status;
  if (!success) throw new Error(`deno ${args.join(" ")}: failed`);
}

if (import.meta.main) {
  const root = resolve(fromFileUrl(import.meta.url), "../..");
  const [folder, ...more] = Deno.args;
  if (folder === undefined || more.length > 0) {
    console.error(
      "Usage: deno run -A .ci/publish.ts FOLDER\n       deno run -A .ci/publish.ts --check",
    );
    Deno.exit(2);
  }
  if (folder === "--check") {
    const copy = await Deno.makeTempDir({ prefix: "lengthwise-" });
    try {
      await copyForPublishing(root, copy);
      console.log(`the package takes ${await checkSize(copy)} bytes`);
      await deno(copy, "publish", "--dry-run", "--allow-dirty");
      await deno(copy, "run", "-A", join(root, ".ci/smoke.ts"));
    } finally {
      await Deno.remove(copy, { recursive: true });
    }
  } else {
    await copyForPublishing(root, resolve(folder));
    await checkSize(resolve(folder));
  }
}
