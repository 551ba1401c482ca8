import { assert, assertEquals } from "@std/assert";
import { dirname, fromFileUrl, join, relative } from "@std/path";

/**
 * Who may import what. The first row whose `files` matches a path holds; `may` is matched against
 * the paths that the file imports. Imports run one way: tasks → models → families → gpu.
 */
interface Rule {
  readonly files: RegExp;
  readonly may: (path: RegExpExecArray) => RegExp;
  readonly packages: boolean;
  readonly webgpu: boolean;
  readonly why: string;
}

const NOTHING = /(?!)/;
const ANYTHING = /(?:)/;

const RULES: readonly Rule[] = [
  {
    files: /^kernels\/gpu\//,
    may: () => /^kernels\/gpu\//,
    packages: true,
    webgpu: true,
    why: "kernels/gpu/ stands on nothing of ours",
  },
  {
    files: /^kernels\/\w+\/(.+\/)?reference\.ts$/,
    may: () => NOTHING,
    packages: false,
    webgpu: false,
    why: "reference.ts imports nothing: it shares no code with the kernel that it checks",
  },
  {
    files: /^kernels\/(\w+)\//,
    may: ([, family]) => new RegExp(`^kernels/(${family}|common|gpu)/`),
    packages: true,
    webgpu: false,
    why: "a family imports itself, kernels/common/ and kernels/gpu/ alone",
  },
  {
    files: /^kernels\//,
    may: () => /^kernels\//,
    packages: true,
    webgpu: false,
    why: "kernels/ knows no models and no tasks",
  },
  {
    files: /^models\//,
    may: () => /^(models|kernels)\//,
    packages: true,
    webgpu: false,
    why: "models/ stands on kernels/ and knows no tasks",
  },
  {
    files: /^tasks\/(generators\/|(task|random|reply|wording)\.ts$)/,
    may: () => /^tasks\/(generators\/|(task|random|reply|wording)\.ts$)/,
    packages: true,
    webgpu: false,
    why: "task generators, with what they stand on, know no GPU and no model",
  },
  {
    files: /^tasks\//,
    may: () => /^((tasks|models|kernels)\/|deno\.json$)/,
    packages: true,
    webgpu: false,
    why: "tasks/ stands on models/ and kernels/",
  },
  {
    files: /^mod\.ts$/,
    may: () => /^(kernels|models|tasks)\/mod\.ts$/,
    packages: false,
    webgpu: false,
    why: "mod.ts re-exports the three folders' mod.ts and nothing else",
  },
  {
    files: /^bench\//,
    may: () => /^(bench|tasks|models|kernels|tests|mod\.ts)/,
    packages: true,
    webgpu: true, // to see that another library dispatches shaders
    why: "bench/ stands on everything but nothing stands on it",
  },
  { files: /^tests\//, may: () => ANYTHING, packages: true, webgpu: true, why: "" },
];

const WEBGPU =
  /\bnavigator\.gpu\b|\bGPU(?=[A-Z])\w+|\brequest(?:Adapter|Device)\b|\bcreateComputePipeline\w*/;

const IMPORTS = [
  /^(?:import|export)\s[\w$*\s{},]*?\bfrom\s+"([^"]+)"/gm,
  /^import\s+"([^"]+)"/gm,
  /\bimport\(\s*"([^"]+)"/g,
];

/** What a file imports: files of ours by their paths from the root, and packages. */
function importsOf(path: string, text: string): { target: string; local: boolean }[] {
  const code = codeOf(text);
  return IMPORTS.flatMap((pattern) => [...code.matchAll(pattern)]).map(([, specifier]) => {
    const local = specifier.startsWith(".");
    const target = local ? join(dirname(path), specifier).replaceAll("\\", "/") : specifier;
    return { target, local };
  });
}

/** A file without its comments. */
function codeOf(text: string): string {
  return text.replace(/^\s*(?:\/?\*|\/\/).*$/gm, "").replace(/\s\/\/ .*$/gm, "");
}

/** A circle of files that import each other, types included; none if there is none. */
function circleIn(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    path.push(file);
    for (const next of imports.get(file) ?? []) {
      const circle = visit(next);
      if (circle.length > 0) return circle;
    }
    path.pop();
    done.add(file);
    return [];
  };
  for (const file of imports.keys()) {
    const circle = visit(file);
    if (circle.length > 0) return circle;
  }
  return [];
}

/** What a file imports when it is loaded: neither types, nor what it imports where it needs it. */
const STATIC =
  /^(?:import|export)\s(?!type\b)[\w$*\s{},]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"/gm;

/** Packages that run in a browser as they are. */
const FOR_BROWSERS = /^(@std\/path|leven|pure-rand\/.+|valibot)$/;

/** What a browser lacks of what is imported, directly or not, by a file, one per line. */
async function missingInBrowsers(
  entry: string,
  textOf: (path: string) => Promise<string>,
): Promise<string[]> {
  const found: string[] = [];
  const seen = new Set([entry]);
  for (const path of seen) {
    for (const [, from, alone] of codeOf(await textOf(path)).matchAll(STATIC)) {
      const target = from ?? alone;
      if (!target.startsWith(".")) {
        if (!FOR_BROWSERS.test(target)) found.push(`${path} imports ${target}`);
      } else if (target.endsWith(".ts")) {
        seen.add(join(dirname(path), target).replaceAll("\\", "/"));
      }
    }
  }
  return found;
}

/** What is wrong with a file, one per line. */
function violations(path: string, text: string): string[] {
  const rule = RULES.find(({ files }) => files.test(path));
  if (!rule) return [`${path}: no rule in tests/imports_test.ts covers this folder`];
  const allowed = rule.may(rule.files.exec(path)!);
  const found: string[] = [];
  for (const { target, local } of importsOf(path, text)) {
    if (local ? !allowed.test(target) : !rule.packages) {
      found.push(`${path} imports ${target}: ${rule.why}`);
    }
  }
  const call = rule.webgpu ? null : WEBGPU.exec(codeOf(text));
  if (call) found.push(`${path} has ${call[0]}: only kernels/gpu/ calls WebGPU`);
  return found;
}

const ROOT = fromFileUrl(new URL("..", import.meta.url));

async function sources(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (/^\.|^(results|node_modules)$/.test(name)) continue;
    if (isDirectory) files.push(...await sources(join(folder, name)));
    else if (name.endsWith(".ts")) files.push(join(folder, name));
  }
  return files;
}

Deno.test("imports run one way", async () => {
  const files = await sources(ROOT);
  assert(files.length > 10, `only ${files.length} files found`);
  const found: string[] = [];
  for (const file of files) {
    const path = relative(ROOT, file).replaceAll("\\", "/");
    found.push(...violations(path, await Deno.readTextFile(file)));
  }
  assertEquals(found, []);
});

Deno.test("no files import each other, types included", async () => {
  const imports = new Map<string, string[]>();
  for (const file of await sources(ROOT)) {
    const path = relative(ROOT, file).replaceAll("\\", "/");
    const found = importsOf(path, await Deno.readTextFile(file)).filter(({ local }) => local);
    imports.set(path, found.map(({ target }) => target));
  }
  assertEquals(circleIn(imports).join(" → "), "");
});

Deno.test("kernels/ and models/ import nothing that a browser lacks", async () => {
  const textOf = (path: string): Promise<string> => Deno.readTextFile(join(ROOT, path));
  for (const entry of ["kernels/mod.ts", "models/mod.ts"]) {
    assertEquals(await missingInBrowsers(entry, textOf), []);
  }
  const made: Readonly<Record<string, string>> = {
    "a/mod.ts":
      'export {\n  type B,\n  b,\n} from "./b.ts";\nimport type { C } from "node:crypto";',
    "a/b.ts": 'import { createHash } from "node:crypto";\nimport { a } from "./mod.ts";',
  };
  assertEquals(await missingInBrowsers("a/mod.ts", (path) => Promise.resolve(made[path])), [
    "a/b.ts imports node:crypto",
  ]);
});

Deno.test("a circle is found", () => {
  const files = { "a.ts": ["b.ts", "c.ts"], "b.ts": ["d.ts"], "c.ts": ["d.ts"], "d.ts": [] };
  assertEquals(circleIn(new Map(Object.entries(files))), []);
  const tied = { ...files, "d.ts": ["e.ts"], "e.ts": ["b.ts"] };
  assertEquals(circleIn(new Map(Object.entries(tied))), ["b.ts", "d.ts", "e.ts", "b.ts"]);
});

/**
 * What a file does with the text of a shader other than to hand it to the linker, one per line: the
 * imported names stand in one call of `shaders()`, and nowhere else.
 */
function shaderTexts(path: string, text: string): string[] {
  const imports = [...text.matchAll(/^import (\w+) from "[^"]+\.wgsl" with \{[^}]*\};/gm)];
  const rest = imports.reduce((rest, [all]) => rest.replace(all, ""), text);
  const [, gathered = ""] = /\bshaders\("\w+", \{([\w,\s]*)\}/.exec(rest) ?? [];
  const elsewhere = rest.replace(gathered, "");
  return imports.map(([, name]) => name)
    .filter((name) =>
      !new RegExp(`\\b${name}\\b`).test(gathered) ||
      new RegExp(`(?<!["'\`])\\b${name}\\b(?!["'\`])`).test(elsewhere)
    )
    .map((name) => `${path} does something else with ${name} than to hand it to shaders()`);
}

Deno.test("the text of a shader goes to the linker as it is", async () => {
  const found: string[] = [];
  let gathered = 0;
  for (const folder of ["kernels", "bench"]) {
    for (const file of await sources(join(ROOT, folder))) {
      const path = relative(ROOT, file).replaceAll("\\", "/");
      const text = await Deno.readTextFile(file);
      found.push(...shaderTexts(path, text));
      gathered += text.split('.wgsl" with').length - 1;
    }
  }
  assertEquals(found, []);
  assert(gathered > 100, `only ${gathered} shaders found`);
  const text = 'import a from "./a.wgsl" with { type: "text" };\n';
  assertEquals(shaderTexts("x.ts", `${text}const A = shaders("x", { a }).kernel("a");`), []);
  for (
    const wrong of ['shaders("x", { a: a.replace("b", "c") });', 'shaders("x", { a });\nf(a);']
  ) {
    assertEquals(shaderTexts("x.ts", text + wrong).length, 1, wrong);
  }
});

Deno.test("a violation is found", () => {
  const cases: [path: string, text: string][] = [
    ["kernels/gpu/gpu.ts", 'import { matmul } from "../matmul/mod.ts";'],
    ["kernels/scan/reference.ts", 'import { scan } from "./scan.ts";'],
    ["kernels/scan/reference.ts", 'import { sum } from "@std/collections";'],
    ["kernels/scan/scan.ts", 'import { matmul } from "../matmul/mod.ts";'],
    ["kernels/scan/scan.ts", 'import source from "../matmul/a.wgsl" with { type: "text" };'],
    ["kernels/common/rows.ts", 'import { scan } from "../scan/mod.ts";'],
    ["kernels/scan/scan.ts", 'import {\n  type Model,\n} from "../../models/mod.ts";'],
    ["kernels/mod.ts", 'export * from "../tasks/mod.ts";'],
    ["models/layers.ts", 'import type { Task } from "../tasks/task.ts";'],
    ["models/layers.ts", 'const { sweep } = await import("../tasks/sweep.ts");'],
    ["tasks/generators/mqar.ts", 'import "../../kernels/mod.ts";'],
    ["tasks/task.ts", 'import { loadModel } from "../models/mod.ts";'],
    ["tasks/generators/mqar.ts", 'import { train } from "../train.ts";'],
    ["tasks/sweep.ts", 'import { relativeError } from "../tests/testing.ts";'],
    ["tasks/sweep.ts", "const adapter = await navigator.gpu.requestAdapter();"],
    ["models/model.ts", "export function open(device: GPUDevice): void {}"],
    ["kernels/scan/scan.ts", "const usage = GPUBufferUsage.STORAGE;"],
    ["mod.ts", 'export * from "./kernels/scan/scan.ts";'],
    ["elsewhere/a.ts", ""],
  ];
  for (const [path, text] of cases) {
    assertEquals(violations(path, text).length, 1, `${path}: ${text}`);
  }
});

Deno.test("what is allowed is not a violation", () => {
  const cases: [path: string, text: string][] = [
    ["kernels/gpu/gpu.ts", 'import { Tensor } from "./tensor.ts";\nlet device: GPUDevice;'],
    ["kernels/scan/reference.ts", "export function scanReference(): void {}"],
    ["kernels/scan/scan.ts", 'import { kernel } from "../gpu/mod.ts";'],
    ["kernels/scan/scan.ts", 'import source from "./scan.wgsl" with { type: "text" };'],
    ["kernels/scan/scan.ts", '/**\n * import { x } from "../matmul/mod.ts"; with a GPUDevice\n */'],
    ["kernels/mod.ts", 'export * from "./scan/mod.ts";'],
    [
      "models/layers.ts",
      'import { matmul } from "../kernels/mod.ts";\nimport { x } from "pure-rand/x";',
    ],
    ["tasks/generators/mqar.ts", 'import { shuffle } from "../random.ts";'],
    ["tasks/sweep.ts", 'import { loadModel } from "../models/mod.ts";'],
    ["tests/gpu_test.ts", "await navigator.gpu.requestAdapter();"],
  ];
  for (const [path, text] of cases) assertEquals(violations(path, text), []);
});
