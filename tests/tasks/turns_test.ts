import { assertEquals, assertRejects } from "@std/assert";
import { allDone, begin, inTurns } from "../../tasks/sweep/turns.ts";

/** A promise that is settled from outside. */
function pending(): PromiseWithResolvers<void> {
  return Promise.withResolvers();
}

Deno.test("begin() waits for the release, or for the end where there is none", async () => {
  const end = pending();
  const { isDone, done } = await begin(async (release) => {
    release();
    await end.promise;
    return 7;
  });
  assertEquals(isDone, false);
  end.resolve();
  assertEquals(await done, 7);
  const ended = await begin(() => Promise.resolve(8));
  assertEquals([ended.isDone, await ended.done], [true, 8]);
  const failed = await begin(() => Promise.reject(new Error("no")));
  await assertRejects(() => failed.done, Error, "no");
});

Deno.test("inTurns() begins the next when the one before lets it, and keeps their order", async () => {
  const events: string[] = [];
  const ends = [pending(), pending(), pending()];
  const all = inTurns(["a", "b", "c"], async (item, index, release) => {
    events.push(`${item} begins`);
    await Promise.resolve();
    release();
    await ends[index].promise;
    events.push(`${item} ends`);
    return item;
  }, () => events.push("the last is released"));
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(events, ["a begins", "b begins", "c begins", "the last is released"]);
  for (const { resolve } of ends.toReversed()) resolve();
  assertEquals(await all, ["a", "b", "c"]);
  assertEquals(events.slice(4).sort(), ["a ends", "b ends", "c ends"]);
});

Deno.test("inTurns() begins nothing behind a failure, and throws when all are done", async () => {
  const begun: number[] = [];
  const end = pending();
  let isDone = false;
  const all = inTurns([0, 1, 2], async (item, _index, release) => {
    begun.push(item);
    if (item === 1) throw new Error("the second");
    release();
    await end.promise;
    isDone = true;
  });
  setTimeout(end.resolve);
  await assertRejects(() => all, Error, "the second");
  assertEquals([begun, isDone], [[0, 1], true]);
  assertEquals(await inTurns([], () => Promise.resolve()), []);
});

Deno.test("allDone() throws the first error in their order, when the last is done", async () => {
  const late = pending();
  let isDone = false;
  const all = allDone([
    late.promise.then(() => {
      isDone = true;
      throw new Error("first");
    }),
    Promise.reject(new Error("second")),
  ]);
  setTimeout(late.resolve);
  await assertRejects(() => all, Error, "first");
  assertEquals(isDone, true);
});
