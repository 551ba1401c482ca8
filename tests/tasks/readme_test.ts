import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { runCommandLine } from "../../tasks/command_line.ts";
import { COMMANDS } from "../../tasks/commands/mod.ts";
import configuration from "../../deno.json" with { type: "json" };
import { type ReadmeCommand, readmeCommands, readmeQuestion } from "../readme_commands.ts";
import { inFolder } from "../testing.ts";
import { ROOT } from "./process.ts";
import { TOKENIZER, writeLlama } from "./tiny_llama.ts";

/** What makes each command quick: a smaller grid, fewer steps. What is printed stays as it is. */
function cut({ words }: ReadmeCommand): string[] {
  const [command, ...rest] = words;
  if (rest.includes("--dry-run")) return ["--models", "gla-mixture", "--lengths", "64"];
  const grid = ["--samples", "1", "--seeds", "0"];
  switch (command) {
    case "sweep":
      if (rest.includes("--slurm")) return ["--dry-run"];
      if (rest.includes("--kubernetes")) return [];
      if (rest.includes("mine.json")) { // what it trains takes minutes; tests/newcomer.ts has them
        const models = "transformer-mixture,transformer-mixture+window64";
        return [...grid, "--models", models, "--lengths", "64"];
      }
      if (rest.includes("--resume")) return [];
      return [...grid, "--models", "gla-mixture", "--tasks", "passkey", "--lengths", "64"];
    case "eval":
      if (rest.includes("--stats")) return ["--lengths", "64"];
      return rest.includes("mqar") ? [...grid, "--lengths", "64"] : [...grid, "--lengths", "1k"];
    case "ruler":
      return ["--samples", "1", "--tasks", "niah_single_1", "--lengths", "1k"];
    case "tune":
      return ["--minutes", "0.01", "--models", "gla-mixture"];
    case "train":
      return ["--steps", "1"];
    default:
      return [];
  }
}

/** A command with options in place of what it gives for them: `--lengths 64` for `--lengths 1k,4k`. */
function withOptions(words: readonly string[], options: readonly string[]): string[] {
  const names = options.filter((option) => option.startsWith("--"));
  const kept = words.filter((word, i) => !names.includes(word) && !names.includes(words[i - 1]));
  return [...kept, ...options];
}

/** Where only one share of a sweep was run, merging tells what is missing. */
function expectedCode({ words }: ReadmeCommand): number {
  return words[0] === "merge" ? 1 : 0;
}

/** A hub that holds stand-ins for the repositories that README.md names. */
async function hub(folder: string): Promise<Deno.HttpServer<Deno.NetAddr>> {
  await writeLlama(join(folder, "state-spaces/mamba2-130m"));
  const tokenizer = join(folder, "EleutherAI/gpt-neox-20b");
  await Deno.mkdir(tokenizer, { recursive: true });
  await Deno.writeTextFile(join(tokenizer, "config.json"), "{}");
  for (const { name } of Deno.readDirSync(TOKENIZER)) {
    await Deno.copyFile(join(TOKENIZER, name), join(tokenizer, name));
  }
  return Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const path = decodeURIComponent(new URL(request.url).pathname).replace("/resolve/main", "");
    const bytes = await Deno.readFile(join(folder, path)).catch(() => undefined);
    return bytes ? new Response(bytes) : new Response("none", { status: 404 });
  });
}

Deno.test("every command of README.md runs as it is printed, one after the other", () =>
  inFolder(async (folder) => {
    const commands = await readmeCommands();
    assert(commands.length >= 18, `${commands.length} commands`);
    const tasks = Object.keys(configuration.tasks);
    await Deno.symlink(join(ROOT, "tasks"), join(folder, "tasks"));
    await Deno.writeTextFile(join(folder, "mine.json"), await readmeQuestion());
    await using server = await hub(join(folder, "hub"));
    const env: Readonly<Record<string, string>> = {
      HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      HF_HOME: join(folder, "cache"),
    };
    const before = Object.keys(env).map((name) => [name, Deno.env.get(name)] as const);
    const [home, { log, error }] = [Deno.cwd(), console];
    for (const [name, value] of Object.entries(env)) Deno.env.set(name, value);
    Deno.chdir(folder);
    try {
      for (const command of commands) {
        assert(tasks.includes(command.words[0]), `${command.printed}: no such task`);
        const lines: string[] = [];
        console.log = console.error = (line: string) => void lines.push(line);
        const code = await runCommandLine(withOptions(command.words, cut(command)), COMMANDS);
        [console.log, console.error] = [log, error];
        assertEquals(code, expectedCode(command), `${command.printed}\n${lines.join("\n")}`);
      }
      for (const file of ["report.html", "sweep.csv", "journal.jsonl"]) {
        assert((await Deno.stat(join("results", "default", file))).size > 0, file);
      }
      assert((await Deno.stat(join("results", "default+default-2", "report.html"))).size > 0);
      assert((await Deno.stat(join("results", "mine", "report.html"))).size > 0);
    } finally {
      [console.log, console.error] = [log, error];
      Deno.chdir(home);
      for (const [name, value] of before) {
        if (value === undefined) Deno.env.delete(name);
        else Deno.env.set(name, value);
      }
    }
  }));
