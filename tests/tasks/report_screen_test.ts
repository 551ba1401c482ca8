import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { parseHTML } from "linkedom";
import { aboutTask } from "../../tasks/about.ts";
import { type Row, type Run, TASK_NAMES, writeReport } from "../../tasks/mod.ts";
import { makePage } from "../../tasks/report/page.ts";
import { makePictures } from "../../tasks/report/pictures.ts";
import { joinRuns } from "../../tasks/report/runs.ts";
import { Chromium, type Tab } from "./chromium.ts";
import { gridRows, rulerRows } from "./example_ruler.ts";
import { exampleRows } from "./example_rows.ts";
import { trainingRows } from "./example_trainings.ts";
import { inFolder } from "../testing.ts";

const SMALL: Run = { name: "small", rows: exampleRows() };
const RULER: readonly Run[] = [
  { name: "ruler", rows: rulerRows() },
  { name: "format", rows: gridRows() },
];

/** A report without files that take long. */
const QUICK = { files: [] };

/** Rows like those of the committed models: three mixtures of tasks, in each several models. */
function committedRows(): Row[] {
  const needles = exampleRows().filter(({ task }) => task === "passkey");
  return [
    ...exampleRows(),
    ...["niah-needles", "niah-noise", "niah-essay"].flatMap((task) =>
      needles.map((row) => ({ ...row, task, model: `${row.model}-niah` }))
    ),
    ...trainingRows(),
  ];
}

/** Rows of which everything that a table tells of its models differs from model to model. */
function elsewhere(rows: readonly Row[]): Row[] {
  return rows.map((row) => ({
    ...row,
    adapter: `NVIDIA H${row.model.length}00 (Vulkan 1.3)`,
    version: `0.2.${row.model.length}`,
    seed: row.seed + row.model.length,
    template: row.model.endsWith("niah") ? "chat" : "base",
  }));
}

/** Whether elements are shown. */
function shown(tab: Tab, selector: string): Promise<boolean[]> {
  return tab.evaluate(
    (selector) =>
      [...document.querySelectorAll(selector)].map((element) =>
        element.getBoundingClientRect().width > 0
      ),
    selector,
  );
}

/** Moves a pointer to a place within an element, in shares of its size. */
async function pointAt(tab: Tab, selector: string, x: number): Promise<void> {
  const place = await tab.evaluate((selector) => {
    const element = document.querySelector(selector)!;
    element.scrollIntoView({ block: "center" });
    const { left, top, width, height } = element.getBoundingClientRect();
    return { left, top, width, height };
  }, selector);
  await tab.movePointer(place.left + x * place.width, place.top + place.height / 2);
}

Deno.test("values are under the pointer, the greatest first", () =>
  inFolder(async (folder) => {
    await using browser = await Chromium.start();
    const { page } = await writeReport(folder, [SMALL], QUICK);
    const tab = await browser.open(page, { width: 1200, height: 900 });
    assert((await shown(tab, ".tip")).every((is) => !is));
    await pointAt(tab, "#accuracy-mqar .plot", 0.95);
    const tips = await tab.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>(".tip")]
        .filter((tip) => tip.getBoundingClientRect().width > 0)
        .map((tip) => [...tip.querySelectorAll(":scope > b, p")].map((line) => line.textContent))
    );
    assertEquals(tips.length, 1);
    const [[place, ...lines]] = tips;
    assertEquals(place, "2K tokens");
    assertEquals(lines.length, 5);
    assert(/^mamba2-attention 0\.\d\d \[\.\d\d, \.\d\d\]$/.test(lines[0]!), String(lines[0]));
    const values = lines.map((line) => Number(/ (\d\.\d\d) \[/.exec(line!)![1]));
    assertEquals(values, values.toSorted((a, b) => b - a));
    await pointAt(tab, "#depth-passkey-gla svg", 0.5);
    assert((await shown(tab, ".tip")).every((is) => !is));
  }));

Deno.test("a legend switches a model in all pictures, the menu a task, and a button brings all back", () =>
  inFolder(async (folder) => {
    await using browser = await Chromium.start();
    const { page } = await writeReport(folder, [SMALL], QUICK);
    const tab = await browser.open(page, { width: 1200, height: 900 });
    const curves = (name: string): Promise<boolean[]> =>
      shown(tab, `#${name} [aria-description="curve"] path`);
    const click = (selector: string): Promise<void> =>
      tab.evaluate((selector) => {
        const found = document.querySelector<HTMLElement>(selector);
        if (found === null) throw new Error(`There is no ${selector}`);
        found.click();
      }, selector);
    assertEquals(await curves("accuracy-mqar"), [true, true, true, true, true]);
    await click("#mean-tasks .legend label:nth-of-type(3)"); // gla
    for (const name of ["mean-tasks", "accuracy-mqar", "prefill-ms"]) {
      assertEquals(await curves(name), [true, true, false, true, true], name);
    }
    assertEquals(await shown(tab, "#depth-passkey-gla, #depth-passkey-griffin"), [false, true]);
    assertEquals(await shown(tab, "#accuracy-mqar .legend label"), new Array(6).fill(true));
    const struck = await tab.evaluate(() =>
      [...document.querySelectorAll("#accuracy-mqar .legend label")]
        .map((label) => getComputedStyle(label).textDecorationLine)
    );
    assertEquals(struck, ["none", "none", "line-through", "none", "none", "none"]);
    await click(".filter summary");
    const passkey = await tab.evaluate(() =>
      [...document.querySelectorAll<HTMLLabelElement>(".filter label")]
        .find(({ textContent }) => textContent === "passkey")!.htmlFor
    );
    await click(`.filter label[for=${passkey}]`);
    assertEquals(await shown(tab, "#accuracy-mqar, #accuracy-passkey, #depth-passkey-griffin"), [
      true,
      false,
      false,
    ]);
    await click(".filter button");
    assertEquals(await shown(tab, "figure"), new Array(23).fill(true));
    assertEquals(await curves("accuracy-mqar"), [true, true, true, true, true]);
  }));

Deno.test("a picture comes before the first table, maps stand side by side, and a phone has 12 screens", () =>
  inFolder(async (folder) => {
    await using browser = await Chromium.start();
    const reports = {
      small: [SMALL],
      ruler: RULER,
      committed: [{ name: "committed", rows: committedRows() }],
      twice: [
        { name: "committed", rows: committedRows() },
        { name: "elsewhere", rows: elsewhere(committedRows()) },
      ],
      trainings: [{ name: "trainings", rows: trainingRows() }],
      one: [{ name: "one", rows: exampleRows().filter(({ task }) => task === "mqar") }],
    };
    for (const [name, runs] of Object.entries(reports)) {
      const { page } = await writeReport(join(folder, name), runs, QUICK);
      const { size } = await Deno.stat(page);
      assert(size < 1_000_000, `${name} has ${size} bytes`);
      const desk = await browser.open(page, { width: 1280, height: 900 });
      const [figure, table] = await desk.evaluate(() =>
        ["figure", "table"].map((kind) => document.querySelector(kind)!.getBoundingClientRect().top)
      );
      assert(figure < table && figure < 700, `${name}: ${figure}, ${table}`);
      if (name === "small") {
        const tops = await desk.evaluate(() =>
          [...document.querySelectorAll("#section-depth .pictures:last-of-type figure")]
            .map((figure) => figure.getBoundingClientRect().top)
        );
        assertEquals([tops.length, new Set(tops).size], [5, 1]);
      }
      const wide = await desk.evaluate(() =>
        [...document.querySelectorAll(".scroll")]
          .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
          .map((part) => part.closest("section")!.id)
      );
      assert(!wide.includes("section-run"), `${name}: what was run is wider than a desk's page`);
      await desk.close();
      const phone = await browser.open(page, { width: 390, height: 844, mobile: true });
      const screens = await phone.evaluate(() => document.documentElement.scrollHeight / 844);
      assert(screens <= 12, `${name} takes ${screens} screens`);
      const outside = await phone.evaluate(() =>
        [...document.querySelectorAll("figure:not(.maps figure), .cards td")]
          .filter((part) => part.getBoundingClientRect().right > 390)
          .map((part) => part.id || part.textContent)
      );
      const isMany = ["ruler", "committed", "twice"].includes(name); // whose costs are strips
      if (!isMany) assertEquals(outside, [], `${name} is one column`);
      const small = await phone.evaluate(() =>
        [...document.querySelectorAll("#section-cost svg text")]
          .filter((text) => text.getBoundingClientRect().height < 9).map(({ textContent: text }) =>
            text
          )
      );
      assertEquals(small, [], `${name}: costs are legible`);
      await phone.close();
    }
  }));

Deno.test("a page of very many models stays below a megabyte: its maps are links", () => {
  const rows = Array.from({ length: 5 }, (_, i) => i).flatMap((i) =>
    rulerRows().map((row) => ({ ...row, model: `${row.model}-${i}` }))
  );
  const results = joinRuns([{ name: "many", rows }]);
  const pictures = makePictures(results);
  const { document } = parseHTML(makePage(results, pictures));
  assert(new TextEncoder().encode(document.documentElement.outerHTML).length < 1_000_000);
  const maps = [...document.querySelectorAll("#section-depth figure")];
  assertEquals(maps.length, 5 * 3 * 8);
  assert(maps.every((map) => map.querySelector("svg") === null && map.querySelector("a") !== null));
  assert(document.querySelector("#accuracy-vt svg") !== null);
});

Deno.test("a page of sixty models stays below a megabyte, and shows all of their curves", () =>
  inFolder(async (folder) => {
    const rows = Array.from({ length: 12 }, (_, i) => i).flatMap((i) =>
      exampleRows().map((row) => ({
        ...row,
        model: `${row.model}-${i}`,
        parameters: row.parameters + i,
      }))
    );
    const { page } = await writeReport(folder, [{ name: "many", rows }], QUICK);
    assert((await Deno.stat(page)).size < 1_000_000);
    await using browser = await Chromium.start();
    const tab = await browser.open(page, { width: 1280, height: 900 });
    const [curves, points, links] = await tab.evaluate(() =>
      [
        '#accuracy-mqar [aria-description="curve"] path',
        '#accuracy-mqar [aria-description="point"] > *',
        "#section-cost figure:not(:has(svg)) a",
      ].map((parts) =>
        [...document.querySelectorAll(parts)]
          .filter((part) => part.getBoundingClientRect().width > 1).length
      )
    );
    assertEquals([curves, points], [60, 60 * 6]);
    assert(links >= 32, "costs are links to their files");
  }));

Deno.test("every task is explained in a line", () => {
  assertEquals(TASK_NAMES.filter((name) => !aboutTask(name)), []);
  assertEquals(aboutTask("niah_essay_word_uuid"), "A UUID by its word, in essays.");
  assertEquals(aboutTask("nothing"), undefined);
});

Deno.test("a task is explained beside its picture; costs of many models are curves that can be read", () =>
  inFolder(async (folder) => {
    const [, ...others] = exampleRows().filter(({ task }) => task === "mqar");
    const many = Array.from({ length: 24 }, (_, i) => i).flatMap((i) =>
      others.filter(({ model }) => model === "gla").map((row) => ({
        ...row,
        model: `gla-${i}`,
        parameters: 1000 * (1 + i % 12),
        prefill_ms: row.prefill_ms! * (1 + i % 12),
      }))
    );
    await using browser = await Chromium.start();
    const { page } = await writeReport(folder, [{ name: "many", rows: many }], QUICK);
    const tab = await browser.open(page, { width: 1280, height: 900 });
    const costs = await tab.evaluate(() =>
      [...document.querySelectorAll("#section-cost figure")].map((figure) => [
        figure.id,
        figure.querySelectorAll('[aria-description="curve"]').length,
        figure.querySelector(".legend")!.textContent!.includes("gla, 1,000"),
      ])
    );
    assertEquals(costs.slice(0, 2), [["prefill-ms", 6, true], ["prefill-ms-2", 6, false]]);
    assertEquals(costs.length, 8);
    const about = await tab.evaluate(() =>
      document.querySelector("#accuracy-mqar > p")!.textContent
    );
    assert(about!.startsWith("Key–value pairs"));
  }));
