import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { JOURNAL, Journal, readJournal } from "../../tasks/sweep/journal.ts";
import type { JournalEntry } from "../../tasks/sweep/journal_line.ts";
import { formatRows, parseRows, type Row } from "../../tasks/sweep/rows.ts";
import { writeReport } from "../../tasks/report/write.ts";
import { exampleRows } from "../tasks/example_rows.ts";
import type { Draws } from "./draws.ts";
import { checkRefusal, type FuzzCase, type FuzzKind, type Outcome } from "./kind.ts";
import { mutateBytes } from "./mutate.ts";

const FOLDER = await Deno.makeTempDir();
const PATH = join(FOLDER, JOURNAL);
const HEADER = {
  lengthwise: "0.0.0",
  hash: "00112233445566778899aabbccddeeff",
  configuration: {
    name: "fuzz",
    models: ["a"],
    tasks: ["mqar"],
    lengths: [64],
    depths: [],
    loads: [],
    seeds: [0],
    samples: 8,
  },
} as const;

/** A journal of so many cells, some of which failed. */
async function writeJournal(draws: Draws): Promise<JournalEntry[]> {
  await Deno.remove(PATH).catch(() => {});
  using journal = await Journal.open(FOLDER, HEADER, { resume: false });
  const rows = exampleRows();
  for (let i = draws.integer(0, 12); i > 0; i--) {
    const cell = `model|mqar|${64 * i}|${draws.integer(0, 9)}`;
    const failed = draws.chance(0.2);
    await journal.append(
      failed ? { cell, failed: "NaN at 3", adapter: "a" } : { cell, rows: [draws.choose(rows)] },
    );
  }
  return [...journal.entries];
}

/** Fails where an entry was not written as it is read. */
function checkEntries(entries: readonly JournalEntry[], written: readonly JournalEntry[]): void {
  const known = new Set(written.map((entry) => JSON.stringify(entry)));
  for (const entry of entries) {
    const text = JSON.stringify(entry);
    if (!known.has(text)) throw new TypeError(`the journal gives what was not written: ${text}`);
  }
}

const CASES: Record<string, FuzzCase> = {
  async journal(draws): Promise<Outcome> {
    const written = await writeJournal(draws);
    const whole = await Deno.readFile(PATH);
    const damaged = mutateBytes(whole, draws);
    await Deno.writeFile(PATH, damaged);
    let content: Awaited<ReturnType<typeof readJournal>>;
    try {
      content = await readJournal(FOLDER);
    } catch (error) {
      return checkRefusal(error);
    }
    checkEntries(content?.entries ?? [], written);
    const lost = written.length - (content?.entries.length ?? 0);
    const untold = lost > 0 && content !== undefined && content.damaged.length === 0;
    const newlines = (bytes: Uint8Array): number => bytes.filter((byte) => byte === 0x0A).length;
    // A journal that ends early, at a line's end, is one that was not finished.
    if (untold && newlines(damaged) >= newlines(whole)) {
      throw new TypeError(`${lost} entries are gone, and no damage is told`);
    }
    // What is lost is written again: a resumed journal holds all.
    const missing = (await reopened()).filter((entry) => !has(content, entry));
    if (missing.length > 0) throw new TypeError(`resuming gives ${missing.length} other entries`);
    return "right";
  },

  csv(draws): Outcome {
    const rows = exampleRows();
    const text = formatRows(Array.from({ length: draws.integer(1, 30) }, () => draws.choose(rows)));
    const bytes = mutateBytes(new TextEncoder().encode(text), draws);
    let parsed: Row[];
    try {
      parsed = parseRows(new TextDecoder().decode(bytes), "sweep.csv");
    } catch (error) {
      return checkRefusal(error);
    }
    for (const row of parsed) {
      if (!Number.isFinite(row.value) || !Number.isFinite(row.length)) {
        throw new TypeError(`a row has the value ${row.value} at the length ${row.length}`);
      }
    }
    assertEquals(parseRows(formatRows(parsed), "again.csv"), parsed);
    return "right";
  },

  async report(draws): Promise<Outcome> {
    const rows = exampleRows();
    const chosen = rows.filter(() => draws.chance(0.8));
    const text = formatRows(chosen.length > 0 ? chosen : rows);
    const strange = draws.option("in the place of a cell", [
      "<script>alert(1)</script>",
      '"><img src=x onerror=alert(1)>',
      "\u001b[31m",
      "1e308",
      "-5",
      "0",
      "",
      "a".repeat(3000),
    ]);
    const lines = text.split("\r\n").filter((line) => line !== "");
    const at = draws.integer(1, lines.length - 1);
    const cells = lines[at].split(",");
    cells[draws.note("column", draws.integer(0, cells.length - 1))] = `"${
      strange.replaceAll('"', '""')
    }"`;
    lines[at] = cells.join(",");
    try {
      const parsed = parseRows(lines.join("\r\n") + "\r\n", "sweep.csv");
      const { page, pictures } = await writeReport(FOLDER, [{ name: "run", rows: parsed }]);
      for (const path of [page, ...pictures]) {
        const written = await Deno.readTextFile(path);
        if (/<script>alert|<img src=x/.test(written)) throw new TypeError(`${path} holds markup`);
      }
      return "right";
    } catch (error) {
      return checkRefusal(error);
    }
  },
};

async function reopened(): Promise<readonly JournalEntry[]> {
  using journal = await Journal.open(FOLDER, HEADER, { resume: true });
  return journal.entries;
}

function has(
  content: { entries: readonly JournalEntry[] } | undefined,
  entry: JournalEntry,
): boolean {
  return content?.entries.some((each) => JSON.stringify(each) === JSON.stringify(entry)) ?? false;
}

/** Damage to what sweeps leave: journals, CSV files, and what a report makes of them. */
export const RESULTS: FuzzKind = { cases: CASES, patience: 60 };
