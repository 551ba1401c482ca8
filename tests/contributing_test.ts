import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { CheckpointConfig } from "../models/checkpoints/published/config.ts";
import type { PublishedFamily } from "../models/checkpoints/published/family.ts";
import { SMALL_TASK_NAMES, smallLayout } from "../tasks/mod.ts";

// The recipes of .github/CONTRIBUTING.md: for everything of its kind, each file that has to be touched.

const ROOT = fromFileUrl(new URL("..", import.meta.url));

async function textOf(path: string): Promise<string> {
  return await Deno.readTextFile(join(ROOT, path));
}

/** The names in a folder, folders with a slash behind. */
async function namesIn(path: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(join(ROOT, path)));
  return entries.map(({ name, isDirectory }) => isDirectory ? `${name}/` : name).sort();
}

/** Modules of a folder, without the suffix. */
async function modulesIn(path: string, besides: readonly string[]): Promise<string[]> {
  const names = (await namesIn(path)).filter((name) => name.endsWith(".ts"))
    .map((name) => name.slice(0, -3));
  for (const name of besides) {
    assert(names.includes(name), `${path}/${name}.ts is gone: take it off the list here`);
  }
  return names.filter((name) => !besides.includes(name));
}

/**
 * A function of the GPU and the inputs of an op, however they are written: `inputs`, `{ query, key }`,
 * `given: ScanInputs`.
 */
const OPERATION =
  /^export (?:async )?function (\w+)(?:<[^(]*>)?\(\s*\w+: Gpu,\s*(?:inputs\b|\{[^}]*\}: (?!Plan\b)|\w+: (?:readonly )?\w*Inputs\b)/gm;

/** The operations that a folder's files export, whether its `mod.ts` does or not. */
async function operationsIn(folder: string): Promise<string[]> {
  const hosts = await modulesIn(folder, ["mod", "reference", "shaders"]);
  const texts = await Promise.all(hosts.map((name) => textOf(`${folder}/${name}.ts`)));
  return texts.flatMap((text) => [...text.matchAll(OPERATION)].map(([, name]) => name));
}

/** Whether a function takes a third parameter: options, behind the GPU and the inputs. */
function takesOptions(op: unknown): boolean {
  return /^(?:async )?function \w+\(\w+, (?:\{[^}]*\}|\w+), /.test(`${op}`);
}

/** Fails with a line for each file that has to be edited. */
function assertNothingMissing(missing: readonly string[]): void {
  assertEquals(missing, [], "see .github/CONTRIBUTING.md");
}

Deno.test("an operation is one whatever its parameters look like", () => {
  const written = [
    "square(gpu: Gpu, inputs: SquareInputs): Outputs {",
    "square(gpu: Gpu, { x }: SquareInputs, options: Options = {}): Outputs {",
    "square(\n  gpu: Gpu,\n  { x, y }: { readonly x: Tensor },\n  { causal = false }: Options = {},\n) {",
    "square<Type>(gpu: Gpu, given: readonly SquareInputs[]) {",
  ];
  for (const text of written) {
    assertEquals([...`export function ${text}`.matchAll(OPERATION)].map(([, name]) => name), [
      "square",
    ]);
  }
  for (const text of ["rows(gpu: Gpu, x: Tensor) {", "empty(gpu: Gpu, { groups }: Plan) {"]) {
    assertEquals([...`export function ${text}`.matchAll(OPERATION)], []);
  }
  assert(takesOptions("function square(gpu, { x }, { causal = false } = {}) {"));
  assert(!takesOptions("function square(gpu, { x, y }) {"));
});

Deno.test("every family of kernels has all that the recipe names", async () => {
  const families = (await namesIn("kernels"))
    .filter((name) => name.endsWith("/") && !["gpu/", "common/"].includes(name))
    .map((name) => name.slice(0, -1));
  assert(families.length >= 14);
  const missing: string[] = [];
  const exported = await textOf("kernels/mod.ts");
  const dispatched = await textOf("tests/kernels/every_dispatch.ts");
  const optioned = await textOf("tests/kernels/options_test.ts");
  const tests = await namesIn("tests/kernels");
  for (const family of families) {
    const folder = `kernels/${family}`;
    const names = await namesIn(folder);
    for (const name of ["README.md", "mod.ts", "reference.ts", "shaders.ts"]) {
      if (!names.includes(name)) missing.push(`${folder}/${name}: write it`);
    }
    if (!exported.includes(`"./${family}/mod.ts"`)) {
      missing.push(`kernels/mod.ts: export ./${family}/mod.ts`);
    }
    const own = tests.includes(`${family}/`) ? await namesIn(`tests/kernels/${family}`) : [];
    if (!own.some((name) => name.endsWith("_test.ts"))) {
      missing.push(`tests/kernels/${family}/: write a test`);
    }
    if (!names.includes("shaders.ts")) continue;
    const shaders = await textOf(`${folder}/shaders.ts`);
    for (const name of names.filter((name) => name.endsWith(".wgsl"))) {
      if (!shaders.includes(`"./${name}"`)) missing.push(`${folder}/shaders.ts: import ${name}`);
      const text = await textOf(`${folder}/${name}`);
      const entry = name.slice(0, -5);
      if (!/@compute/.test(text)) continue;
      if (!new RegExp(`\\bfn ${entry}\\(`).test(text)) {
        missing.push(`${folder}/${name}: call its entry point ${entry}`);
      }
      if (!/^\/\/ .*\bDispatch: /m.test(text)) {
        missing.push(`${folder}/${name}: say at its top how it is dispatched`);
      }
    }
    const tested = await Promise.all(
      own.filter((name) => name.endsWith(".ts")).map((name) =>
        textOf(`tests/kernels/${family}/${name}`)
      ),
    );
    const exports: Record<string, unknown> = await import(`../${folder}/mod.ts`);
    const operations = await operationsIn(folder);
    assert(operations.length > 0, `${folder} has no operation`);
    for (const operation of operations) {
      if (!(operation in exports)) missing.push(`${folder}/mod.ts: export ${operation}()`);
      const isCalled = (text: string): boolean => new RegExp(`\\b${operation}\\b`).test(text);
      if (!isCalled(dispatched)) {
        missing.push(`tests/kernels/every_dispatch.ts: call ${operation}()`);
      }
      if (!tested.some((text) => isCalled(text) && text.includes(`/${family}/reference.ts"`))) {
        missing.push(
          `tests/kernels/${family}/: hold ${operation}() to its definition in ${folder}/reference.ts`,
        );
      }
      if (takesOptions(exports[operation]) && !isCalled(optioned)) {
        missing.push(`tests/kernels/options_test.ts: a row of the options of ${operation}()`);
      }
    }
  }
  assertNothingMissing(missing);
});

Deno.test("every mixer has all that the recipe names", async () => {
  const mixers = await modulesIn("models/mixers", [
    "alibi",
    "configuration",
    "mamba2_inputs",
    "mixer",
    "parts",
    "registry",
  ]);
  assert(mixers.length >= 14);
  const registry = await textOf("models/mixers/registry.ts");
  const exported = await textOf("models/mod.ts");
  const missing: string[] = [];
  for (const name of mixers) {
    if (!registry.includes(`"./${name}.ts"`)) {
      missing.push(`models/mixers/registry.ts: take ${name}.ts in`);
    }
    if (!exported.includes(`"./mixers/${name}.ts"`)) {
      missing.push(`models/mod.ts: export the configuration of ./mixers/${name}.ts`);
    }
  }
  assertNothingMissing(missing); // that an architecture has it is held by mixers_test.ts
});

Deno.test("every task has all that the recipe names", async () => {
  const tasks = await modulesIn("tasks/generators", ["haystack", "layout"]);
  assert(tasks.length >= 12);
  const registry = await textOf("tasks/registry.ts");
  const exported = await textOf("tasks/mod.ts");
  const missing: string[] = [];
  for (const name of tasks) {
    if (!registry.includes(`"./generators/${name}.ts"`)) {
      missing.push(`tasks/registry.ts: take ${name}.ts in`);
    }
    if (!exported.includes(`"./generators/${name}.ts"`)) {
      missing.push(`tasks/mod.ts: export ./generators/${name}.ts`);
    }
  }
  const oracle = await textOf("tests/tasks/window_oracle.ts");
  for (const name of SMALL_TASK_NAMES) {
    if (!oracle.includes(`case "${name}":`)) {
      missing.push(`tests/tasks/window_oracle.ts: say how the last tokens alone answer ${name}`);
    }
  }
  // Those that look for needles are one task with other hays, and have one token.
  const tokens = new Map<unknown, string>();
  for (const name of SMALL_TASK_NAMES) {
    const options = smallLayout(name, true);
    if (!("taskToken" in options)) continue;
    const kind = name.replace(/^niah-.*/, "niah");
    const other = tokens.get(options.taskToken);
    if (other !== undefined && other !== kind) {
      missing.push(`tasks/registry.ts: give ${name} another token than ${other}'s`);
    }
    tokens.set(options.taskToken, kind);
  }
  assert(tokens.size >= 14);
  // about.ts, option_names.ts and the small layout are held by their types, schemas by sweep_file_test.ts.
  assertNothingMissing(missing);
});

Deno.test("every checkpoint family has all that the recipe names", async () => {
  const shared = ["config", "family", "fla", "rotary", "rwkv", "stored_head", "tensors"];
  const families = await modulesIn("models/checkpoints/published", [
    ...shared,
    "lengthwise",
    "parameter_source",
    "registry",
    "transformers",
  ]);
  assert(families.length >= 20);
  const registry = await textOf("models/checkpoints/published/registry.ts");
  const readme = await textOf("models/checkpoints/published/README.md");
  const scripts = (await namesIn("tests/golden")).filter((name) => /^published.*\.py$/.test(name));
  const golden = (await Promise.all(scripts.map((name) => textOf(`tests/golden/${name}`)))).join();
  const folders = await namesIn("tests/golden/checkpoints/published");
  const missing: string[] = [];
  for (const name of families) {
    if (!registry.includes(`"./${name}.ts"`)) {
      missing.push(`models/checkpoints/published/registry.ts: take ${name}.ts in`);
    }
    if (!readme.includes(`\`${name}.ts\``)) {
      missing.push(`models/checkpoints/published/README.md: a row for \`${name}.ts\``);
    }
  }
  const configs = await Promise.all(
    folders.filter((name) => name.endsWith("/")).map(async (name) => {
      const path = `tests/golden/checkpoints/published/${name}config.json`;
      const text = await textOf(path).catch(() => "{}"); // some have none
      return CheckpointConfig.parse(text, path);
    }),
  );
  for (const name of families) {
    const module: object = await import(`../models/checkpoints/published/${name}.ts`);
    for (const [exported, family] of Object.entries(module as Record<string, PublishedFamily>)) {
      if (typeof family.matches !== "function") continue;
      if (!configs.some((config) => family.matches(config))) {
        missing.push(
          `tests/golden/published*.py: a checkpoint that ${exported} of ${name}.ts reads`,
        );
      }
    }
  }
  for (const folder of folders.filter((name) => name.endsWith("/"))) {
    const name = folder.slice(0, -1);
    if (!golden.includes(`"${name}"`)) {
      missing.push(`tests/golden/published*.py: say how checkpoints/published/${name} is made`);
    }
  }
  assertNothingMissing(missing);
});
