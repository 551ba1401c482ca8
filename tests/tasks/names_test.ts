import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { ProgressView } from "../../tasks/commands/progress.ts";
import { resultsTable } from "../../tasks/commands/table.ts";
import { fingerprintPath } from "../../tasks/fingerprint.ts";
import { fileName, visible, visibleText } from "../../tasks/names.ts";
import { writeReport } from "../../tasks/report/write.ts";
import { type JobArray, slurmScript } from "../../tasks/sweep/slurm.ts";
import { exampleRows } from "./example_rows.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { ending, ROOT, script } from "./process.ts";
import { inFolder, inNewFolder } from "../testing.ts";

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/;
const NASTY = "a\x1b[31m\x9b2J\x07\u202e\r\nb\x00\ud800";

Deno.test("what cannot be seen in a name is spelled out", () => {
  assertEquals(
    visible(NASTY),
    "a\\u001b[31m\\u009b2J\\u0007\\u202e\\u000d\\u000ab\\u0000\ufffd",
  );
  assertEquals(visibleText("a\tb\nc\x1b"), "a\tb\nc\\u001b");
  const plain = "hf:owner/name+yarn8, Größe 漢字 😀";
  assertEquals(visible(plain), plain);
});

Deno.test("a name becomes a part of a file's name: short, and no way out of its folder", () => {
  assertEquals(fileName("hf:owner/name:file.pth"), "hf-owner-name-file.pth");
  for (const name of ["..", "../..", ".", "/", "", "../../etc/passwd", ".hidden"]) {
    assertMatch(fileName(name), /^[^./][^/]*$/);
  }
  const [long, other] = ["a", "b"].map((end) => "models/".repeat(60) + end);
  assert(fileName(long).length <= 80 && fileName(long) !== fileName(other));
  assertEquals(fileName(long), fileName(long));
});

Deno.test("no name of a CSV reaches a terminal, a picture or a page raw", () =>
  inNewFolder(async (folder) => {
    const nasty = NASTY.replace("\ud800", "");
    const rows = exampleRows().map((row) => ({
      ...row,
      model: nasty + row.model,
      task: nasty + row.task,
      adapter: nasty,
    }));
    assert(!CONTROL.test(resultsTable(rows)));
    const { page, pictures } = await writeReport(folder, [{ name: nasty, rows }]);
    for (const path of [page, ...pictures]) {
      const text = await Deno.readTextFile(path);
      assert(!CONTROL.test(text), path);
      assertStringIncludes(text, "\\u001b");
    }
    const written: string[] = [];
    const view = new ProgressView({ columns: 200, write: (text) => written.push(text) });
    const cell = { model: nasty, task: "mqar", length: 8, seed: 0 };
    view.show({ cell, failed: nasty, done: 1, total: 2, modelsLeft: 1 });
    view.close();
    const shown = written.join("").replaceAll("\r\x1b[K", ""); // the view's own
    assert(!CONTROL.test(shown), shown);
  }));

Deno.test("the command line tells what is wrong with a name without obeying it", () =>
  inFolder(async (folder) => {
    const nasty = "x\x1b]0;owned\x07\x9b31m";
    for (
      const args of [
        ["sweep", "--models", nasty],
        ["sweep", nasty],
        [nasty],
        ["report", join(folder, nasty)],
        ["eval", "--model", join(folder, nasty), "--verbose"],
        ["merge", join(folder, nasty)],
        ["train", nasty, "--verbose"],
      ]
    ) {
      const { code, stdout, stderr } = await ending(script("tasks/main.ts", args));
      assertEquals(code, 1, args.join(" "));
      assert(!CONTROL.test(stdout + stderr), JSON.stringify(stderr));
      assertStringIncludes(stderr, "\\u001b");
    }
  }));

Deno.test("what cannot be seen in a model's path is spelled out in its results", () =>
  inFolder(async (folder) => {
    const path = join(folder, "x\x1b[31m");
    await Deno.mkdir(path);
    for (const file of ["recipe.json", "model.safetensors", "config.json"]) {
      await Deno.copyFile(join(ROOT, "models/zoo/gla-mixture", file), join(path, file));
    }
    const [card] = await new ModelSource().find([path]);
    assertEquals(card.name, join(folder, "x\\u001b[31m"));
    await using source = new ModelSource();
    await using subject = await source.open((await source.find([path]))[0]);
    assert(!CONTROL.test(subject.name));
  }));

Deno.test("a model's path that is longer than a file's name may be has a folder of results all the same", () =>
  inFolder(async (folder) => {
    const long = join(folder, ...Array.from({ length: 30 }, () => "a-folder-in-a-folder"));
    const { code, stderr } = await ending(
      script("tasks/main.ts", ["eval", "--model", long, "--task", "text"]),
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "Cannot find a model in");
    const rows = exampleRows().map((row) => ({ ...row, model: `${long}/${row.model}` }));
    const { pictures } = await writeReport(folder, [{ name: "long", rows }]);
    assert(pictures.every((path) => path.length - folder.length < 120), pictures.join("\n"));
  }));

const JOB: JobArray = {
  name: "sweep",
  shards: 2,
  program: ["deno", "run", "main.ts"],
  sweep: ["--models", "a"],
  merge: [],
  out: "/results/a",
  logs: "/results/a/slurm",
  directory: "/work",
};

Deno.test("no word of a Slurm script ends its line: a line end in any of them is refused", () => {
  assertStringIncludes(
    slurmScript(JOB, "/results/a/slurm/sweep.sh"),
    "exec deno run main.ts sweep",
  );
  const bad = "/results/a\ntouch /tmp/owned\n#";
  const jobs: Partial<JobArray>[] = [
    { out: bad },
    { logs: bad },
    { directory: bad },
    { name: bad },
    { program: ["deno", bad] },
    { sweep: ["--models", bad] },
    { merge: [bad] },
    { out: "/results/\x1b[2J" },
  ];
  for (const job of jobs) {
    assertThrows(
      () => slurmScript({ ...JOB, ...job }, "/results/a/slurm/sweep.sh"),
      RangeError,
      "into a script as it holds a line end or a control character",
    );
  }
  assertThrows(() => slurmScript(JOB, bad), RangeError, "into a script");
  assertThrows(
    () => slurmScript({ ...JOB, options: "--a\r--b" }, "/s"),
    RangeError,
    "a line of text",
  );
});

Deno.test("a Slurm script runs its own words alone, whatever stands in them", () =>
  inFolder(async (folder) => {
    const mark = join(folder, "owned");
    const evil = [
      `$(touch ${mark})`,
      `\`touch ${mark}\``,
      `'; touch ${mark}; '`,
      `" ; touch ${mark} "`,
    ];
    for (const word of [...evil, `\\`, `#`, `a'b"c$d`]) {
      const job = {
        ...JOB,
        program: ["printf", "%s\\n"],
        sweep: ["--models", word],
        out: `/results/${word}`,
        logs: `/logs/${word}`,
        directory: `/work/${word}`,
      };
      const file = join(folder, "sweep.sh");
      await Deno.writeTextFile(file, slurmScript(job, `/logs/${word}/sweep.sh`));
      const environments: Record<string, string>[] = [{ SLURM_ARRAY_TASK_ID: "1" }, {}];
      for (const env of environments) {
        const command = new Deno.Command("sh", { args: [file], env, stdout: "piped" });
        const { code, stdout } = await ending(command);
        assertEquals(code, 0);
        assertStringIncludes(stdout, `/results/${word}\n`);
      }
      // What its comments say to type is what is meant, too.
      const comments = (await Deno.readTextFile(file)).split("\n").filter((line) =>
        line.startsWith("#   ")
      ).map((line) => line.slice(4));
      const typed = ["sbatch() { printf '%s\\n' \"$@\"; }", ...comments].join("\n");
      const { stdout } = await ending(
        new Deno.Command("sh", { args: ["-c", typed], stdout: "piped" }),
      );
      assertStringIncludes(stdout, `/logs/${word}/sweep.sh\n`);
    }
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["sweep.sh"]);
  }));

Deno.test("stray files among the shards do not matter, and a link to a shard counts", () =>
  inNewFolder(async (out) => {
    const oracle = (...args: string[]) => ending(script("tests/tasks/oracle_main.ts", args));
    const args = ["sweep", "--models", "near", "--lengths", "64", "--samples", "4", "--out", out];
    for (const shard of ["0/2", "1/2"]) {
      assertEquals((await oracle(...args, "--shard", shard)).code, 0);
    }
    const shards = join(out, "shards");
    await Deno.writeTextFile(join(shards, ".DS_Store"), "");
    await Deno.writeTextFile(join(shards, "notes.txt"), "mine");
    await Deno.mkdir(join(shards, "empty"));
    await Deno.symlink("nowhere", join(shards, "dangling"));
    await Deno.symlink(shards, join(shards, "loop"));
    await Deno.rename(join(shards, "1-of-2"), `${out}-elsewhere`);
    await Deno.symlink(`${out}-elsewhere`, join(shards, "1-of-2"));
    const merged = await oracle("merge", out);
    assertEquals([merged.code, merged.stderr], [0, ""]);
    const resumed = await oracle("sweep", "--resume", "--out", out, "--shard", "1/2");
    assertEquals(resumed.code, 0, resumed.stderr);
  }));

Deno.test("the files of a set are told apart through links, and a link to a folder above ends", () =>
  inFolder(async (folder) => {
    const set = join(folder, "set");
    const elsewhere = join(folder, "elsewhere");
    await Deno.mkdir(join(set, "4096"), { recursive: true });
    await Deno.mkdir(elsewhere);
    await Deno.writeTextFile(join(elsewhere, "validation.jsonl"), "one");
    await Deno.symlink(elsewhere, join(set, "4096", "vt"));
    await Deno.symlink(set, join(set, "4096", "loop"));
    await Deno.symlink(".", join(set, "self"));
    await Deno.symlink("nowhere", join(set, "dangling"));
    const before = await fingerprintPath(set);
    assertEquals(await fingerprintPath(set), before);
    await Deno.writeTextFile(join(elsewhere, "validation.jsonl"), "two");
    assert(await fingerprintPath(set) !== before, "what a link leads to is part of it");
  }));
