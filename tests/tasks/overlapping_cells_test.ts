import { assert, assertEquals } from "@std/assert";
import { runSweep } from "../../tasks/mod.ts";
import type { Answers, Subject } from "../../tasks/subject.ts";
import type { Sample } from "../../tasks/task.ts";
import { inNewFolder } from "../testing.ts";
import { SMALL } from "./small_sweep.ts";
import { oracles, windowOracle } from "./window_oracle.ts";

/** How long answers are on their way. */
const WAY_MILLISECONDS = 60;
const CONFIGURATION = { ...SMALL, lengths: [64, 128] };

/** An oracle whose answers are computed at once, and on their way for a while. */
function slowReader(
  events: string[],
  fails: (samples: readonly Sample[]) => boolean = () => false,
): Subject & AsyncDisposable {
  const oracle = windowOracle("far", 4096, ["mqar", "passkey"]);
  let asked = 0;
  return {
    ...oracle,
    async answer(samples, options = {}): Promise<Answers> {
      const number = asked++;
      const answers = await oracle.answer(samples);
      options.onComputed?.();
      events.push(`${number} is computed`);
      await new Promise((resolve) => setTimeout(resolve, WAY_MILLISECONDS));
      events.push(`${number} is here`);
      if (fails(samples)) throw new Error("cannot be read");
      return answers;
    },
  };
}

/** The rows without what differs from run to run. */
function results(rows: readonly object[]): object[] {
  return JSON.parse(JSON.stringify(rows.map((row) => ({ ...row, seconds: 0, started: "" }))));
}

Deno.test("a cell is computed while the answers of the one before are on their way", () =>
  inNewFolder(async (out) => {
    const events: string[] = [];
    const finished: string[] = [];
    const { rows, failed } = await runSweep(CONFIGURATION, oracles([slowReader(events)]), {
      out: `${out}/slow`,
      onProgress: ({ cell, rows }) => rows && finished.push(JSON.stringify(cell)),
    });
    assertEquals(failed, []);
    // One sample of each length is asked for alone first, and nothing beside it.
    const order = events.map((event) => event.split(" is ")).map(([number, what]) =>
      [Number(number), what] as const
    );
    const at = (number: number, what: string): number =>
      order.findIndex(([n, w]) => n === number && w === what);
    const last = Math.max(...order.map(([number]) => number));
    assert(at(last, "computed") < at(last - 1, "here"), events.join("; "));
    assert(at(last, "computed") > at(last - 2, "here"), events.join("; ")); // two at most
    // The time of a cell is that of computing it, and the order is that of the grid.
    assert(
      rows.filter(({ length }) => length === 128).some(({ seconds }) =>
        seconds! < WAY_MILLISECONDS / 2000
      ),
    );
    assertEquals(finished, [...new Set(finished)]);
    const source = oracles([windowOracle("far", 4096, ["mqar", "passkey"])]);
    const plain = await runSweep(CONFIGURATION, source, { out: `${out}/plain` });
    assertEquals(results(rows), results(plain.rows));
  }));

Deno.test("a cell whose answers do not come has failed, and those beside it have not", () =>
  inNewFolder(async (out) => {
    const events: string[] = [];
    let many = 0;
    const fails = (samples: readonly Sample[]): boolean => samples.length > 1 && ++many === 3;
    const { rows, failed, total } = await runSweep(
      CONFIGURATION,
      oracles([slowReader(events, fails)]),
      { out },
    );
    assertEquals(failed.map(({ reason }) => reason), ["cannot be read"]);
    const cells = new Set(
      rows.filter(({ metric }) => metric === "accuracy")
        .map(({ task, length, load, seed }) => [task, length, load, seed].join()),
    );
    assertEquals(cells.size, total - 1);
  }));

Deno.test("a sweep that is stopped while answers are on their way keeps them, and goes on", () =>
  inNewFolder(async (out) => {
    const source = oracles([slowReader([])]);
    const stop = new AbortController();
    let seen = 0;
    const onProgress = ({ rows }: { rows?: readonly unknown[] }): void => {
      if (rows && ++seen === 2) stop.abort();
    };
    const first = await runSweep(CONFIGURATION, source, { out, onProgress, signal: stop.signal });
    assertEquals(first.stopped, true);
    const kept = new Set(
      first.rows.map((row) => [row.task, row.length, row.load, row.seed].join()),
    );
    assertEquals(kept.size, 3); // the two, and the one that was computed meanwhile
    const whole = await runSweep(CONFIGURATION, source, { out, resume: true });
    assertEquals([whole.resumed, whole.stopped], [3, false]);
    const plain = await runSweep(CONFIGURATION, source, { out: `${out}/plain` });
    assertEquals(results(whole.rows), results(plain.rows));
  }));
