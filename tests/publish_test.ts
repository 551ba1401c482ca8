import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { checkSize, copyForPublishing, rewriteTextImports, textModule } from "../.ci/publish.ts";

Deno.test("publish: text imports become module imports", () => {
  const cases: [source: string, rewritten: string][] = [
    ['import a from "./x.wgsl" with { type: "text" };', 'import a from "./x.wgsl.ts";'],
    ['import a from "./x.wgsl" with {\n  type: "text",\n};', 'import a from "./x.wgsl.ts";'],
    [
      'export { default } from "../x.css" with { type: "text" };',
      'export { default } from "../x.css.ts";',
    ],
    ['await import("./x.html", { with: { type: "text" } });', 'await import("./x.html.ts");'],
    ['await import("./x.html", {\n  with: { type: "text" },\n});', 'await import("./x.html.ts");'],
    [
      'import a from "./x.json" with { type: "json" };',
      'import a from "./x.json" with { type: "json" };',
    ],
    [
      ' * import a from "./x.wgsl" with { type: "text" };',
      ' * import a from "./x.wgsl" with { type: "text" };',
    ],
  ];
  for (const [source, rewritten] of cases) {
    assertEquals(rewriteTextImports(source).source, rewritten);
  }
  const two = cases[0][0] + "\n" + cases[3][0];
  assertEquals(rewriteTextImports(two).imports, ["./x.wgsl", "./x.html"]);
});

Deno.test("publish: a text's module has the text", async () => {
  const text = "a `quoted` ${word}, $5, a \\n and 漢\n\tend\n";
  const url = `data:application/typescript,${encodeURIComponent(textModule(text))}`;
  assertEquals((await import(url)).default, text);
});

Deno.test("publish: no logs of trainings, and no more than 5 MB", async () => {
  const copy = await Deno.makeTempDir();
  try {
    await copyForPublishing(fromFileUrl(new URL("..", import.meta.url)), copy);
    assert(await checkSize(copy) > 1_000_000);
    const model = join(copy, "models/zoo/gla-text");
    const names = Array.from(Deno.readDirSync(model), ({ name }) => name).sort();
    assertEquals(names, ["config.json", "model.safetensors", "recipe.json"]);
    await Deno.writeFile(join(copy, "large"), new Uint8Array(5_000_000));
    await assertRejects(() => checkSize(copy), RangeError, "Cannot publish as the package takes");
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
});
