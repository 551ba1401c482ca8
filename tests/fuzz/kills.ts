import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { readJournal } from "../../tasks/sweep/journal.ts";
import { parseRows } from "../../tasks/sweep/rows.ts";
import { withoutCosts } from "../tasks/example_rows.ts";
import type { Draws } from "./draws.ts";
import type { FuzzCase, FuzzKind, Outcome } from "./kind.ts";

const MAIN = fromFileUrl(new URL("../tasks/oracle_main.ts", import.meta.url));
const FOLDER = await Deno.makeTempDir();
const SWEEP = "--models near,far --tasks mqar,passkey --lengths 64,256 --depths 0,0.5 --samples 8";

/** A sweep of oracles, which answer after some milliseconds, into a folder; it continues where it was. */
function sweep(out: string, milliseconds: number): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--quiet", "--no-check", MAIN, "sweep", ...SWEEP.split(" ")],
      ...["--out", out, "--resume"],
    ],
    env: { ORACLE_MILLISECONDS: `${milliseconds}` },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
}

/** Runs a sweep to its end. @throws {TypeError} where it does not end well. */
async function finish(out: string): Promise<void> {
  const process = sweep(out, 0);
  const words = await new Response(process.stderr).text();
  const { code } = await process.status;
  if (code !== 0) throw new TypeError(`the sweep ended with ${code}: ${words.slice(-1000)}`);
}

async function rowsOf(out: string): Promise<unknown[]> {
  const rows = withoutCosts(
    parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv"),
  );
  return rows.map((row) => {
    const { seconds: _, started: __, ...kept } = row as Record<string, unknown>;
    return kept;
  });
}

let whole: Promise<unknown[]> | undefined;

/** The rows of a sweep that nothing disturbs. */
function undisturbed(): Promise<unknown[]> {
  return whole ??= (async () => {
    const out = join(FOLDER, "undisturbed");
    await finish(out);
    return await rowsOf(out);
  })();
}

/** Ends a sweep at a random moment after its first line is written, some times over, then lets it finish. */
const killed =
  (signal: "SIGKILL" | "SIGTERM"): FuzzCase => async (draws: Draws): Promise<Outcome> => {
    const expected = await undisturbed();
    const out = join(FOLDER, "killed");
    const kept = new Map<string, string>();
    for (let kills = draws.note("kills", draws.integer(1, 3)); kills > 0; kills--) {
      const process = sweep(out, draws.integer(0, 40));
      const words = new Response(process.stderr).text();
      let ended = false;
      process.status.then(() => ended = true);
      if (draws.chance(0.8)) {
        while (!ended && !await exists(join(out, "journal.jsonl"))) await wait(5);
      }
      await wait(draws.note(`after ${kills} ms`, draws.integer(0, draws.choose([30, 300, 1500]))));
      if (!ended) process.kill(signal);
      await words;
      await process.status;
      const journal = await readJournal(out);
      if (journal && journal.damaged.length > 0) {
        throw new TypeError(`lines ${journal.damaged} of the journal are damaged`);
      }
      const now = new Map(journal?.entries.map((entry) => [entry.cell, JSON.stringify(entry)]));
      if (now.size !== (journal?.entries.length ?? 0)) {
        throw new TypeError("a cell is listed twice");
      }
      for (const [cell, entry] of kept) {
        if (now.get(cell) !== entry) throw new TypeError(`${cell} was lost or changed`);
      }
      for (const [cell, entry] of now) kept.set(cell, entry);
    }
    await finish(out);
    assertEquals(await rowsOf(out), expected);
    await Deno.remove(out, { recursive: true });
    return "right";
  };

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Sweeps that are killed and continue: no cell is lost, none is run twice, and the rows are the same. */
export const KILLS: FuzzKind = {
  cases: { killed: killed("SIGKILL"), terminated: killed("SIGTERM") },
  patience: 180,
};
