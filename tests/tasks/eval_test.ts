import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path";
import { type Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import { loadModel, loadTokenizer, type Model } from "../../models/mod.ts";
import { parseRows, type Row, type Sample, UNSCORED } from "../../tasks/mod.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { inFolder, testGpu } from "../testing.ts";
import { type Ending, ending, ROOT, script } from "./process.ts";
import { TOKENIZER, VOCABULARY, WIDTH, writeLlama } from "./tiny_llama.ts";

const GOLDEN = join(ROOT, "tests", "golden", "checkpoints");

function run(args: readonly string[], env?: Record<string, string>): Promise<Ending> {
  return ending(script("tasks/main.ts", ["eval", ...args], env));
}

async function rowsIn(folder: string): Promise<Row[]> {
  return parseRows(await Deno.readTextFile(join(folder, "sweep.csv")), "sweep.csv");
}

Deno.test("eval downloads a checkpoint, and tells its perplexity on a file at every length", () =>
  inFolder(async (folder) => {
    const home = join(folder, "hub", "owner", "tiny", "resolve", "main");
    await writeLlama(home);
    const file = join(folder, "text.txt");
    await Deno.writeTextFile(file, "To be, or not to be: that is the question. ".repeat(60));
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, serve);
    const env = {
      HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      HF_HOME: join(folder, "cache"),
    };
    const out = join(folder, "out");
    const args = ["--model", "hf:owner/tiny", "--task", "text", "--text", file, "--out", out];
    const asked = [...args, "--lengths", "1x,2x", "--samples", "4", "--seeds", "0"];
    const { code, stdout, stderr } = await run(asked, env);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "downloaded model.safetensors");
    assertStringIncludes(stdout, "text: perplexity");
    const rows = await rowsIn(out);
    const perplexities = rows.filter(({ metric }) => metric === "perplexity");
    assertEquals(perplexities.map(({ length }) => length), [128, 256]);
    assertEquals(
      perplexities.map(({ begin_token }) => begin_token),
      [0, 0],
      "it has no begin token",
    );
    for (const { length, family, parameters, train_length, state_bytes } of perplexities) {
      assertEquals([family, parameters, train_length], ["llama", 7408, 128]);
      assertEquals(state_bytes, 2 * 4 * WIDTH * length);
    }
    // A nat a token is 1 / ln 2 bits, and a token has some bytes of text.
    const bits = rows.filter(({ metric }) => metric === "bits_per_byte");
    assertEquals(bits.length, 2);
    bits.forEach(({ value }, i) => {
      const bitsPerToken = Math.log2(perplexities[i].value);
      assert(value < bitsPerToken && value > bitsPerToken / 8, `${value} of ${bitsPerToken}`);
    });
    // Another text, or other weights on the GPU, are another sweep.
    await Deno.writeTextFile(file, "That is another question. ".repeat(100));
    const other = await run([...asked, "--resume"], env);
    assertEquals(other.code, 1);
    assertMatch(other.stderr, /its journal is of another sweep/);
    // The text ends: the largest length that works is in the error.
    const long = await run([...args, "--lengths", "4k", "--out", join(folder, "long")], env);
    assertEquals(long.code, 1);
    assertMatch(long.stderr, /the largest length that works is \d+/);

    async function serve(request: Request): Promise<Response> {
      const path = decodeURIComponent(new URL(request.url).pathname);
      const bytes = await Deno.readFile(join(folder, "hub", path)).catch(() => undefined);
      return bytes ? new Response(bytes) : new Response("none", { status: 404 });
    }
  }));

Deno.test("eval asks in words, plainly and in the model's own chat template, and continues", () =>
  inFolder(async (folder) => {
    const model = join(folder, "tiny");
    await writeLlama(model);
    await Deno.writeTextFile(
      join(model, "chat_template.jinja"),
      "{% for message in messages %}<user>{{ message.content }}</user>{% endfor %}<assistant>",
    );
    const out = join(folder, "out");
    const args = ["--model", model, "--task", "niah_single_1", "--template", "base,chat"];
    const asked = [...args, "--lengths", "1k", "--samples", "2", "--seeds", "0", "--out", out];
    const { code, stdout, stderr } = await run(asked);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, "tiny (chat)");
    const rows = (await rowsIn(out)).filter(({ metric }) => metric === "accuracy");
    assertEquals(rows.map(({ template, length }) => [template, length]), [
      ["base", 1024],
      ["chat", 1024],
    ]);
    for (const { value, prefill_ms, step_ms, peak_bytes } of rows) {
      assert(value >= 0 && value <= 1);
      assert(prefill_ms! > 0 && step_ms! > 0 && peak_bytes! > 4 * 7408);
    }
    const again = await run([...asked, "--resume"]);
    assertEquals(again.code, 0, again.stderr);
    assertStringIncludes(again.stdout, "2 of 2 cells were there already");
  }));

Deno.test("a reply ends at any of the tokens that the checkpoint's generation_config.json names", () =>
  inFolder(async (folder) => {
    await writeLlama(folder);
    const tokens = Uint32Array.from({ length: 40 }, (_, t) => 7 + t * t % 250);
    const sample: Sample = {
      tokens,
      labels: new Uint32Array(40).fill(UNSCORED),
      reply: { budget: 24, references: ["-"], match: "all" },
    };
    const tokenizer = await loadTokenizer(folder);
    const answer = async (): Promise<{ text: string; tokens: number[] }> => {
      await using source = new ModelSource();
      const [card] = await source.find([folder]);
      await using subject = await source.load(card);
      const { replies } = await subject.answer([sample]);
      return {
        text: replies![0],
        tokens: await subject.model.generate(tokens, { maxTokens: 24 }),
      };
    };
    const whole = await answer();
    assertEquals(whole.text, tokenizer.decode(whole.tokens));
    const stop = whole.tokens[5];
    const config = JSON.stringify({ eos_token_id: [0, stop] });
    await Deno.writeTextFile(join(folder, "generation_config.json"), config);
    const ended = whole.tokens.slice(0, whole.tokens.indexOf(stop) + 1);
    assert(ended.length < 24);
    assertEquals((await answer()).text, tokenizer.decode(ended));
  }));

Deno.test("eval --stats prints what a checkpoint costs", () =>
  inFolder(async (folder) => {
    const model = join(folder, "tiny");
    await writeLlama(model);
    const { code, stdout, stderr } = await run(["--model", model, "--stats", "--lengths", "64,1k"]);
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /parameters\s+7,408\n/);
    assertMatch(stdout, /weights\s+29\.6 KB\n/);
    assertMatch(stdout, /in f32\s+29\.6 KB; with the state 37\.8 KB at 64, 161 KB at 1024\n/);
    assertMatch(stdout, /in int4\s+[\d.]+ KB; with the state/);
    assertMatch(stdout, /copy\s+[\d.]+ [MG]B\/s/); // a busy machine copies some hundred MB a second
    const rows = stdout.trimEnd().split("\n").slice(-2).map((line) => line.trim().split(/ {2,}/));
    assertEquals(rows.map(([length, state]) => [length, state]), [
      ["64", "8.19 KB"],
      ["1024", "131 KB"],
    ]);
    for (const [, , prefill, rate, step, share] of rows) {
      assert(Number.parseFloat(prefill) > 0 && Number(rate) > 0 && Number.parseFloat(step) > 0);
      assert(Number.parseFloat(share) > 0 && Number.parseFloat(share) < 150, share);
    }
  }));

Deno.test("what eval is not told, or told wrongly, is an error that says what to do", () =>
  inFolder(async (folder) => {
    const bare = join(folder, "bare");
    await writeLlama(bare);
    await Deno.remove(join(bare, "tokenizer.json"));
    const source = new ModelSource();
    const [card] = await source.find([bare]);
    await assertRejects(() => card.task("text"), Error, "--tokenizer");
    const [lent] = await new ModelSource({ tokenizer: TOKENIZER }).find([bare]);
    assertEquals((await lent.task("text")).vocabulary, VOCABULARY);
    await assertRejects(
      () => lent.task("text", {}, "chat"),
      RangeError,
      "in the template chat: it has base",
    );
    assert(card.fingerprint !== undefined);
    const bytes = await Deno.readFile(join(bare, "model.safetensors"));
    bytes[bytes.length - 1] ^= 1;
    await Deno.writeFile(join(bare, "model.safetensors"), bytes);
    const [changed] = await new ModelSource().find([bare]);
    assert(changed.fingerprint !== card.fingerprint, "another weight is another model");
    await assertRejects(() => source.find([join(folder, "none")]), Error, "hf:owner/name");
  }));

Deno.test("a model is asked for with interventions behind its name", async () => {
  await using source = new ModelSource();
  const names = ["transformer-mixture", "transformer-mixture+window16+sinks2"];
  const [plain, changed] = await source.find(names);
  assertEquals([plain.window, changed.window], [undefined, 16]);
  await using subject = await source.open(changed);
  assertEquals(subject.name, names[1]);
  assertEquals(subject.stateBytes(1000), plain.stateBytes!(18));
  await assertRejects(
    () => source.find(["mamba2-mixture+yarn2"]),
    RangeError,
    "it has no attention",
  );
  await assertRejects(() => source.find(["gla+"]), Error);
});

Deno.test("a model that does not fit is refused before anything is allocated", () =>
  inFolder(async (folder) => {
    await writeLlama(folder);
    await using gpu = await openGpu({ memory: 29_000 });
    await assertRejects(
      () => loadModel(gpu, folder),
      RangeError,
      "as it takes 29632 bytes of GPU memory: the limit of",
    );
    assertEquals(gpu.memory.current, 0);

    await using source = new ModelSource({ memory: 2 ** 20, tokenizer: TOKENIZER });
    const [card] = await source.find([folder]);
    await using subject = await source.load(card);
    const task = await card.task("text");
    const short = task.sample({ length: 64, seed: 0, index: 0, split: "test" });
    assertEquals((await subject.answer([short])).nll[0].length, 64);
    const held = subject.model.gpu.memory.current;
    const long = task.sample({ length: 2 ** 15, seed: 0, index: 0, split: "test" });
    await assertRejects(() => subject.answer([long]), RangeError, "Cannot read 1 × 32768 tokens");
    assertEquals(subject.model.gpu.memory.current, held);
  }));

Deno.test("a model on a hub that does not fit is refused before its weights are downloaded", () =>
  inFolder(async (folder) => {
    const home = join(folder, "hub", "owner", "large", "resolve", "main");
    await writeLlama(home);
    // Llama 2's 70 billion, in layers whose tensors each fit.
    await Deno.writeTextFile(
      join(home, "config.json"),
      JSON.stringify({
        architectures: ["LlamaForCausalLM"],
        hidden_size: 2048,
        intermediate_size: 5632,
        num_attention_heads: 16,
        num_hidden_layers: 1400,
        vocab_size: 4096,
      }),
    );
    const asked: string[] = [];
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, serve);
    const env = {
      HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      HF_HOME: join(folder, "cache"),
    };
    const args = ["--model", "hf:owner/large", "--stats", "--lengths", "64", "--memory", "80e9"];
    const { code, stderr } = await run(args, env);
    assertEquals(code, 1);
    const layer = 4 * 2048 * 2048 + 3 * 2048 * 5632 + 2 * 2048;
    const bytes = 4 * (1400 * layer + 2 * 4096 * 2048 + 2048);
    assertStringIncludes(stderr, `Cannot load hf:owner/large as it takes ${bytes} bytes`);
    assertStringIncludes(stderr, `is 80000000000; it takes ${bytes} in f32, `);
    assertMatch(stderr, /\d+ in f16, \d+ in int8, \d+ in int4/);
    assert(asked.includes("config.json") && !asked.some((name) => name.startsWith("model.")));

    async function serve(request: Request): Promise<Response> {
      const path = decodeURIComponent(new URL(request.url).pathname);
      asked.push(path.split("/").at(-1)!);
      const bytes = await Deno.readFile(join(folder, "hub", path)).catch(() => undefined);
      return bytes ? new Response(bytes) : new Response("none", { status: 404 });
    }
  }));

/** What reading some tokens was said to take, beside the weights, and what it took. */
async function readingBytes(
  gpu: Gpu,
  model: Model,
  time: number,
  batch: number,
): Promise<[said: number, took: number]> {
  let said = 0;
  const { checkRoom } = gpu;
  gpu.checkRoom = (bytes: number): void => {
    said = bytes;
  };
  try {
    model.checkRoom(time, batch);
  } finally {
    gpu.checkRoom = checkRoom;
  }
  const before = gpu.memory.current;
  gpu.resetPeak();
  const { vocabulary } = model.configuration;
  const tokens = Uint32Array.from({ length: batch * time }, (_, t) => t % vocabulary);
  await model.score({ batch, time, tokens, labels: tokens });
  return [said, gpu.memory.peak - before];
}

Deno.test("what reading is said to take is what it takes, within a third", async () => {
  await using gpu = await openGpu({ memory: 2 ** 40 });
  for (const name of ["llama", "mamba2attn_ssm", "recurrent_gemma", "mamba"]) {
    using model = await loadModel(gpu, join(GOLDEN, "published", name));
    for (const [time, batch] of [[100, 1], [2000, 3], [5000, 1]]) {
      const [said, took] = await readingBytes(gpu, model, time, batch);
      assert(
        0.97 * took < said && said < 4 / 3 * took,
        `${name}, ${batch} × ${time} tokens: ${said} bytes said, ${took} taken`,
      );
    }
  }
});

Deno.test("a cache that is too large for a binding is refused before it grows", async () => {
  const gpu = await testGpu();
  using model = await loadModel(gpu, join(GOLDEN, "published", "llama"));
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.device.limits;
  const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  const keyBytes = model.stateBytes(1) / model.configuration.layers.length / 2;
  const longest = Math.floor(limit / keyBytes);
  model.checkRoom(longest);
  assertThrows(
    () => model.checkRoom(longest + 1),
    RangeError,
    `a layer's keys take ${(longest + 1) * keyBytes} bytes`,
  );
});

Deno.test("a .pth is found by its file or its folder, with the vocabulary beside it", () =>
  inFolder(async (folder) => {
    const published = await checkpointIn(join(GOLDEN, "published", "rwkv6"));
    const path = join(folder, "RWKV-x060-Tiny-ctx4k.pth");
    await Deno.copyFile(published, path);
    const source = new ModelSource();
    const [bare] = await source.find([path]);
    assertEquals([bare.family, bare.trainLength], ["rwkv6", 4096]);
    await assertRejects(() => bare.task("text"), Error, "rwkv_vocab_v20230424.txt, which is at");
    const vocabulary = "rwkv_vocab_v20230424.txt";
    await Deno.copyFile(join(GOLDEN, "tokenizer_world", vocabulary), join(folder, vocabulary));
    await using named = new ModelSource();
    const [file, whole] = await named.find([path, folder]);
    assertEquals((await file.task("text")).vocabulary, 273);
    assertEquals((await whole.task("text")).vocabulary, 273);
    assertEquals(file.fingerprint, bare.fingerprint);
    await using subject = await named.load(file);
    assertEquals(subject.model.configuration.family, "rwkv6");
  }));

/** What `loadModel()` takes: a folder, or the `.pth` in it, which lies beside what is expected of it. */
async function checkpointIn(folder: string): Promise<string> {
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  return join(folder, names.find((name) => name.endsWith(".pth")) ?? "");
}

for await (const { name, isDirectory } of Deno.readDir(join(GOLDEN, "published"))) {
  if (!isDirectory) continue;
  Deno.test(`${name}: stateBytes() is what the state takes`, async () => {
    const gpu = await testGpu();
    using model = await loadModel(gpu, await checkpointIn(join(GOLDEN, "published", name)));
    for (const length of [1, 33, 300]) {
      const before = gpu.memory.current;
      const tokens = Uint32Array.from({ length }, (_, t) => t % model.configuration.vocabulary);
      const { logits, state } = model.prefill(tokens);
      logits[Symbol.dispose]();
      await gpu.sync();
      const held = gpu.memory.current - before;
      const promised = model.stateBytes(length);
      const spare = Math.ceil(promised / 8);
      // Every tensor of a state is padded to 256 bytes at most.
      const padding = 256 * 5 * model.configuration.layers.length;
      state[Symbol.dispose]();
      assert(
        promised <= held && held <= promised + spare + padding,
        `${length} tokens hold ${held} bytes, ${promised} are promised`,
      );
    }
  });
}
