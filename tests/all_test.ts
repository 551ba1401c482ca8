import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { runAll } from "./all.ts";
import { inFolder } from "./testing.ts";

Deno.test("all tests run, whatever process has them, and each that fails is named", () =>
  inFolder(async (root) => {
    const files: Record<string, string> = {
      "deno.json": "{}",
      "tests/kernels/one_test.ts":
        'Deno.test("one", () => {});\nDeno.test.ignore("two", () => {});',
      "tests/three_test.ts": 'Deno.test("three", () => { throw new Error("no third"); });',
      "tests/ends_test.ts": 'Deno.test("ends", () => Deno.kill(Deno.pid, "SIGKILL"));',
      "example.ts":
        "/**\n * ```ts\n * if (1 + 1 !== 2) throw 0;\n * ```\n */\nexport const two = 2;",
      "mistyped.ts": 'export const three: number = "three";',
    };
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(join(root, path, ".."), { recursive: true });
      await Deno.writeTextFile(join(root, path), text);
    }
    const printed: string[] = [];
    const { errors, ...counts } = await runAll(root, 2, (text) => void printed.push(text));
    assertEquals(counts, { passed: 2, failed: 3, ignored: 1 }); // one and the example
    assertEquals(errors.length, 3);
    for (const words of ["no third", "ended with SIGKILL", "Type 'string' is not assignable"]) {
      assertStringIncludes(errors.join(), words);
    }
    for (const words of ["one ... ok", "example.ts#2", "no third"]) {
      assertStringIncludes(printed.join(""), words);
    }
  }));
