import { assert, assertEquals, assertThrows } from "@std/assert";
import { Sandbox } from "../../models/sandbox/sandbox.ts";

const MODULE = new URL("./sandbox_worker.ts", import.meta.url);
const LIMITS = { milliseconds: 500, size: 1000 };

Deno.test("what is made in a worker is called as if it were here", () => {
  const sandbox = new Sandbox(MODULE, 256);
  const [one, two] = ["one", "two"].map((name) => sandbox.make([name], 500));
  assertEquals(one.call("greet", ["é"], LIMITS), "one é");
  assertEquals(two.call("greet", ["字"], LIMITS), "two 字");
});

Deno.test("a call that takes too long, gives too much or fails is an error, and the next one works", () => {
  const sandbox = new Sandbox(MODULE, 256);
  const made = sandbox.make(["it"], 500);
  const calls: [method: string, values: unknown[], message: string][] = [
    ["loop", [], "it took longer than 0.5 s"],
    ["backtrack", ["a".repeat(60) + "b"], "it took longer than 0.5 s"],
    ["repeat", ["ab", 501], "it gave 1002 characters, more than 1000"],
    ["fail", [], "xxx"],
    ["nothing", [], "is not a function"],
  ];
  for (const [method, values, message] of calls) {
    const started = performance.now();
    const error = assertThrows(() => made.call(method, values, LIMITS), Error, message);
    assert(error.message.length <= 500);
    assert(performance.now() - started < 2400, method);
    assertEquals(made.call("greet", ["again"], LIMITS), "it again");
  }
  assertThrows(() => sandbox.make(["loop"], 300), Error, "it took longer than 0.3 s");
  assertThrows(() => sandbox.make(["throw"], 300), Error, "not made");
});

Deno.test("a worker that takes too much memory is given up, and another one continues", () => {
  const sandbox = new Sandbox(MODULE, 64);
  const made = sandbox.make(["it"], 500);
  assertThrows(() => made.call("fill", [], { milliseconds: 6_000, size: 0 }), Error, "64 MB");
  assertEquals(made.call("greet", ["again"], LIMITS), "it again");
});
