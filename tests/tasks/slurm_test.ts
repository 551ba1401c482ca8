import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { parseRows, type Row } from "../../tasks/mod.ts";
import { withoutCosts } from "./example_rows.ts";
import { type Ending, ending, script, until } from "./process.ts";
import { SlurmCluster } from "./slurm_cluster.ts";

/** The lines of a shard's journal that are whole. */
function journalLines(out: string, shard: string): string[] {
  try {
    return Deno.readTextFileSync(join(out, "shards", shard, "journal.jsonl")).split("\n")
      .slice(0, -1);
  } catch {
    return [];
  }
}

function sweep(env: Record<string, string>, ...args: string[]): Promise<Ending> {
  return ending(script("tasks/main.ts", args, env));
}

Deno.test("a job array of a real Slurm: killed, requeued and submitted again, it is the sweep", async () => {
  const folder = await Deno.makeTempDir({ prefix: "slurm sweep " });
  await using cluster = await SlurmCluster.start(2);
  try {
    const out = join(folder, "out");
    const grid = ["--models", "transformer-mixture,mamba2-mixture", "--tasks", "mqar,passkey"]
      .concat(["--lengths", "256,1k", "--seeds", "0,1", "--samples", "48"]);
    const submit = async (...options: string[]): Promise<[array: string, merge: string]> => {
      const { code, stdout, stderr } = await sweep(
        cluster.env,
        ...["sweep", ...options, "--slurm", "--out", out],
        ...["--slurm-options", "--partition=test --cpus-per-task=1"],
      );
      assertEquals(code, 0, stderr);
      const [, array, merge] = /^job (\d+) runs 2 shards, job (\d+) merges/.exec(stdout)!;
      return [array, merge];
    };

    const [array, merge] = await submit(...grid, "--shards", "2");
    const begun = (shard: string) => (): boolean => journalLines(out, shard).length > 2;
    await until("two cells of shard 0", 60, begun("0-of-2"));
    assertEquals((await cluster.run("scontrol", "requeue", `${array}_0`)).code, 0);
    await until("the end of the first run", 60, async () => {
      return (await cluster.job(`${array}_0`)).JobState === "PENDING";
    });
    const before = journalLines(out, "0-of-2");
    await until("two cells of shard 1", 60, begun("1-of-2"));
    assertEquals((await cluster.run("scancel", "--signal=KILL", "--batch", `${array}_1`)).code, 0);
    await cluster.finish([array, merge], 180);
    const log = (name: string): string =>
      Deno.readTextFileSync(join(out, "slurm", name)) + cluster.logs();

    const requeued = await cluster.job(`${array}_0`);
    assertEquals([requeued.JobState, requeued.Restarts], ["COMPLETED", "1"], log(`${array}_0.log`));
    assertEquals(journalLines(out, "0-of-2").slice(0, before.length), before);
    const resumed = /([1-9]) of (\d+) cells were there already/.exec(log(`${array}_0.log`));
    assert(resumed !== null, log(`${array}_0.log`));
    const shares = [Number(resumed[2]), 16 - Number(resumed[2])];
    assert(Number(resumed[1]) < shares[0], "shard 0 was done before it was requeued");
    const killed = await cluster.job(`${array}_1`);
    assertEquals([killed.JobState, killed.ExitCode], ["FAILED", "0:9"]);
    const left = shares[1] - (journalLines(out, "1-of-2").length - 1);
    assert(left > 0, "shard 1 was done before it was killed");
    const merged = await cluster.job(merge);
    assertEquals([merged.JobState, merged.ExitCode], ["FAILED", "1:0"]);
    assert(log("merge.log").includes(`${left} of 16 cells are missing`), log("merge.log"));

    const other = await sweep(
      cluster.env,
      ...["sweep", ...grid, "--samples", "5", "--slurm", "--out", out],
    );
    assertEquals(other.code, 1);
    assert(other.stderr.includes("is of another sweep: name another folder"), other.stderr);
    const [again, mergeAgain] = await submit("--resume");
    await cluster.finish([again, mergeAgain], 180);
    const last = await cluster.job(mergeAgain);
    assertEquals([last.JobState, last.ExitCode], ["COMPLETED", "0:0"], log("merge.log"));
    for (const [i, shard] of ["0-of-2", "1-of-2"].entries()) {
      const cells = journalLines(out, shard).slice(1).map((line) => JSON.parse(line).cell);
      assertEquals([cells.length, new Set(cells).size], [shares[i], shares[i]]);
    }

    const alone = join(folder, "alone");
    const whole = await sweep({}, "sweep", ...grid, "--out", alone);
    assertEquals(whole.code, 0, whole.stderr);
    const rows = async (folder: string): Promise<Row[]> =>
      parseRows(await Deno.readTextFile(join(folder, "sweep.csv")), folder);
    assertEquals(withoutCosts(await rows(out)), withoutCosts(await rows(alone)));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
