/**
 * What someone does who comes to this repository for the first time: a fresh clone, empty caches, each
 * command of README.md as it is printed, with how long it took and how much is on the disk then. What
 * needs what this machine does not have (the hub, Slurm, Kubernetes) is listed, and not run.
 *
 *   deno run -A tests/newcomer.ts [--first N] [--most MINUTES]
 */
import { fromFileUrl, join } from "@std/path";
import { type ReadmeCommand, readmeCommands, readmeQuestion } from "./readme_commands.ts";

/** What takes longer is listed as too slow: a sweep, and what it is cut to by `--minutes`. */
const SWEEP_SECONDS = 7 * 60;
const REPORT_SECONDS = 3 * 60;
/** The most that a first run fetches, unpacked. */
const MEGABYTES = 110;
/** What Deno keeps besides that it made here: compiled code, and what it found out about modules. */
const MADE_HERE = /^gen$|_cache_v\d+/;

const option = (name: string): number =>
  Number(Deno.args[Deno.args.indexOf(`--${name}`) + 1] ?? NaN) || Infinity;
const root = fromFileUrl(new URL("../", import.meta.url));
const place = await Deno.makeTempDir({ prefix: "newcomer" });
const clone = join(place, "lengthwise");
const env = {
  DENO_DIR: join(place, "deno"),
  HF_HOME: join(place, "hub"),
  XDG_CACHE_HOME: join(place, "cache"),
};

async function command(name: string, args: readonly string[], cwd: string): Promise<number> {
  const { code } = await new Deno.Command(name, { args: [...args], cwd, env }).spawn().status;
  return code;
}

async function megabytes(folder: string, leftOut?: RegExp): Promise<number> {
  let bytes = 0;
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (leftOut?.test(name)) continue;
    const path = join(folder, name);
    bytes += isDirectory ? 1e6 * await megabytes(path) : (await Deno.lstat(path)).size;
  }
  return bytes / 1e6;
}

async function reaches(address: string): Promise<boolean> {
  return await fetch(address, { signal: AbortSignal.timeout(3000) }).then(
    async (answer) => (await answer.body?.cancel(), true),
    () => false,
  );
}

function has(name: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return Deno.statSync(join(folder, name)).isFile;
    } catch {
      return false;
    }
  });
}

const hub = await reaches(Deno.env.get("HF_ENDPOINT") ?? "https://huggingface.co");

/** What a command needs that is not here. */
function missing({ words, into }: ReadmeCommand): string | undefined {
  if (words.some((word) => word.startsWith("hf:")) && !hub) return "the hub is not reached";
  if (words.includes("--slurm") && !has("sbatch")) return "there is no sbatch";
  if (into !== undefined && !has(into.split(" ")[0])) return `there is no ${into.split(" ")[0]}`;
  return undefined;
}

/** When the first report of a sweep was there, in seconds. */
async function firstReport(started: number, stopped: AbortSignal): Promise<number> {
  const path = join(clone, "results", "default", "report.html");
  while (!stopped.aborted) {
    if (await Deno.stat(path).then(() => true, () => false)) break;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return (performance.now() - started) / 1000;
}

const faults: string[] = [];
try {
  if (await command("git", ["clone", "--quiet", root, clone], place) !== 0) Deno.exit(1);
  await Deno.writeTextFile(join(clone, "mine.json"), await readmeQuestion());
  const begun = performance.now();
  for (const each of (await readmeCommands()).slice(0, option("first"))) {
    const { printed, words, into } = each;
    if ((performance.now() - begun) / 60_000 > option("most")) break;
    const lack = missing(each);
    if (lack !== undefined) {
      console.log(`\n== not run, as ${lack}: ${printed}`);
      continue;
    }
    console.log(`\n== ${printed}`);
    const started = performance.now();
    const done = new AbortController();
    const report = words.join(" ") === "sweep" ? firstReport(started, done.signal) : undefined;
    const code = into === undefined
      ? await command(join(clone, "run"), words, clone)
      : await command("sh", ["-c", printed], clone);
    const seconds = (performance.now() - started) / 1000;
    done.abort();
    const fetched = await megabytes(env.DENO_DIR, MADE_HERE).catch(() => 0);
    console.log(
      `== ${seconds.toFixed(0)} s, exit code ${code}, ${fetched.toFixed(0)} MB fetched so far`,
    );
    const expected = words[0] === "merge" ? 1 : 0; // where one share alone was run, the rest is missing
    if (code !== expected) faults.push(`${printed}: exit code ${code}`);
    if (fetched > MEGABYTES) faults.push(`${printed}: ${fetched.toFixed(0)} MB were fetched`);
    if (report === undefined) continue;
    const first = await report;
    console.log(`== the first report was there after ${first.toFixed(0)} s`);
    if (first > REPORT_SECONDS) faults.push(`${printed}: a first report after ${first} s`);
    if (seconds > SWEEP_SECONDS) faults.push(`${printed}: ${seconds} s`);
  }
} finally {
  await Deno.remove(place, { recursive: true });
}
console.log(faults.length === 0 ? "\nall is well" : `\n${faults.join("\n")}`);
Deno.exit(faults.length === 0 ? 0 : 1);
