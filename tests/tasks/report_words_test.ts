import { assert, assertEquals } from "@std/assert";
import { makePage } from "../../tasks/report/page.ts";
import { makePictures } from "../../tasks/report/pictures.ts";
import { joinRuns } from "../../tasks/report/runs.ts";
import { exampleRows } from "./example_rows.ts";

/** The page of a sweep of the shortest lengths alone. */
function pageOf(lengths: number): string {
  const rows = exampleRows().filter(({ length, task }) =>
    task === "mqar" && length < 64 * 2 ** lengths
  );
  const results = joinRuns([{ name: "few", rows }]);
  return makePage(results, makePictures(results));
}

Deno.test("an exponent is fitted over three lengths or more, and the page says over which", () => {
  for (
    const [lengths, says] of [
      [2, undefined],
      [3, "The exponents are fitted over all lengths"],
      [6, "The exponents are fitted over the 4 longest lengths"],
    ] as const
  ) {
    const html = pageOf(lengths);
    assertEquals(html.includes("∝ L^"), says !== undefined, `${lengths} lengths`);
    assert(says === undefined ? !html.includes("exponents") : html.includes(says));
  }
});

Deno.test("what is the same for all models is told once", () => {
  const html = pageOf(3);
  const table = html.slice(html.indexOf('id="section-run"'));
  assert(/The same for all: [^<]*samples per cell: 32[^<]*adapter: llvmpipe/.test(table));
  assertEquals(table.split("llvmpipe").length, 2);
});
