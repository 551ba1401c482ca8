import { assert, assertEquals } from "@std/assert";
import * as leven from "leven";
import { join } from "@std/path";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import * as own from "../../.ci/npm/pure_rand.ts";
import { closestMatch } from "../../.ci/npm/leven.ts";
import configuration from "../../deno.json" with { type: "json" };
import offline from "../../bench/gpu_check/task.json" with { type: "json" };
import { ending, ROOT } from "../tasks/process.ts";
import { inFolder } from "../testing.ts";

Deno.test("the stand-ins for npm give the genuine numbers and names", () => {
  for (const seed of [0, 1, -5, 2 ** 31 - 1, 123_456_789]) {
    const [theirs, ours] = [xoroshiro128plus(seed), own.xoroshiro128plus(seed)];
    for (let i = 0; i < 200; i++) {
      assertEquals(own.uniformFloat64(ours), uniformFloat64(theirs));
      assertEquals(own.uniformInt(ours, -3, 9 + i), uniformInt(theirs, -3, 9 + i));
    }
    assertEquals(ours.getState(), theirs.getState());
    const copy = own.xoroshiro128plusFromState(theirs.getState());
    assertEquals(own.uniformInt(copy, 0, 99), uniformInt(theirs, 0, 99));
  }
  const names = ["register", "vector", "workgroup", "rows"];
  for (const asked of ["vectr", "rowz", "workgroups", "", "nothing like it"]) {
    assertEquals(closestMatch(asked, names), leven.closestMatch(asked, names));
  }
});

Deno.test("an adapter is checked from the repository alone: no network, no cache", () =>
  inFolder(async (folder) => {
    const { command } = configuration.tasks["gpu-check"];
    const [, run, ...words] = command.split(" ");
    const out = join(folder, "out");
    const args = ["--minutes", "0.3", "--only", "models,training", "--out", out];
    const { code, stderr } = await ending(
      new Deno.Command(Deno.execPath(), {
        args: [run, "--quiet", "--no-prompt", ...words, ...args],
        cwd: ROOT,
        env: {
          DENO_DIR: join(folder, "cache"),
          JSR_URL: "http://127.0.0.1:9/",
          NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
        },
        stdout: "piped",
        stderr: "piped",
      }),
    );
    assertEquals(code, 0, stderr);
    const page = await Deno.readTextFile(join(out, "gpu-check.md"));
    const { parts } = JSON.parse(await Deno.readTextFile(join(out, "gpu-check.json")));
    assertEquals(parts.map(({ title }: { title: string }) => title), [
      "Adapter",
      "Models with random weights",
      "A training step",
    ]);
    for (const { title, lines, notes } of parts) {
      // A busy machine has no time for all of them, and says so.
      const left = notes.filter((note: string) => note.includes(": not run, as ")).length;
      assert(lines.length >= 1 && lines.length + left >= 3, `${title}: ${notes.join("\n")}`);
      assert(page.includes(`## ${title}`), page);
    }
  }));

Deno.test("the task for a machine without a network fetches nothing, and runs what that of deno.json does", () =>
  inFolder(async (folder) => {
    const { command } = configuration.tasks["gpu-check"];
    assertEquals(offline.tasks["gpu-check"].command, `cd ../.. && ${command}`);
    const { code, stdout, stderr } = await ending(
      new Deno.Command(Deno.execPath(), {
        args: ["task", "--config", "bench/gpu_check/task.json", "gpu-check", "--help"],
        cwd: ROOT,
        env: {
          DENO_DIR: join(folder, "cache"),
          JSR_URL: "http://127.0.0.1:9/",
          NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
        },
        stdout: "piped",
        stderr: "piped",
      }),
    );
    assertEquals(code, 0, stderr);
    assert(stdout.includes("usage: ./run gpu-check"), stdout);
    assert(!stderr.includes("Download"), stderr);
  }));
