import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import configuration from "../../deno.json" with { type: "json" };
import { inNewFolder } from "../testing.ts";
import { ROOT } from "./process.ts";

Deno.test({
  name:
    "on a terminal something moves within a cell, though its thread is held up, and nothing remains",
  ignore: Deno.build.os !== "linux", // whose script(1) is a terminal
  fn: () =>
    inNewFolder(async (out) => {
      const words = [
        Deno.execPath(),
        "run",
        "-A",
        "--quiet",
        "tests/tasks/oracle_main.ts",
        "sweep",
      ];
      const asked = ["--models", "near", "--tasks", "passkey", "--lengths", "64,128"];
      const more = ["--samples", "4", "--seeds", "0", "--out", join(out, "results")];
      const command = [...words, ...asked, ...more].join(" ");
      const { code, stdout } = await new Deno.Command("script", {
        args: ["--quiet", "--return", "--command", `stty cols 100; ${command}`, "/dev/null"],
        cwd: ROOT,
        env: { ORACLE_MILLISECONDS: "900", ORACLE_BLOCKS: "1" },
        stdout: "piped",
        stderr: "null",
      }).output();
      const text = new TextDecoder().decode(stdout);
      assertEquals(code, 0, text);
      // A cell is read twice, each time 900 ms: what turns is drawn every 250 ms.
      const first = text.slice(0, text.indexOf(" 1/2 ")); // before the first cell is done
      const turns = new Set(first.match(/[⠋⠙⠸⠴⠦⠇]/g));
      assert(turns.size >= 3, text);
      const lines = text.split(/\r?\n/);
      const last = lines.findLastIndex((line) => line.includes("tokens"));
      const erased = lines.slice(last).join("\n").split("tokens").at(-1)!;
      assert(erased.includes("\x1b[K"), "the live line is taken away");
      assert(first.includes("0/2 · near · passkey · 64 tokens"), text);
      assert(/\[1\/2\] near passkey 64: accuracy/.test(text) && /\[2\/2\]/.test(text), text);
      assert(text.trimEnd().endsWith("pictures beside it"), text.slice(-300));
    }),
});

Deno.test({
  name: "on a terminal nobody is asked for a permission: those of the task are enough",
  ignore: Deno.build.os !== "linux",
  fn: () =>
    inNewFolder(async (out) => {
      const [, ...words] = configuration.tasks.sweep.command.split(" ");
      const asked = ["--models", "gla-mixture", "--tasks", "passkey", "--lengths", "64"];
      const more = ["--samples", "2", "--seeds", "0", "--out", join(out, "results")];
      const command = [Deno.execPath(), ...words, ...asked, ...more].join(" ");
      const { code, stdout } = await new Deno.Command("script", {
        args: ["--quiet", "--return", "--command", `timeout 60 ${command}`, "/dev/null"],
        cwd: ROOT,
        stdout: "piped",
        stderr: "null",
      }).output();
      const text = new TextDecoder().decode(stdout);
      assert(!text.includes("Allow?"), text);
      assertEquals(code, 0, text);
    }),
});
