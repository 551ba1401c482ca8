import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { ProgressView } from "../../tasks/commands/progress.ts";
import { resultsTable } from "../../tasks/commands/table.ts";
import { hashOf } from "../../tasks/sweep/configuration.ts";
import { parseRows, type SweepConfiguration, SWEEPS } from "../../tasks/mod.ts";
import { type Ending, ending, ROOT, script, until } from "./process.ts";
import { exampleRows } from "./example_rows.ts";
import { inNewFolder } from "../testing.ts";

function run(path: string, args: readonly string[]): Promise<Ending> {
  return ending(script(path, args));
}

const ORACLE = "tests/tasks/oracle_main.ts";
const oracle = (...args: string[]): Promise<Ending> => run(ORACLE, args);

/** Models that take so many milliseconds to answer, as a process that can be killed. */
function slowOracle(milliseconds: number, ...args: string[]): Deno.ChildProcess {
  return script(ORACLE, args, { ORACLE_MILLISECONDS: String(milliseconds) }).spawn();
}

Deno.test("the real command line: help for every command, errors in one line", async () => {
  for (const name of ["sweep", "eval", "train", "merge", "ruler", "report"]) {
    const { code, stdout } = await run("tasks/main.ts", [name, "--help"]);
    assertEquals(code, 0);
    assert(stdout.includes(`usage: ./run ${name}`) && stdout.includes("--verbose"), stdout);
  }
  const overview = await run("tasks/main.ts", ["--help"]);
  assertEquals(overview.code, 0);
  assert(overview.stdout.includes("sweep") && overview.stdout.includes("train"));
  const unknown = await run("tasks/main.ts", ["sweeep"]);
  assertEquals([unknown.code, unknown.stdout], [1, ""]);
  assertEquals(unknown.stderr, 'Unknown command "sweeep". Did you mean "sweep"?\n');
});

for (
  const [args, message] of [
    [["--legnths", "64"], "Unknown option --legnths. Did you mean --lengths?"],
    [["--tasks", "mqra"], 'Unknown task "mqra". Did you mean "mqar"?'],
    [["--models", "nearest"], 'Unknown model "nearest". Did you mean "near"?'],
    [["--lengths", "twice"], "twice is not a length: give tokens (512, 4k, 1m) or multiples"],
    [["--samples", "many"], "--samples takes numbers: current value is many"],
    [["--samples"], "--samples takes N"],
    [["--shard", "8/8"], "Cannot run shard 8/8: of 8 shards the first is 0/8, the last 7/8"],
    [["--dry-run", "--shards", "0"], "--shards takes positive integers: current value is 0"],
    [["--slurm", "--shard", "0/2"], "the jobs are given theirs, of --shards N"],
    [["--slurm", "--lengths", "8", "--models", "near"], "the smallest length that works is 17"],
    [["--slurm", "--dry-run", "--slurm-options", "--a\n--b"], "more than a line"],
    [["paper"], 'Unknown sweep "paper". Did you mean "paper-length"?'],
    [["everything"], 'Unknown sweep "everything": ./run sweep --help lists all'],
    [["mqar-small"], "as these models are not trained by recipes"],
    [["--lengths", "8", "--models", "near"], "the smallest length that works is 17"],
    [["--models", "reader", "--text", "/nowhere.txt"], "Cannot read the text file /nowhere.txt"],
    [["--resume", "--out", "/nowhere"], "Cannot resume in /nowhere as it holds no journal.jsonl"],
    [["--out", "/dev/null/results", "--models", "near"], "Cannot write results into"],
  ] as const
) {
  Deno.test(`sweep ${args.join(" ")}: one clear line and exit code 1`, async () => {
    const { code, stdout, stderr } = await oracle("sweep", ...args);
    assertEquals([code, stdout], [1, ""]);
    assert(stderr.startsWith("error: ") && stderr.includes(message), stderr);
    assertEquals(stderr.trimEnd().split("\n").length, 1);
  });
}

Deno.test("sweep --print prints a sweep as it would be run, with its hash", async () => {
  const { code, stdout } = await oracle("sweep", "mqar-small", "--print", "--samples", "5");
  assertEquals(code, 0);
  const { $schema, hash, ...configuration } = JSON.parse(stdout);
  assertEquals($schema, "./tasks/sweep/sweep.schema.json");
  assertEquals(configuration, { ...SWEEPS["mqar-small"], samples: 5 });
  assertEquals(hash, await hashOf(configuration));
});

Deno.test("sweep --verbose prints where an error comes from", async () => {
  const { code, stderr } = await oracle("sweep", "--lengths", "twice", "--verbose");
  assertEquals(code, 1);
  assert(stderr.includes("configuration.ts"), stderr);
});

Deno.test("sweep: plain lines, a table, and a folder with everything", () =>
  inNewFolder(async (out) => {
    const args = ["--models", "near,far", "--lengths", "1x,256", "--samples", "6", "--out", out];
    const { code, stdout, stderr } = await oracle("sweep", ...args);
    assertEquals(code, 0, stderr);
    assert(/^\[\d+\/30\] near mqar 64: accuracy [\d.]+ \[/m.test(stderr), stderr);
    assert(!stderr.includes("\x1b"));
    assert(/^passkey: accuracy \(chance 0\.06\)\n +64 +256\n +near +0/m.test(stdout), stdout);
    assert(stdout.includes(join(out, "sweep.csv")) && stdout.includes(join(out, "report.html")));
    const files = new Set([...Deno.readDirSync(out)].map(({ name }) => name));
    for (const name of ["journal.jsonl", "sweep.csv", "report.html", "accuracy-mqar.svg"]) {
      assert(files.has(name), name);
    }
    const [header] = (await Deno.readTextFile(join(out, "journal.jsonl"))).split("\n");
    const { configuration } = JSON.parse(header) as { configuration: SweepConfiguration };
    const own = SWEEPS.default.grids!["niah-essay"];
    // An option holds for all tasks, those with a grid of their own too.
    const { samples, lengths } = own;
    assertEquals({ ...configuration.grids!["niah-essay"], samples, lengths }, own);
    assertEquals(configuration.grids!["niah-essay"].samples, undefined);
    assertEquals(configuration.grids!["niah-essay"].lengths, undefined);
    const again = await oracle("sweep", "--resume", "--out", out);
    assertEquals(again.code, 0);
    assert(again.stdout.includes("30 of 30 cells were there already"), again.stdout);
    const other = await oracle("sweep", "--resume", "--samples", "7", "--out", out);
    assertEquals(other.code, 1);
    assert(other.stderr.includes("its journal is of another sweep"), other.stderr);
    assert(/: .*\bsamples was 6, now 7; .*leave out/.test(other.stderr), other.stderr);
    const elsewhere = await run("tasks/main.ts", ["report", out, "--out", `${out}-report`]);
    assertEquals(elsewhere.code, 0, elsewhere.stderr);
    assertEquals(
      (await Deno.readTextFile(join(`${out}-report`, "report.html"))).length > 10_000,
      true,
    );
  }));

Deno.test("sweep: a cell without result makes the exit code 1", () =>
  inNewFolder(async (out) => {
    const { code, stderr } = await oracle("sweep", "--models", "broken", "--out", out);
    assertEquals(code, 1);
    assert(/3 of 18 cells have no result: .* is NaN/.test(stderr), stderr);
  }));

Deno.test("sweep: killed at any moment, it loses no cell and repeats none", () =>
  inNewFolder(async (out) => {
    const args = ["sweep", "--models", "near", "--lengths", "64,128", "--seeds", "0,1,2,3"];
    const journal = join(out, "journal.jsonl");
    const lines = async (): Promise<string[]> =>
      (await Deno.readTextFile(journal).catch(() => "")).split("\n").slice(0, -1);
    const process = slowOracle(30, ...args, "--out", out);
    await until("four cells", 30, async () => (await lines()).length >= 5);
    process.kill("SIGKILL");
    await Promise.all([process.stdout.cancel(), process.stderr.cancel(), process.status]);
    const before = await lines();
    assert(before.length >= 5 && before.length < 17, `killed after ${before.length} lines`);
    const { code, stdout, stderr } = await oracle(...args, "--out", out, "--resume");
    assertEquals(code, 0, stderr);
    assert(stdout.includes(`${before.length - 1} of 16 cells were there already`), stdout);
    const after = await lines();
    assertEquals(after.slice(0, before.length), before);
    assertEquals(new Set(after.slice(1).map((line) => JSON.parse(line).cell)).size, 16);
    assertEquals(after.length, 17);
    const csv = await Deno.readTextFile(join(out, "sweep.csv"));
    const accuracies = parseRows(csv, "sweep.csv").filter(({ metric }) => metric === "accuracy");
    assertEquals(accuracies.length, 16);
  }));

Deno.test("sweep: a full disk in the middle of a cell's line loses no cell before it", () =>
  inNewFolder(async (out) => {
    const args = ["sweep", "--models", "near", "--lengths", "64,128", "--seeds", "0,1,2,3"];
    // A file may not grow beyond 16 KiB, and a line that would is written in part, as on a full disk.
    const limited = new Deno.Command("sh", {
      args: ["-c", `ulimit -f 32; trap '' XFSZ; exec "$@"`, "sh", Deno.execPath()].concat(
        ["run", "-A", "--quiet", "--no-check", join(ROOT, ORACLE)],
        [...args, "--out", out],
      ),
      cwd: ROOT,
      stdout: "piped",
      stderr: "piped",
    });
    const { code, stderr } = await ending(limited);
    assertEquals(code, 1, stderr);
    assert(stderr.includes(`error: Cannot write ${join(out, "journal.jsonl")}: `), stderr);
    const journal = await Deno.readTextFile(join(out, "journal.jsonl"));
    const before = journal.split("\n").slice(0, -1);
    assert(!journal.endsWith("\n") && before.length > 3, "no line was written in part");
    const again = await oracle(...args, "--out", out, "--resume");
    assertEquals(again.code, 0, again.stderr);
    assert(again.stdout.includes(`${before.length - 1} of 16 cells were there already`));
    const after = (await Deno.readTextFile(join(out, "journal.jsonl"))).trimEnd().split("\n");
    assertEquals(after.slice(0, before.length), before);
    assertEquals(new Set(after.slice(1).map((line) => JSON.parse(line).cell)).size, 16);
    assertEquals(after.length, 17);
  }));

Deno.test("sweep: a disk that is full of samples ends it, and marks no cell as failed", () =>
  inNewFolder(async (out) => {
    const args = ["sweep", "--models", "near", "--lengths", "64,128", "--seeds", "0,1,2,3"];
    const limited = new Deno.Command("sh", {
      args: ["-c", `ulimit -f 32; trap '' XFSZ; exec "$@"`, "sh", Deno.execPath()].concat(
        ["run", "-A", "--quiet", "--no-check", join(ROOT, ORACLE)],
        [...args, "--log-samples", "--out", out],
      ),
      cwd: ROOT,
      stdout: "piped",
      stderr: "piped",
    });
    const { code, stderr } = await ending(limited);
    assertEquals(code, 1, stderr);
    assert(stderr.includes(`error: Cannot write ${join(out, "samples.jsonl")}: `), stderr);
    const journal = await Deno.readTextFile(join(out, "journal.jsonl"));
    assert(!journal.includes('"failed"'), journal);
    const again = await oracle(...args, "--log-samples", "--out", out, "--resume");
    assertEquals(again.code, 0, again.stderr);
    const after = (await Deno.readTextFile(join(out, "journal.jsonl"))).trimEnd().split("\n");
    assertEquals(after.length, 17);
  }));

Deno.test("sweep --shard, merge: three shards are the sweep, and the exit code tells of a gap", () =>
  inNewFolder(async (out) => {
    const args = ["sweep", "--models", "near,far", "--lengths", "1x,256", "--samples", "6"];
    for (const index of [0, 2]) {
      const { code, stderr } = await oracle(...args, "--out", out, "--shard", `${index}/3`);
      assertEquals(code, 0, stderr);
    }
    const gap = await oracle("merge", out);
    assertEquals(gap.code, 1);
    const [, missing] = /^(\d+) of 30 cells are missing:\n +\w+, \w+, \d+ tokens/m.exec(
      gap.stderr,
    )!;
    assert(gap.stderr.includes(`./run sweep --resume --out ${out} runs what is missing`));
    // Without options, a shard is of the sweep that the other shards are of.
    const last = await oracle("sweep", "--out", out, "--shard", "1/3", "--resume");
    assertEquals(last.code, 0, last.stderr);
    const whole = await oracle("merge", out);
    assertEquals([whole.code, whole.stderr], [0, ""]);
    assert(whole.stdout.includes("30 of 30 cells, from 4 journals"), whole.stdout);
    const rows = parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv");
    const cells = new Set(
      rows.map(({ model, task, length, seed }) => JSON.stringify([model, task, length, seed])),
    );
    assertEquals([cells.size, Number(missing) < 30], [30, true]);
    assert((await Deno.stat(join(out, "report.html"))).size > 10_000);
    const first = ["--out", `${out}-2`, "--shard", "0/60", "--resume"];
    assertEquals((await oracle("sweep", ...first)).code, 0);
    const twice = await oracle("merge", join(out, "shards", "0-of-3"), out);
    assertEquals(twice.code, 1);
    assert(twice.stderr.includes("several folders and --out"), twice.stderr);
  }));

Deno.test("sweep --dry-run: cells, tokens, time and memory, and nothing is written", () =>
  inNewFolder(async (out) => {
    const args = ["sweep", "--models", "near,far", "--lengths", "64,256", "--samples", "6"];
    const { code, stdout, stderr } = await oracle(
      ...args,
      "--out",
      out,
      "--dry-run",
      "--shards",
      "2",
    );
    assertEquals([code, stderr], [0, ""]);
    // near knows two tasks, far three; of each two lengths and three seeds.
    assert(/^ +near +12 +11,520 +0:00 +[\d.]+$/m.test(stdout), stdout);
    assert(
      /^30 cells, 28,800 tokens, about 0:00 min on no GPU; at most [\d.]+ MiB/m.test(stdout),
      stdout,
    );
    assert(/^in 2 shards: from 0:00 min to 0:00 min each$/m.test(stdout), stdout);
    await assertRejects(() => Deno.stat(out), Deno.errors.NotFound);
    await oracle(...args, "--out", out, "--shard", "0/2");
    const shard = ["--out", out, "--shard", "0/2", "--resume", "--dry-run"];
    const left = await oracle("sweep", ...shard);
    assertEquals([left.code, left.stdout], [0, "no cells\n"]);
  }));

Deno.test("sweep --slurm: the script alone, and one line where there is no sbatch", () =>
  inNewFolder(async (out) => {
    const folder = `${out} of "quotes" and it's`;
    const args = ["--models", "near,far", "--tasks=mqar, passkey", "--out", folder, "--slurm"];
    const options = ["--slurm-options", "--partition=x --gres=gpu:1"];
    const { code, stdout, stderr } = await oracle("sweep", ...args, ...options, "--dry-run");
    assertEquals([code, stderr], [0, ""]);
    await assertRejects(() => Deno.stat(folder), Deno.errors.NotFound);
    const file = `${out}.sh`;
    await Deno.mkdir(join(out, ".."), { recursive: true });
    await Deno.writeTextFile(file, stdout.replaceAll(/exec (\S+)/g, "printf '%s\\n'"));
    const words = async (env: Record<string, string>): Promise<string[]> => {
      const { stdout } = await ending(new Deno.Command("sh", { args: [file], env }));
      return stdout.trimEnd().split("\n").slice(2);
    };
    const main = join(ROOT, ORACLE);
    assertEquals(await words({ SLURM_ARRAY_TASK_ID: "1" }), [
      main,
      "sweep",
      "--models=near,far",
      "--tasks=mqar, passkey",
      "--out",
      folder,
      "--resume",
      "--shard",
      "1/2",
    ]);
    assertEquals((await words({})).slice(0, 3), [main, "merge", folder]);
    assert(stdout.includes("\n#SBATCH --partition=x --gres=gpu:1\n"), stdout);
    assert(stdout.includes("\n#SBATCH --open-mode=append --requeue\n"), stdout);

    const nowhere = await ending(script(ORACLE, ["sweep", ...args], { PATH: "/nowhere" }));
    assertEquals(nowhere.code, 1);
    assert(
      /^error: Cannot submit as there is no sbatch here: .* --slurm --dry-run\n$/.test(
        nowhere.stderr,
      ),
      nowhere.stderr,
    );
  }));

Deno.test("sweep --kubernetes: a manifest alone", async () => {
  const { code, stdout, stderr } = await oracle(
    ...["sweep", "--models", "near,far", "--kubernetes", "me/image:1", "--claim", "disk"],
  );
  assertEquals([code, stderr], [0, ""]);
  const { kind, spec } = JSON.parse(stdout);
  assertEquals([kind, spec.completions], ["Job", 2]);
  assertEquals(spec.template.spec.containers[0].image, "me/image:1");
  assertEquals(spec.template.spec.volumes[0].persistentVolumeClaim, { claimName: "disk" });
});

Deno.test("sweep: an interrupt ends it after the cell that is running", () =>
  inNewFolder(async (out) => {
    const process = slowOracle(
      60,
      "sweep",
      "--models",
      "near",
      "--lengths",
      "64,128",
      "--out",
      out,
    );
    const journal = join(out, "journal.jsonl");
    const size = (): number => {
      try {
        return Deno.statSync(journal).size;
      } catch {
        return 0;
      }
    };
    await until("the journal", 30, () => size() > 0);
    process.kill("SIGINT");
    const { code, stderr } = await process.output();
    assertEquals(code, 130);
    assert(
      new TextDecoder().decode(stderr).includes(
        `stopped: ./run sweep --resume --out ${out} continues`,
      ),
    );
  }));

Deno.test("report: a folder without results", async () => {
  const none = await run("tasks/main.ts", ["report", "/nowhere"]);
  assertEquals(none.code, 1);
  assert(none.stderr.startsWith("error: Cannot read /nowhere/sweep.csv"), none.stderr);
  const nothing = await run("tasks/main.ts", ["report"]);
  assert(nothing.stderr.startsWith("error: report takes folders"), nothing.stderr);
});

Deno.test("on a terminal, progress is one line that fits it", () => {
  for (const columns of [40, 120]) {
    const written: string[] = [];
    const view = new ProgressView({ columns, write: (text) => written.push(text) });
    const cell = { model: "mamba2-attention", task: "selective-copying", length: 2048, seed: 0 };
    view.show({ cell, done: 30, total: 60, modelsLeft: 3, millisecondsLeft: 83_000 });
    view.close();
    const [line] = written;
    assert(line.startsWith("\r\x1b[K"));
    assert(line.slice(4).length < columns);
    assert(!line.includes("\n"));
    if (columns === 120) {
      assert(line.includes("30/60 · mamba2-attention · selective-copying · 2048 tokens"), line);
      assert(line.includes("3 models left, 1:23 min to go"), line);
    }
    assertEquals(written.at(-1), "\r\x1b[K");
  }
});

Deno.test("on a terminal, results scroll by above the live line, and a narrower one leaves no remains", () => {
  let written = "";
  let columns = 120;
  const view = new ProgressView({
    get columns() {
      return columns;
    },
    write: (text) => written += text,
  });
  const cell = { model: "mamba2-attention", task: "selective-copying", length: 2048, seed: 0 };
  const rows = exampleRows().slice(0, 1);
  view.show({ cell, done: 30, total: 60, modelsLeft: 3 });
  view.show({ cell, rows, done: 31, total: 60, modelsLeft: 3 });
  written = "";
  view.show({ cell: { ...cell, length: 4096 }, done: 31, total: 60, modelsLeft: 3 });
  const [above, live] = written.split("\n");
  assert(
    above.startsWith("\r\x1b[K[31/60] mamba2-attention selective-copying 2048: accuracy "),
    above,
  );
  assert(live.startsWith("\r\x1b[K█") && live.includes("4096 tokens"), live);
  columns = 50; // the line that was drawn takes three now
  written = "";
  view.show({ cell, done: 32, total: 60, modelsLeft: 3 });
  assert(written.startsWith("\r\x1b[K\x1b[A\x1b[K\x1b[A\x1b[K"), JSON.stringify(written));
  view.close();
});

Deno.test("the table is aligned, and its mean over the tasks that all were asked", () => {
  const table = resultsTable(exampleRows());
  const blocks = table.split("\n\n").map((block) => block.split("\n"));
  assertEquals(blocks.map(([title]) => title.split(":")[0]), [
    "mqar",
    "induction",
    "selective-copying",
    "passkey",
    "text",
    "mean of 3 tasks (mqar, induction, passkey)",
  ]);
  for (const [, head, ...lines] of blocks) {
    assert(lines.every((line) => line.length === head.length), table);
  }
  assert(blocks.at(-1)!.some((line) => line.includes("griffin")));
});

Deno.test("no adapter is one error that says how to get one, before any cell is tried", () =>
  inNewFolder(async (folder) => {
    const nowhere = join(folder, "no-driver.json");
    const { code, stderr } = await ending(script("tasks/main.ts", ["sweep", "--out", folder], {
      DENO_WEBGPU_BACKEND: "vulkan",
      VK_ICD_FILENAMES: nowhere,
      VK_DRIVER_FILES: nowhere,
    }));
    assertEquals(code, 1);
    assert(/^error: Cannot open a GPU .*install a Vulkan driver.*\n$/.test(stderr), stderr);
  }));
