import { assert, assertAlmostEquals, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { basename, join } from "@std/path";
import {
  BASE_TEMPLATE,
  createTask,
  enumerateCells,
  type Estimate,
  parseRows,
  type Row,
  RULER_TASKS,
  SWEEPS,
  wilson,
} from "../../tasks/mod.ts";
import { loadTokenizer } from "../../models/mod.ts";
import { HUANG_2025, readTables } from "../../tasks/experiments/published/mod.ts";
import { PUBLISHED_TEMPLATES } from "../../tasks/published_templates.ts";
import { compareWithPublished, differs } from "../../tasks/report/published.ts";
import { joinRuns } from "../../tasks/report/runs.ts";
import { nameOf } from "../../tasks/subjects/description.ts";
import { planOf } from "../../tasks/sweep/plan.ts";
import { knownCheckpoint } from "../../tasks/subjects/known.ts";
import { inFolder } from "../testing.ts";
import { type Ending, ending, ROOT, script } from "./process.ts";
import { rulerFiles } from "./ruler_files.ts";
import { oracles, windowOracle } from "./window_oracle.ts";
import { writePaperStandIns, writeStandIn, writeTokenizer } from "./stand_ins.ts";

const OFFLINE = { HF_ENDPOINT: "http://127.0.0.1:9" };

function sweep(args: readonly string[], env: Record<string, string> = OFFLINE): Promise<Ending> {
  return ending(script("tasks/main.ts", ["sweep", ...args], env));
}

async function rowsIn(folder: string): Promise<Row[]> {
  return parseRows(await Deno.readTextFile(join(folder, "sweep.csv")), "sweep.csv");
}

// Huang 2025 and the author's repository: which checkpoints, in which prompts, at which lengths.
Deno.test("the paper's experiments are the paper's: checkpoints, templates, lengths, depths", () => {
  for (const name of ["paper-length", "paper-depth", "paper-format"]) {
    const { models, seeds, samples, source, differences } = SWEEPS[name];
    const entries = models.map((asked) => {
      assert(typeof asked === "object");
      return [asked.model, asked.template, asked.trainLength];
    });
    assertEquals(entries, [
      ["hf:state-spaces/mamba2-2.7b", undefined, 2048],
      ["hf:state-spaces/mamba2attn-2.7b", undefined, 2048],
      ["hf:state-spaces/transformerpp-2.7b", undefined, 2048],
      ["hf:RWKV/rwkv-6-world-3b-v2.1", "rwkv", 4096],
      ["hf:princeton-nlp/Sheared-LLaMA-2.7B", "sheared-llama", 4096],
      ["hf:princeton-nlp/Sheared-LLaMA-2.7B-ShareGPT", "sheared-llama", 4096],
      ["hf:google/recurrentgemma-2b", undefined, 8192],
      ["hf:google/recurrentgemma-2b-it", undefined, 8192],
    ]);
    assertEquals([seeds[0], samples], [0, 250]);
    assertMatch(source!, /2407\.08112/);
    assert(differences!.some((difference) => difference.startsWith("Unverified")));
  }
  const formats = ["niah_single_1", "niah_single_2", "niah_single_3"];
  const { "paper-length": length, "paper-depth": depth, "paper-format": format } = SWEEPS;
  assertEquals([length.tasks, length.depths], [RULER_TASKS, []]);
  assertEquals(length.lengths, [1024, 2048, 4096, 8192, 16384]);
  assertEquals([depth.tasks, depth.depths], [formats, [0, 0.2, 0.4, 0.5, 0.6, 0.8, 1]]);
  assertEquals(
    depth.models.map((asked) => typeof asked === "object" ? asked.lengths : undefined),
    [...Array(6).fill(["1x", "2x"]), [2048, 4096], [2048, 4096]],
  );
  assertEquals([format.tasks, format.lengths, format.depths], [
    formats,
    [1024, 2048, 4096],
    [0, 0.5, 1],
  ]);
});

Deno.test("the paper's prompts: the reply begins behind the prefix, whoever is asked", () => {
  const rendered = Object.fromEntries(
    PUBLISHED_TEMPLATES.map(({ name, render }) => [name, render("Which?", " It is")]),
  );
  assertMatch(
    rendered.rwkv,
    /^User: hi\n\nAssistant: Hi\. .*\n\nUser: Which\?\n\nAssistant: It is$/s,
  );
  assertMatch(
    rendered["sheared-llama"],
    /^You are a helpful assistant\. .*\n\n### Input:\nWhich\?\n\n### Response: It is$/s,
  );
  assertEquals(Object.keys(rendered), ["rwkv", "sheared-llama"]);
});

Deno.test("table 1 as committed: six models, five lengths, and what its cells are of", () => {
  const first = HUANG_2025.figures.filter(({ table }) => table === "1");
  assertEquals(first.length, 30);
  const at = (model: string, length: number): number =>
    first.find((figure) => figure.model === model && figure.length === length)!.value;
  assertAlmostEquals(at("mamba2-2.7b", 1024), 0.385);
  assertAlmostEquals(at("transformerpp-2.7b", 4096), 0.003);
  assertAlmostEquals(at("Sheared-LLaMA-2.7B", 4096), 0.584);
  assertAlmostEquals(at("recurrentgemma-2b", 16384), 0.063);
  for (const { tasks, samples } of first) assertEquals([tasks, samples], [RULER_TASKS, 13 * 250]);
  const asked = SWEEPS["paper-length"].models.map((asked) => basename(nameOf(asked)));
  for (const { model } of HUANG_2025.figures) assert(asked.includes(model), model);
});

Deno.test("our figures stand beside the published ones, with a difference and intervals", () => {
  const row = (task: string, length: number, value: number, more: Partial<Row> = {}): Row => {
    const { low, high } = wilson(value, 250);
    return {
      ...{ model: "/data/mamba2-2.7b/", family: "mamba2", parameters: 1, state_bytes: 1, task },
      ...{ length, seed: 0, samples: 250, metric: "accuracy", value, ci_low: low, ci_high: high },
      ...{ adapter: "a", version: "1", ...more },
    } as Row;
  };
  const tables = readTables({
    source: "Somebody 2020",
    tables: [
      {
        table: "A",
        tasks: ["niah_single_1"],
        samples: 100,
        depth: 0.5,
        lengths: [1024, 2048],
        percent: { "mamba2-2.7b": [50, null], "other": [1, 2] },
      },
      {
        table: "B",
        tasks: ["niah_single_1", "niah_single_2"],
        samples: 200,
        lengths: [1024],
        percent: { "mamba2-2.7b": [[30, 60]] },
      },
    ],
  }, "tables.json");
  const rows = [
    row("niah_noise_word_number", 1024, 0.8, { depth: 0.5 }), // the same task by its format
    row("niah_noise_word_number", 1024, 0.6, { depth: 1 }),
    row("niah_single_2", 1024, 0.2, { depth: 0.5 }),
    row("niah_single_1", 2048, 0.1, { depth: 0.5 }),
  ];
  const compared = compareWithPublished(joinRuns([{ name: "run", rows }]), tables);
  assertEquals(compared.map(({ figure }) => figure.table), ["A", "B"]);
  const [cell, mean] = compared;
  assertEquals([cell.theirs.value, cell.ours.value], [0.5, 0.8]);
  const theirs = wilson(0.5, 100);
  const ours = wilson(0.8, 250);
  assertAlmostEquals(cell.theirs.low, theirs.low);
  assertAlmostEquals(cell.difference.value, 0.3);
  const low = 0.3 - Math.hypot(0.8 - ours.low, theirs.high - 0.5);
  assertAlmostEquals(cell.difference.low, low, 1e-9);
  assert(differs(cell));
  // The mean over both depths of one task, and the other task: (0.7 + 0.2) / 2, inside of 30 to 60.
  assertAlmostEquals(mean.ours.value, 0.45, 1e-9);
  assertEquals([mean.difference.value, differs(mean)], [0, false]);
  const outside = compareWithPublished(
    joinRuns([{
      name: "run",
      rows: rows.map((one) => ({ ...one, value: 0.9, ci_low: 0.88, ci_high: 0.92 })),
    }]),
    tables,
  )[1];
  assertAlmostEquals(outside.difference.value, 0.3, 1e-9);
  assert(differs(outside));
  const two = readTables({
    source: "Somebody 2020",
    tables: [{
      ...{ table: "A", tasks: ["niah_single_1"], samples: 100, lengths: [1024, 2048] },
      percent: { "mamba2-2.7b": [50, 40] },
    }],
  }, "tables.json");
  assertEquals(compareWithPublished(joinRuns([{ name: "run", rows }]), two).length, 2);
  // By what it is, not by what a sweep calls it.
  const renamed = rows.map((one) => ({ ...one, model: "a" }));
  const traits = (place: string) => {
    const description = { kind: "published", place, name: "a", changes: [] } as const;
    const task = () => Promise.reject(new Error("it is not asked"));
    const card = { name: "a", family: "mamba2", parameters: 1, tasks: [], task, description };
    const [{ name, checkpoint }] = planOf([{ card, tasks: new Map(), cells: [] }]);
    return new Map([[name, { changes: [], carries: false, checkpoint }]]);
  };
  for (const [place, found] of [["disk/Mamba2-2.7b/", 2], ["disk/mamba2-130m", 0]] as const) {
    const run = { name: "run", rows: renamed, traits: traits(place) };
    assertEquals(compareWithPublished(joinRuns([run]), two).length, found, place);
  }
  const bare = ({ low, high }: Estimate): boolean => Number.isNaN(low) && Number.isNaN(high);
  assert(!bare(outside.difference));
});

Deno.test("--confounds: the tasks called after UUIDs ask for numbers", async () => {
  const { code, stdout } = await sweep(["paper-format", "--print", "--confounds", "uuid-numbers"]);
  assertEquals(code, 0);
  const { taskOptions } = JSON.parse(stdout);
  assertEquals(taskOptions.niah_single_3, { value: "number" });
  const tokenizer = await loadTokenizer(join(ROOT, "tests/golden/checkpoints/tokenizer_bytelevel"));
  const wording = { tokenizer, template: BASE_TEMPLATE };
  const at = { length: 1024, seed: 0, index: 0, split: "test" } as const;
  for (
    const [options, expected] of [
      [{}, /^[0-9a-f]{8}-/],
      [taskOptions.niah_single_3, /^\d{7}$/],
    ]
  ) {
    const task = await createTask("niah_single_3", options, wording);
    assertMatch(task.sample(at).reply!.references[0], expected);
  }
  await assertRejects(
    () => createTask("niah_single_3", { value: "colour" as "uuid" }, wording),
    RangeError,
    "value must be one of word, number, uuid",
  );
  const wrong = await sweep(["paper-format", "--print", "--confounds", "all"]);
  assertMatch(wrong.stderr, /--confounds takes uuid-numbers: current value is all/);
});

Deno.test("a checkpoint in a folder is known by its name, as on the hub", () => {
  const { trainLength, tokenizer } = knownCheckpoint("hf:state-spaces/mamba2-2.7b")!;
  assertEquals(knownCheckpoint("/data/state-spaces/mamba2-2.7b/"), { trainLength, tokenizer });
  assertEquals(knownCheckpoint("C:\\models\\mamba-130m")?.trainLength, 2048);
  assertEquals(knownCheckpoint("hf:RWKV/rwkv-6-world-3b-v2.1")?.trainLength, 4096);
  assertEquals(knownCheckpoint("models/my-mamba-2"), undefined);
  assertEquals(knownCheckpoint("hf:somebody/mamba2-2.7b"), undefined);
});

const SMALL = ["--samples", "1", "--seeds", "0"];

Deno.test("paper-length, paper-depth and paper-format run from end to end, of checkpoints in a folder", () =>
  inFolder(async (folder) => {
    await writePaperStandIns(join(folder, "checkpoints"));
    using files = rulerFiles();
    const asked = [...SMALL, "--checkpoints", join(folder, "checkpoints")];
    const expected: Readonly<Record<string, { args: readonly string[]; cells: number }>> = {
      // In bytes, cwe needs more than 1,815 tokens.
      "paper-length": {
        args: ["--lengths", "2k", "--squad", files.squad, "--hotpotqa", files.hotpotqa],
        cells: 8 * 13,
      },
      "paper-depth": { args: ["--lengths", "1k", "--depths", "0,1"], cells: 8 * 3 * 2 },
      "paper-format": { args: ["--lengths", "1k", "--depths", "0.5"], cells: 8 * 3 },
    };
    for (const [name, { args, cells }] of Object.entries(expected)) {
      const out = join(folder, name);
      const { code, stderr } = await sweep([name, ...asked, ...args, "--out", out]);
      assertEquals(code, 0, stderr);
      const rows = (await rowsIn(out)).filter(({ metric }) => metric === "accuracy");
      assertEquals(rows.length, cells, name);
      const templates = new Map(rows.map(({ model, template }) => [basename(model), template]));
      assertEquals(templates.size, 8);
      assertEquals(templates.get("rwkv-6-world-3b-v2.1"), "rwkv");
      assertEquals(templates.get("Sheared-LLaMA-2.7B"), "sheared-llama");
      assertEquals(templates.get("recurrentgemma-2b-it"), "base");
      const lengths = new Map(
        rows.map(({ model, train_length }) => [basename(model), train_length]),
      );
      assertEquals(lengths.get("mamba2-2.7b"), 2048);
      assertEquals(lengths.get("recurrentgemma-2b"), 8192);
      const page = await Deno.readTextFile(join(out, "report.html"));
      assertEquals(page.includes("Beside the published figures"), name === "paper-length");
      assertMatch(
        page,
        /what it reproduces, and what differs.*2407\.08112.*Unverified: which revision/s,
      );
    }
  }));

Deno.test("--dry-run of checkpoints on the hub downloads their descriptions alone", () =>
  inFolder(async (folder) => {
    const hub = join(folder, "hub");
    const place = (name: string): string => join(hub, name, "resolve", "main");
    await writeStandIn("mamba2_ssm", place("state-spaces/mamba2-2.7b"), { tokenizer: false });
    await writeStandIn("rwkv6_hf", place("RWKV/rwkv-6-world-3b-v2.1"));
    await writeTokenizer(place("EleutherAI/gpt-neox-20b"));
    await Deno.writeTextFile(join(place("EleutherAI/gpt-neox-20b"), "config.json"), "{}");
    const asked: string[] = [];
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, serve);
    const env = {
      HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      HF_HOME: join(folder, "cache"),
    };
    const models = "mamba2-2.7b,rwkv-6-world-3b-v2.1"; // the sweep's own, with their settings
    const args = ["paper-format", ...SMALL, "--models", models, "--dry-run"];
    const { code, stdout, stderr } = await sweep(args, env);
    assertEquals(code, 0, stderr);
    assertEquals(asked.filter((path) => /safetensors|\.bin|\.pth/.test(path)), []);
    assert(asked.some((path) => path.endsWith("rwkv-6-world-3b-v2.1/resolve/main/config.json")));
    assertMatch(stdout, /models whose weights are not on this machine/);
    assertMatch(stdout, /hf:state-spaces\/mamba2-2\.7b +27 +64,512 /);
    assertMatch(stdout, /hf:RWKV\/rwkv-6-world-3b-v2\.1 +27 +64,512 /);

    async function serve(request: Request): Promise<Response> {
      const path = decodeURIComponent(new URL(request.url).pathname);
      asked.push(path);
      const bytes = await Deno.readFile(join(hub, path)).catch(() => undefined);
      return bytes ? new Response(bytes) : new Response("none", { status: 404 });
    }
  }));

Deno.test("a model may have lengths of its own in a sweep, and --lengths is for all", async () => {
  const cards = await oracles([
    windowOracle("near", 32, ["passkey"]),
    windowOracle("far", 64, ["passkey"]),
  ]).find([]);
  const models = [{ model: "near", lengths: [96, "1x" as const] }, "far"];
  const configuration = { ...SWEEPS.default, models, lengths: ["2x" as const], seeds: [0] };
  const grid = await enumerateCells(configuration, cards);
  assertEquals(
    grid.flatMap(({ cells }) => cells.map(({ model, length }) => [model, length])),
    [["near", 64], ["near", 96], ["far", 128]],
  );
  const { stdout } = await sweep(["paper-depth", "--print", "--lengths", "1k"]);
  const { lengths, models: entries } = JSON.parse(stdout);
  assertEquals(lengths, [1024]);
  assert(entries.every((entry: object) => !("lengths" in entry) && "model" in entry));
});
