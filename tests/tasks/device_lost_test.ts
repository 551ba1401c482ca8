import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { DeviceLostError } from "../../kernels/gpu/mod.ts";
import { parseRows, runSweep, type SweepConfiguration } from "../../tasks/mod.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { inFolder } from "../testing.ts";

const SMALL: SweepConfiguration = {
  name: "small",
  models: ["gla-mixture"],
  tasks: ["passkey"],
  lengths: [64, 128],
  depths: [],
  loads: [],
  seeds: [0, 1],
  samples: 2,
};

Deno.test("a GPU that is lost in a sweep costs no finished cell, and resuming repeats none", () =>
  inFolder(async (folder) => {
    const out = join(folder, "out");
    {
      await using source = new ModelSource();
      const { device } = await source.gpu();
      await assertRejects(
        () =>
          runSweep(SMALL, source, {
            out,
            onProgress: ({ rows, done }) => {
              if (rows !== undefined && done === 2) device.destroy();
            },
          }),
        DeviceLostError,
      );
    }
    const lines = async (): Promise<string[]> =>
      (await Deno.readTextFile(join(out, "journal.jsonl"))).trimEnd().split("\n");
    const before = await lines();
    assertEquals(before.length, 1 + 2);
    assert(before.slice(1).every((line) => JSON.parse(line).rows !== undefined));
    const rows = parseRows(await Deno.readTextFile(join(out, "sweep.csv")), "sweep.csv");
    assertEquals(new Set(rows.map(({ length, seed }) => `${length} ${seed}`)).size, 2);

    await using source = new ModelSource();
    const { resumed, failed, stopped } = await runSweep(SMALL, source, { out, resume: true });
    assertEquals([resumed, failed.length, stopped], [2, 0, false]);
    const after = await lines();
    assertEquals(after.slice(0, before.length), before);
    assertEquals(new Set(after.slice(1).map((line) => JSON.parse(line).cell)).size, 4);
    assertEquals(after.length, 1 + 4);
  }));
