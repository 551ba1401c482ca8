import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { parseRows, type Row } from "../../tasks/mod.ts";
import { resolveModel } from "../../tasks/subjects/resolve.ts";
import { readSweep } from "../../tasks/sweep/sweep_file.ts";
import { inFolder } from "../testing.ts";
import { type Ending, ending, ROOT, script } from "./process.ts";
import { writeLlama } from "./tiny_llama.ts";

const EXAMPLES = "tasks/examples";

/** The six questions, each with what makes it small. */
const QUESTIONS: Readonly<Record<string, readonly string[]>> = {
  "hybrid.json": ["--steps", "2", "--batch", "4", "--length", "32"],
  "hybrid-sweep.json": [
    ...["--models", "hybrid-s1,gla-s2", "--lengths", "32", "--steps", "2"],
    ...["--samples", "2", "--seeds", "0"],
  ],
  "lengths.json": ["--lengths", "1x", "--samples", "1", "--seeds", "0"],
  "perplexity.json": ["--lengths", "64", "--samples", "2", "--seeds", "0"],
  "templates.json": ["--lengths", "1k", "--samples", "1", "--seeds", "0", "--tasks", "vt"],
  "ruler-set.json": ["--lengths", "1k", "--samples", "1"],
};

function main(args: readonly string[], env?: Record<string, string>): Promise<Ending> {
  return ending(script("tasks/main.ts", args, env));
}

/** Runs an example at its small size, into a folder. */
async function run(
  name: string,
  out: string,
  { more = [], env }: { more?: readonly string[]; env?: Record<string, string> } = {},
): Promise<{ stdout: string; rows: Row[] }> {
  const command = name === "hybrid.json" ? "train" : "sweep";
  const path = `${EXAMPLES}/${name}`;
  const { code, stdout, stderr } = await main(
    [command, path, ...QUESTIONS[name], ...more, "--out", out],
    env,
  );
  assertEquals(code, 0, stderr);
  if (command === "train") return { stdout, rows: [] };
  return { stdout, rows: parseRows(await Deno.readTextFile(join(out, "sweep.csv")), name) };
}

/** The models of rows that hold a score, in their order, once each. */
function modelsOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ model }) => model))];
}

Deno.test("each example is run by a test, and named in their README", async () => {
  const files = Array.from(Deno.readDirSync(join(ROOT, EXAMPLES)), ({ name }) => name);
  const questions = files.filter((name) => name.endsWith(".json")).sort();
  assertEquals(questions, Object.keys(QUESTIONS).sort());
  const readme = await Deno.readTextFile(join(ROOT, EXAMPLES, "README.md"));
  for (const name of questions) {
    assertStringIncludes(readme, `| \`${name}\` `);
    const { $schema } = JSON.parse(await Deno.readTextFile(join(ROOT, EXAMPLES, name)));
    assert((await Deno.stat(join(ROOT, EXAMPLES, $schema))).isFile, name);
  }
});

Deno.test("the question that README shows is one", async () => {
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const [, question] = /```json\n(.*?)```/s.exec(readme)!;
  await inFolder(async (folder) => {
    const path = join(folder, "mine.json");
    await Deno.writeTextFile(path, question);
    const { name, models, lengths } = await readSweep(path);
    assertEquals([name, lengths], ["mine", ["1x", "4x", 1000, 2048]]);
    const kinds = await Promise.all(models.map(async (model) => (await resolveModel(model)).kind));
    assertEquals(kinds, ["committed", "committed", "recipe"]);
  });
});

Deno.test("examples: a hybrid of one's own is trained, and its folder is a model to ask", () =>
  inFolder(async (folder) => {
    const model = join(folder, "model");
    await run("hybrid.json", model);
    const args = ["eval", "--model", model, "--lengths", "1x", "--samples", "2", "--seeds", "0"];
    const { code, stderr } = await main([...args, "--out", join(folder, "out")]);
    assertEquals(code, 0, stderr);
    const rows = parseRows(await Deno.readTextFile(join(folder, "out", "sweep.csv")), "sweep.csv");
    assertEquals([rows[0].family, rows[0].train_length], ["gla-window-mamba2", 32]);
  }));

Deno.test("examples: a hybrid is trained and swept against its parts", () =>
  inFolder(async (out) => {
    const { rows } = await run("hybrid-sweep.json", out);
    assertEquals(modelsOf(rows), ["hybrid-s1", "gla-s2"]);
    assertEquals(rows.map(({ train_seed }) => train_seed).includes(2), true);
    const [hybrid, gla] = modelsOf(rows).map((name) => rows.find(({ model }) => model === name)!);
    assert(hybrid.parameters !== gla.parameters && hybrid.family === "gla-window-mamba2");
    // What was trained is a recipe that train reads.
    const recipe = join(out, "models", "hybrid-s1", "recipe.json");
    const { code, stdout } = await main(["train", recipe, "--print"]);
    assertEquals([code, JSON.parse(stdout).steps], [0, 2]);
  }));

Deno.test("examples: a committed model with interventions, and a text of one's own", () =>
  inFolder(async (folder) => {
    const lengths = await run("lengths.json", join(folder, "lengths"));
    const models = ["transformer-mixture", "transformer-mixture+yarn8", "window-of-64"];
    assertEquals(modelsOf(lengths.rows), models);
    const windows = lengths.rows.filter(({ metric }) => metric === "window_law");
    assertEquals(modelsOf(windows), ["window-of-64"]);
    const loads = lengths.rows.filter(({ task }) => task === "mqar").map(({ load }) => load);
    assertEquals([...new Set(loads)], [4, 8]);

    const text = await run("perplexity.json", join(folder, "text"));
    assertStringIncludes(text.stdout, "\ntext: all of README.md\n");
    const perplexities = text.rows.filter(({ metric }) => metric === "perplexity");
    assertEquals(modelsOf(perplexities), ["transformer-text", "mamba2-text", "gla-text"]);
    assert(perplexities.every(({ value }) => value > 1 && value < 256));
  }));

Deno.test("examples: two checkpoints in three templates, and samples that were written before", () =>
  inFolder(async (folder) => {
    const hub = join(folder, "hub");
    for (const name of ["SmolLM-135M", "SmolLM-135M-Instruct"]) {
      const home = join(hub, "HuggingFaceTB", name, "resolve", "main");
      await writeLlama(home);
      if (!name.endsWith("Instruct")) continue;
      await Deno.writeTextFile(
        join(home, "chat_template.jinja"),
        "<user>{{ messages[0].content }}</user>",
      );
    }
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, serve);
    const env = {
      HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      HF_HOME: join(folder, "cache"),
    };
    const { rows } = await run("templates.json", join(folder, "templates"), { env });
    const page = await Deno.readTextFile(join(folder, "templates", "report.html"));
    assertStringIncludes(
      page,
      "instruct is hf:HuggingFaceTB/SmolLM-135M-Instruct, in the template chat; instruct-plain is hf:",
    );
    assertStringIncludes(page, "plain.jinja, trained at 2048 tokens, its weights in f32.");
    const scores = rows.filter(({ metric }) => metric === "accuracy");
    assertEquals(
      scores.map(({ model, template, train_length }) => [model, template, train_length]),
      [
        ["hf:HuggingFaceTB/SmolLM-135M", "base", 128],
        ["instruct", "chat", 128],
        ["instruct-plain", "plain", 2048],
      ],
    );

    const set = join(folder, "set");
    const args = ["ruler", "--tokenizer", "hf:HuggingFaceTB/SmolLM-135M", "--out", set];
    const made = await main(
      [...args, "--tasks", "niah_single_1,vt", "--lengths", "1k"].concat([
        ...["--samples", "1"],
      ]),
      env,
    );
    assertEquals(made.code, 0, made.stderr);
    const asked = await run("ruler-set.json", join(folder, "ruler"), { more: ["--set", set], env });
    const answered = asked.rows.filter(({ metric }) => metric === "accuracy");
    assertEquals(answered.map(({ task, length }) => [task, length]), [
      ["niah_single_1", 1024],
      ["vt", 1024],
    ]);

    async function serve(request: Request): Promise<Response> {
      const path = decodeURIComponent(new URL(request.url).pathname);
      const bytes = await Deno.readFile(join(hub, path)).catch(() => undefined);
      return bytes ? new Response(bytes) : new Response("none", { status: 404 });
    }
  }));
