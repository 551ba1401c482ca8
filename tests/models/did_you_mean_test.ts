import { assertEquals } from "@std/assert";
import { didYouMean } from "../../models/did_you_mean.ts";

const TASKS = ["mqar", "induction", "niah_single_1", "niah_single_2", "s5", "vt", "passkey"];

Deno.test("a mistyped name gets the one that is near, another where all are listed", () => {
  const cases: readonly (readonly [name: string, message: string])[] = [
    ["indction", 'Unknown task "indction". Did you mean "induction"?'],
    ["mqra", 'Unknown task "mqra". Did you mean "mqar"?'],
    ["VT", 'Unknown task "VT". Did you mean "vt"?'],
    ["niah-single-2", 'Unknown task "niah-single-2". Did you mean "niah_single_2"?'],
    ["pass", 'Unknown task "pass". Did you mean "passkey"?'],
    ["", 'Unknown task "": see --help'],
    ["hyena", 'Unknown task "hyena": see --help'],
    ["\u001b[2J\n", 'Unknown task "\\u001b[2J\\n": see --help'],
  ];
  for (const [name, message] of cases) {
    assertEquals(didYouMean("task", name, TASKS, "see --help"), message);
  }
});

Deno.test("a few names are listed where none is near, and options stand without quotes", () => {
  const options = ["--lengths", "--models", "-h"];
  assertEquals(
    didYouMean("option", "--legnths", options),
    "Unknown option --legnths. Did you mean --lengths?",
  );
  assertEquals(
    didYouMean("option", "--x", options),
    "Unknown option --x: known are --lengths, --models, -h",
  );
  assertEquals(didYouMean("model", "x", []), 'Unknown model "x"');
  assertEquals(didYouMean("model", "x".repeat(500), TASKS).length < 100, true);
});
