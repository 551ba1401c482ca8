import { assertEquals } from "@std/assert";
import { join } from "@std/path";

const MODULE = new URL("../../../models/checkpoints/replace_file.ts", import.meta.url);

Deno.test("two processes write one file at a time: each whole, and nothing is left beside it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "report.html");
    const writes = `import { replaceFile } from ${JSON.stringify(MODULE.href)};
      for (let i = 0; i < 100; i++) await replaceFile(${JSON.stringify(path)}, "x".repeat(1000));`;
    const ends = await Promise.all(
      [1, 2].map(() =>
        new Deno.Command(Deno.execPath(), {
          args: [
            "run",
            "-A",
            "--no-check",
            `data:application/typescript,${encodeURIComponent(writes)}`,
          ],
          stdout: "null",
        }).output()
      ),
    );
    for (const { code, stderr } of ends) assertEquals(code, 0, new TextDecoder().decode(stderr));
    assertEquals((await Deno.readTextFile(path)).length, 1000);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["report.html"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
