import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import {
  architecture,
  Model,
  NotANumberError,
  readSafetensors,
  type StoredTensor,
  writeSafetensors,
} from "../../models/mod.ts";
import { ZOO, zooDirectory } from "../../models/zoo/mod.ts";
import { NEEDLE_FORMATS, RULER_TASKS } from "../../tasks/generators/ruler/names.ts";
import { parseRows, runSweep, type SweepConfiguration } from "../../tasks/mod.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { inFolder, testGpu } from "../testing.ts";
import { ending, ROOT, script } from "./process.ts";
import { rulerFiles } from "./ruler_files.ts";

const TOKENIZER = join(ROOT, "tests/golden/checkpoints/tokenizer_bytelevel");

const ONE_CELL: SweepConfiguration = {
  name: "broken",
  models: [],
  tasks: [],
  lengths: [],
  depths: [],
  loads: [],
  seeds: [0],
  samples: 2,
};

/** A model's files with one weight that is NaN. */
async function breakModel(folder: string, from: string | URL, weight: RegExp): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const source = from instanceof URL ? from.pathname : from;
  for await (const { name, isFile } of Deno.readDir(source)) {
    if (isFile) await Deno.copyFile(join(source, name), join(folder, name));
  }
  const path = join(folder, "model.safetensors");
  const { tensors, metadata } = readSafetensors(await Deno.readFile(path), path);
  const name = [...tensors.keys()].find((name) => weight.test(name));
  assert(name !== undefined, `${from} has a weight like ${weight}`);
  const { shape, data } = tensors.get(name)!;
  const broken = Float32Array.from(data);
  broken[broken.length >> 1] = NaN;
  const all = new Map<string, StoredTensor>(tensors).set(name, { shape, data: broken });
  await Deno.writeFile(path, writeSafetensors(all, metadata));
}

/** A Llama over the byte-level tokenizer, as transformers saves it. */
async function writeLlama(folder: string): Promise<void> {
  const [vocabulary, width, hidden] = [300, 16, 32];
  await Deno.mkdir(folder, { recursive: true });
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(join(TOKENIZER, name), join(folder, name));
  }
  await Deno.writeTextFile(
    join(folder, "config.json"),
    JSON.stringify({
      architectures: ["LlamaForCausalLM"],
      hidden_size: width,
      intermediate_size: hidden,
      num_attention_heads: 2,
      num_hidden_layers: 1,
      max_position_embeddings: 512,
      vocab_size: vocabulary,
      tie_word_embeddings: true,
    }),
  );
  const layer = "model.layers.0.";
  const shapes: Record<string, number[]> = {
    "model.embed_tokens.weight": [vocabulary, width],
    ...Object.fromEntries(
      ["q", "k", "v", "o"].map((name) => [`${layer}self_attn.${name}_proj.weight`, [width, width]]),
    ),
    [`${layer}mlp.gate_proj.weight`]: [hidden, width],
    [`${layer}mlp.up_proj.weight`]: [hidden, width],
    [`${layer}mlp.down_proj.weight`]: [width, hidden],
    [`${layer}input_layernorm.weight`]: [width],
    [`${layer}post_attention_layernorm.weight`]: [width],
    "model.norm.weight": [width],
  };
  const tensors = Object.entries(shapes).map(([name, shape], seed) => {
    const count = shape.reduce((product, extent) => product * extent, 1);
    const data = Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i) / 2);
    return [name, { shape, data }] as const;
  });
  await Deno.writeFile(join(folder, "model.safetensors"), writeSafetensors(new Map(tensors)));
}

Deno.test("generate() throws where a logit is NaN, and says after which token", async () => {
  const gpu = await testGpu();
  const configuration = architecture("mamba2", { vocabulary: 64, width: 16, layers: 1 });
  using model = new Model(gpu, configuration, { seed: 1 });
  const prompt = [1, 2, 3, 4, 5];
  const whole = await model.generate(prompt, { maxTokens: 40 });
  assertEquals(whole.length, 40);
  const held = gpu.memory.current;
  const embedding = model.parameters.get("embedding.weight")!.tensor;
  const values = await embedding.read() as Float32Array;
  // The row of a token that the prompt lacks: it is met when that token is read back in.
  const first = whole.findIndex((token) => !prompt.includes(token));
  const head = model.configuration.tiedHead;
  embedding.write(values.with(whole[first] * 16 + 3, NaN));
  const error = await assertRejects(
    () => model.generate(prompt, { maxTokens: 40 }),
    NotANumberError,
  );
  // With a tied head the token's own logit is NaN from the start.
  const position = prompt.length - 1 + (head ? 0 : first + 1);
  assertEquals(error.place, { position });
  assertStringIncludes(
    error.message,
    `logit at position ${position} is NaN: its weights are broken`,
  );
  assertEquals(gpu.memory.current, held, "what generation holds is freed");
  // A stop token that came before is a whole reply.
  if (!head) {
    const stop = { maxTokens: 40, stopTokens: [whole[first]] };
    assertEquals(await model.generate(prompt, stop), whole.slice(0, first + 1));
  }
});

Deno.test("one NaN weight: every task in words fails with the model, length and position, RULER's 13 too", () =>
  inFolder(async (folder) => {
    const [whole, broken] = ["whole", "broken"].map((name) => join(folder, name));
    await writeLlama(whole);
    await breakModel(broken, whole, /v_proj/);
    using files = rulerFiles();
    const tasks = [...RULER_TASKS, NEEDLE_FORMATS[0], "text"];
    await using source = new ModelSource();
    const taskOptions = { qa_1: { squad: files.squad }, qa_2: { hotpotqa: files.hotpotqa } };
    const grids: Record<string, { lengths: number[] }> = {};
    const [card] = await source.find([broken]);
    for (const name of tasks) {
      const task = await card.task(name, taskOptions[name as "qa_1"]);
      grids[name] = { lengths: [Math.max(64, task.shortestLength())] };
    }
    const configuration = {
      ...ONE_CELL,
      models: [broken],
      tasks,
      taskOptions,
      grids,
      lengths: [64],
    };
    const out = join(folder, "out");
    const { rows, failed, table } = await runSweep(configuration, source, { out });
    assertEquals(rows, []);
    assertEquals(failed.map(({ cell }) => cell.task).sort(), [...tasks].sort());
    for (const { cell, reason } of failed) {
      assertMatch(
        reason,
        new RegExp(
          `^Cannot score ${cell.task} at ${cell.length} tokens as ${broken}'s (largest logit|log-likelihood) at position \\d+ of sample 0 is NaN: `,
        ),
      );
    }
    assertEquals(table.map(({ metric, value }) => [metric, value]), tasks.map(() => ["failed", 1]));
    // The same model with all its weights has results.
    const again = { ...configuration, models: [whole], samples: 1, tasks: ["vt", "text"] };
    const { failed: none } = await runSweep(again, source, { out: join(folder, "whole-out") });
    assertEquals(none, []);
  }));

Deno.test("one NaN weight in a mixer, a norm or a head: every task of the committed models fails", () =>
  inFolder(async (folder) => {
    const weights: readonly (readonly [model: string, weight: RegExp])[] = [
      ["transformer-mixture", /mixer\.value/],
      ["mamba2-mixture", /mixer\.(input|in)/],
      ["gla-mixture", /channel_mixer/],
      ["griffin-mixture", /^norm\./],
      ["mamba2-attention-niah", /mixer_norm/],
      ["deltanet-negative-parity", /mixer\.output/],
      ["gla-text", /^head/],
    ];
    assert(weights.every(([model]) => (ZOO as readonly string[]).includes(model)));
    await using source = new ModelSource();
    for (const [name, weight] of weights) {
      const model = join(folder, name);
      await breakModel(model, zooDirectory(name as typeof ZOO[number]), weight);
      const configuration: SweepConfiguration = {
        ...ONE_CELL,
        models: [model],
        lengths: ["1x"],
      };
      const out = join(folder, "out", name);
      const { rows, failed } = await runSweep(configuration, source, { out });
      assertEquals([rows, failed.length > 0], [[], true], name);
      for (const { reason } of failed) assertMatch(reason, /log-likelihood at position .* is NaN/);
    }
  }));

Deno.test("a model that computes NaN: exit code 1, a failed cell in CSV and report, run again by --resume", () =>
  inFolder(async (folder) => {
    const [whole, broken] = ["whole", "broken"].map((name) => join(folder, name));
    await writeLlama(whole);
    await breakModel(broken, whole, /down_proj/);
    const out = join(folder, "out");
    const args = ["eval", "--model", broken, "--task", "niah_single_1", "--lengths", "512"]
      .concat(["--samples", "2", "--seeds", "0", "--out", out]);
    for (const again of [[], ["--resume"]]) {
      const { code, stdout, stderr } = await ending(script("tasks/main.ts", [...args, ...again]));
      assertEquals(code, 1, stdout);
      assertMatch(
        stderr,
        /1 of 1 cells have no result: Cannot score niah_single_1 at 512 tokens as .*broken's largest logit at position \d+ of sample 0 is NaN/,
      );
      assert(!stdout.includes("0.00"), stdout);
    }
    const [row, ...more] = parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv");
    assertEquals(more, []);
    assertEquals([row.metric, row.value, row.task, row.samples], [
      "failed",
      1,
      "niah_single_1",
      2,
    ]);
    assertStringIncludes(row.reason!, "is NaN");
    const page = await Deno.readTextFile(join(out, "report.html"));
    assertStringIncludes(page, "<h1>No results</h1>");
    assertMatch(page, /1 cell was tried and failed.*<td[^>]*>niah_single_1<\/td>.*is NaN/s);
    const merged = await ending(script("tasks/main.ts", ["merge", out]));
    assertEquals(merged.code, 1);
    assertStringIncludes(merged.stderr, "1 of 1 cells have no result");
    const report = await ending(script("tasks/main.ts", ["report", out]));
    assertEquals(report.code, 0, report.stderr);
    // Once it is whole, the cell has its result: here by putting the weight right.
    await Deno.copyFile(join(whole, "model.safetensors"), join(broken, "model.safetensors"));
    const other = await ending(script("tasks/main.ts", [...args, "--resume"]));
    assertEquals(other.code, 1);
    assertStringIncludes(other.stderr, "its journal is of another sweep", "another model");
  }));
