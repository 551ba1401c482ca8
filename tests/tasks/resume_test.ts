import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { DeviceLostError } from "../../kernels/gpu/mod.ts";
import { parseRows, runSweep } from "../../tasks/mod.ts";
import { readJournal } from "../../tasks/sweep/journal.ts";
import { withoutCosts } from "./example_rows.ts";
import { journalOf, SMALL } from "./small_sweep.ts";
import { oracles, windowOracle } from "./window_oracle.ts";
import { inNewFolder } from "../testing.ts";

Deno.test("a sweep continues where it was, past a torn last line, and repeats no cell", () =>
  inNewFolder(async (out) => {
    const whole = oracles([windowOracle("near", 32, ["mqar", "passkey"])]);
    const abort = new AbortController();
    const first = await runSweep(SMALL, whole, {
      out,
      signal: abort.signal,
      onProgress: ({ done }) => done === 5 && abort.abort(),
    });
    assertEquals([first.stopped, first.total], [true, 12]);
    const journal = await journalOf(out);
    assertEquals(journal.trimEnd().split("\n").length, 1 + 5);
    await Deno.writeTextFile(join(out, "journal.jsonl"), journal.slice(0, -20));

    const asked: string[] = [];
    const again = oracles([
      windowOracle("near", 32, ["mqar", "passkey"], {
        onAnswer: (samples) => asked.push(`${samples.length} × ${samples[0].tokens.length}`),
      }),
    ]);
    const second = await runSweep(SMALL, again, { out, resume: true });
    assertEquals([second.resumed, second.failed.length, second.stopped], [4, 0, false]);
    assertEquals(asked.filter((batch) => batch.startsWith("8")).length, 8);
    const lines = (await journalOf(out)).trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(new Set(lines.slice(1).map(({ cell }) => cell)).size, 12);
    assertEquals(lines.length, 13);

    const third = await runSweep(SMALL, whole, { out, resume: true });
    assertEquals([third.resumed, third.rows.length], [12, second.rows.length]);
  }));

Deno.test("results are not written over, nor mixed with another sweep's", () =>
  inNewFolder(async (out) => {
    const source = oracles([windowOracle("near", 32, ["passkey"])]);
    await runSweep(SMALL, source, { out });
    await assertRejects(() => runSweep(SMALL, source, { out }), Error, "--resume");
    await assertRejects(
      () => runSweep({ ...SMALL, samples: 9 }, source, { out, resume: true }),
      Error,
      "its journal is of another sweep",
    );
    const retrained = oracles([windowOracle("near", 33, ["passkey"])]);
    await assertRejects(
      () => runSweep(SMALL, retrained, { out, resume: true }),
      Error,
      "its models, the files of its tasks or the version of Lengthwise",
    );
  }));

Deno.test("a damaged line is reported, and its cell is run again; lines without a checksum are read", () =>
  inNewFolder(async (out) => {
    const asked: number[] = [];
    const source = oracles([
      windowOracle("near", 32, ["passkey"], { onAnswer: (samples) => asked.push(samples.length) }),
    ]);
    const whole = await runSweep(SMALL, source, { out });
    const path = join(out, "journal.jsonl");
    const journal = (await journalOf(out)).trimEnd().split("\n");
    const unsealed = journal.map((line) => line.replace(/,"checksum":"[0-9a-f]{8}"\}$/, "}"));
    assert(unsealed.every((line, i) => line !== journal[i]), "every line has a checksum");
    const damages: readonly ((line: string) => string)[] = [
      (line) => line.replace('"cell"', '"cell'),
      (line) => line.replace(/"value":[\d.]+/, '"value":0.123'), // valid JSON, and another result
      (line) => line.replace("near", "neab"),
      (line) => line.replace('"checksum"', '"checksun"'), // what was told by it is not taken unseen
      (line) => line.slice(0, 40),
      (line) => line.replace("near", "ne\0r"),
      () => "null",
    ];
    for (const damage of damages) {
      for (const [lines, at] of [[journal, 2], [unsealed, 6]] as const) {
        const damaged = lines.with(at, damage(lines[at]));
        await Deno.writeTextFile(path, damaged.join("\n") + "\n");
        const told: number[] = [];
        asked.length = 0;
        const { rows, resumed } = await runSweep(SMALL, source, {
          out,
          resume: true,
          onDamage: (numbers) => told.push(...numbers),
        });
        if (lines === unsealed && told.length === 0) continue; // nothing tells that it was another
        assertEquals([told, resumed], [[at + 1], 5]);
        assertEquals(asked, [1, 8], "the cell and its cost alone");
        assertEquals(withoutCosts(rows), withoutCosts(whole.rows));
        const { damaged: lost } = (await readJournal(out))!;
        assertEquals(lost, [at + 1]);
      }
    }
    const before = (await runSweep(SMALL, source, { out, resume: true })).resumed;
    assertEquals(before, 6);
    const other = journal.with(0, journal[0].replace("small", "smell"));
    await Deno.writeTextFile(path, other.join("\n") + "\n");
    await assertRejects(
      () => runSweep(SMALL, source, { out, resume: true }),
      Error,
      "line 1 is damaged, which says which sweep it is of",
    );
    await Deno.writeTextFile(path, unsealed.join("\n") + "\n");
    assertEquals((await runSweep(SMALL, source, { out, resume: true })).resumed, 6);
  }));

Deno.test("a folder that is deleted or replaced under a sweep is noticed at the next cell", async () => {
  for (const replaced of [false, true]) {
    await inNewFolder(async (out) => {
      let asked = 0;
      const source = oracles([
        windowOracle("near", 32, ["passkey"], { onAnswer: () => void asked++ }),
      ]);
      const other = oracles([windowOracle("near", 32, ["passkey"])]);
      let replacing: Promise<unknown> | undefined;
      await assertRejects(
        () =>
          runSweep(SMALL, source, {
            out,
            onProgress: ({ done, rows }) => {
              if (done !== 2 || rows === undefined) return;
              Deno.removeSync(out, { recursive: true });
              if (replaced) replacing = runSweep(SMALL, other, { out });
            },
          }),
        Error,
        `${join(out, "journal.jsonl")} was deleted or replaced while the sweep was running`,
      );
      assertEquals(asked, 2 + 2, "no cell was run for nothing");
      await replacing;
    });
  }
});

Deno.test("two sweeps in one folder: the second is refused, as long as the first lives", () =>
  inNewFolder(async (out) => {
    const source = oracles([windowOracle("near", 32, ["passkey"])]);
    let refused: Promise<void> | undefined;
    await runSweep(SMALL, source, {
      out,
      onProgress: () => {
        refused ??= assertRejects(
          () => runSweep(SMALL, source, { out, resume: true }),
          Error,
          "another sweep is writing there",
        ).then(() => {});
      },
    });
    await refused;
    await runSweep(SMALL, source, { out, resume: true });
  }));

Deno.test("a cell that gives NaN is noted, the rest continues, and resuming tries it again", () =>
  inNewFolder(async (out) => {
    const broken = oracles([windowOracle("near", 32, ["passkey", "induction"], { nanAt: 128 })]);
    const { failed, rows } = await runSweep(SMALL, broken, { out });
    assertEquals(failed.map(({ cell }) => [cell.task, cell.length]), [
      ["passkey", 128],
      ["passkey", 128],
      ["induction", 128],
      ["induction", 128],
    ]);
    assert(failed[0].reason.includes("log-likelihood at position 127 of sample 0 is NaN"));
    assertEquals(new Set(rows.map(({ length }) => length)), new Set([64, 256]));
    const whole = oracles([windowOracle("near", 32, ["passkey", "induction"])]);
    const again = await runSweep(SMALL, whole, { out, resume: true });
    assertEquals([again.failed.length, again.resumed], [0, 8]);
    assertEquals(new Set(again.rows.map(({ length }) => length)), new Set([64, 128, 256]));
  }));

Deno.test("a lost GPU ends the sweep, with the cells before it in the CSV", () =>
  inNewFolder(async (out) => {
    const error = new DeviceLostError("Cannot continue as the GPU was lost");
    const source = oracles([
      windowOracle("near", 32, ["passkey"], { throwAt: { length: 128, error } }),
    ]);
    await assertRejects(() => runSweep(SMALL, source, { out }), DeviceLostError);
    const csv = await Deno.readTextFile(join(out, "sweep.csv"));
    const rows = parseRows(csv, "sweep.csv").filter(({ metric }) => metric === "accuracy");
    assertEquals(rows.map(({ length, seed }) => [length, seed]), [[64, 0]]);
  }));

Deno.test("a model that does not load fails its own cells alone", () =>
  inNewFolder(async (out) => {
    const source = oracles(
      [windowOracle("near", 32, ["passkey"]), windowOracle("far", 4096, ["passkey"])],
      ({ name }) => {
        if (name === "near") throw new Error("Cannot read near.safetensors: truncated");
      },
    );
    const { failed, rows } = await runSweep(SMALL, source, { out });
    assertEquals(failed.length, 6);
    assertEquals(failed[0].reason, "Cannot read near.safetensors: truncated");
    assertEquals(new Set(rows.map(({ model }) => model)), new Set(["far"]));
  }));

Deno.test("a full disk is one clear error", () =>
  inNewFolder(async (out) => {
    await Deno.mkdir(out, { recursive: true });
    await Deno.symlink("/dev/full", join(out, "journal.jsonl"));
    await assertRejects(
      () => runSweep(SMALL, oracles([windowOracle("near", 32, ["passkey"])]), { out }),
      Error,
      "No space left on device",
    );
  }));

Deno.test("a folder that cannot be written is one clear error", () =>
  inNewFolder(async (out) => {
    await Deno.writeTextFile(out, "a file where the folder should be");
    await assertRejects(
      () => runSweep(SMALL, oracles([windowOracle("near", 32, ["passkey"])]), { out }),
      Error,
      `Cannot write results into ${out}`,
    );
  }));
