import { assert, assertEquals } from "@std/assert";
import * as kernels from "../../kernels/mod.ts";
import { fuzz } from "./fuzz.ts";
import { SHARES } from "./main.ts";

Deno.test("half a minute of random kernels, mutated files, damage and kills finds nothing", async () => {
  const { counts, failures } = await fuzz({ seconds: 30, seed: 1, shares: SHARES });
  assertEquals(failures, []);
  const idle = Object.entries(counts).filter(([, cases]) => Object.keys(cases).length === 0);
  assertEquals(idle, []);
});

Deno.test("the fuzzer finds a wrong number, a swallowed NaN, a mistake, a hang and a crash, and continues", async () => {
  const { counts, failures } = await fuzz({
    seconds: 60,
    seed: 1,
    shares: { broken: 1 },
    most: 9,
  });
  assertEquals(failures.map(({ target, what, index }) => [target, what, index]), [
    ["number", "wrong", 2],
    ["swallowed", "wrong", 3],
    ["mistake", "wrong", 4],
    ["hang", "hang", 5],
    ["crash", "crash", 6],
  ]);
  assertEquals(counts.broken.right, { right: 2 });
  assertEquals(counts.broken.refused, { refused: 1 });
  assertEquals(counts.broken.later, { right: 1 });
});

/** They measure an adapter. */
const MEASURES = ["copyWork", "measureCopyBandwidth"];

Deno.test("every op has its random cases", async () => {
  const folder = new URL("kernels/", import.meta.url);
  const files = await Array.fromAsync(Deno.readDir(folder), ({ name }) => new URL(name, folder));
  const cases = (await Promise.all(files.map((file) => Deno.readTextFile(file)))).join("\n");
  const ops = Object.entries(kernels)
    .filter(([, value]) => typeof value === "function" && /^function \w+\(gpu, /.test(`${value}`))
    .map(([name]) => name);
  assert(ops.length > 40, `${ops.length} ops`);
  const lacking = ops.filter((op) => !cases.includes(`${op}(gpu, `) && !cases.includes(`${op}(\n`));
  assertEquals(lacking.filter((op) => !MEASURES.includes(op)), []);
});
