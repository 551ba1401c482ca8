import { join } from "@std/path";
import type { SweepConfiguration } from "../../tasks/mod.ts";

/** A sweep of two seeds at three lengths. */
export const SMALL: SweepConfiguration = {
  name: "small",
  models: [],
  tasks: [],
  lengths: ["1x", "2x", 256],
  depths: [],
  loads: [],
  seeds: [0, 1],
  samples: 8,
};

/** The journal of a folder, as text. */
export function journalOf(folder: string): Promise<string> {
  return Deno.readTextFile(join(folder, "journal.jsonl"));
}
