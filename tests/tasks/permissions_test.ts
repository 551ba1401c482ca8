import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import configuration from "../../deno.json" with { type: "json" };
import { ENVIRONMENT, leadsToHub, SHARD_PERMISSIONS } from "../../tasks/commands/permissions.ts";
import { inFolder } from "../testing.ts";
import { type Ending, ending, ROOT } from "./process.ts";

/** Runs a task of deno.json with the permissions that it has there, and with no other. */
function task(name: string, args: readonly string[], env = {}): Promise<Ending> {
  const { command } = configuration.tasks[name as keyof typeof configuration.tasks];
  const [deno, run, ...words] = command.split(" ");
  assertEquals([deno, run], ["deno", "run"]);
  return ending(
    new Deno.Command(Deno.execPath(), {
      args: [run, "--no-prompt", "--quiet", ...words, ...args],
      cwd: ROOT,
      env,
      stdout: "piped",
      stderr: "piped",
    }),
  );
}

Deno.test("no task but the tests asks for every permission", () => {
  for (const [name, { command }] of Object.entries(configuration.tasks)) {
    if (name === "test" || name === "fuzz") continue; // which bring a browser, a Slurm, another WebGPU
    assert(!/(^| )(-A|--allow-all)( |$)/.test(command), `${name}: ${command}`);
    assert(!/--allow-(ffi|import|sys( |$))/.test(command), `${name}: ${command}`);
  }
  const variables = /--allow-env=(\S+)/.exec(configuration.tasks.sweep.command)![1].split(",");
  assertEquals(variables, [...ENVIRONMENT]);
  assertStringIncludes(SHARD_PERMISSIONS, variables.join());
});

Deno.test("a sweep, a training, a report: the permissions of their tasks are enough", () =>
  inFolder(async (folder) => {
    const out = join(folder, "out");
    const asked = ["--lengths", "1x", "--samples", "2", "--seeds", "0", "--out", out];
    const commands: readonly [string, readonly string[]][] = [
      ["sweep", ["--models", "gla-text", ...asked]],
      ["merge", [out]],
      ["report", [out]],
      ["train", ["gla-mixture", "--steps", "1", "--out", join(folder, "model")]],
      [
        "eval",
        ["--model", join(folder, "model"), "--task", "mqar", ...asked.slice(0, 6)].concat([
          "--out",
          join(folder, "eval"),
        ]),
      ],
      [
        "ruler",
        ["--tokenizer", join(ROOT, "tests/golden/checkpoints/tokenizer_llama")].concat([
          ...["--tasks", "niah_single_1", "--lengths", "4k", "--samples", "1"],
          ...["--out", join(folder, "set")],
        ]),
      ],
    ];
    for (const [name, args] of commands) {
      const { code, stderr } = await task(name, args);
      assertEquals(code, 0, `${name}: ${stderr}`);
    }
  }));

Deno.test("hf: adds the network: without such a name there is none", () =>
  inFolder(async (folder) => {
    let asked = 0;
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
      asked++;
      return new Response("none", { status: 404 });
    });
    const env = {
      HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      HF_HOME: join(folder, "cache"),
    };
    const { code, stderr } = await task("eval", ["--model", "hf:owner/none"], env);
    assertEquals([code, asked > 0], [1, true], stderr);
    assert(!/--allow-|NotCapable|permission/i.test(stderr), stderr);

    const probe = join(folder, "probe.ts");
    const permissions = new URL("../../tasks/commands/permissions.ts", import.meta.url);
    await Deno.writeTextFile(
      probe,
      `import { dropNetwork } from "${permissions}";
       await dropNetwork(Deno.args, import.meta.url);
       console.log((await Deno.permissions.query({ name: "net" })).state);`,
    );
    for (
      const [args, state] of [[["sweep"], "prompt"], [["eval", "--model", "hf:a/b"], "granted"]]
    ) {
      const command = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", "--allow-read", "--allow-net", "--config"].concat([
          ...[join(ROOT, "deno.json"), probe],
          ...args,
        ]),
      });
      assertMatch((await ending(command)).stdout, new RegExp(`^${state}$`, "m"));
    }
  }));

Deno.test("what can lead to the hub is seen in the command line", () => {
  for (
    const args of [
      ["eval", "--model", "hf:owner/name"],
      ["eval", "--model=hf:owner/name+yarn8"],
      ["sweep", "--models", "gla-text,hf:owner/name"],
      ["sweep", "--resume"],
      ["sweep", "mine.json"],
      ["sweep", "paper-length"],
      ["merge", "results/mine"],
      ["eval", "--model", "state-spaces/mamba-130m"], // its tokenizer is there
      ["sweep", "--models", "gla-text,state-spaces/mamba2attn-2.7b+window64"],
      ["ruler", "--tokenizer", "hf:owner/name"],
    ]
  ) {
    assertEquals(leadsToHub(args), true, args.join(" "));
  }
  for (const args of [["sweep"], ["sweep", "--models", "gla-text"], ["train", "gla"], []]) {
    assertEquals(leadsToHub(args), false, args.join(" "));
  }
});
