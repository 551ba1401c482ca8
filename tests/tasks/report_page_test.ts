import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { parseHTML } from "linkedom";
import { formatRows, parseRows, type Row, type Run, writeReport } from "../../tasks/mod.ts";
import { makePictures } from "../../tasks/report/pictures.ts";
import { joinRuns } from "../../tasks/report/runs.ts";
import { Chromium, type Tab } from "./chromium.ts";
import { FORMAT_DEPTHS, FORMATS, gridRows, RULER_LENGTHS, rulerRows } from "./example_ruler.ts";
import { exampleRows } from "./example_rows.ts";
import { inFolder } from "../testing.ts";

/** Where screenshots are left to be looked at; git ignores it. */
const SCREENSHOTS = fromFileUrl(new URL("../../.deno/screenshots/", import.meta.url));

/** A run as a report sees it: through the CSV. */
function run(name: string, rows: readonly Row[]): Run {
  return { name, rows: parseRows(formatRows(rows), name) };
}

/** What a picture is to have: curves, points, window laws, heat fields; those left out are none. */
interface Content {
  readonly curves?: number;
  readonly points?: number;
  readonly laws?: number;
  readonly intervals?: number;
  readonly fields?: number;
}

/** A page, and what each of its pictures is to have. */
interface Example {
  readonly runs: readonly Run[];
  readonly pictures: Readonly<Record<string, Content>>;
}

const MODELS = ["transformer", "mamba2", "gla", "griffin", "mamba2-attention"];
const five = { curves: 5, points: 30, intervals: 5 };
const costs = (curves: number, points: number): Record<string, Content> => ({
  "prefill-ms": { curves, points },
  "step-ms": { curves, points },
  "peak-bytes": { curves, points },
  "state-bytes": { curves, points },
});

const SMALL: Example = {
  runs: [run("small", exampleRows())],
  pictures: {
    "mean-tasks": { ...five, laws: 1 },
    "recall-state": { points: 5, intervals: 5 },
    "state-tasks": { curves: 5, points: 30 },
    "accuracy-mqar": { ...five, laws: 1 },
    "accuracy-induction": { ...five, laws: 1 },
    "accuracy-selective-copying": { curves: 4, points: 24, intervals: 4 },
    "accuracy-passkey": { ...five, laws: 1 },
    ...Object.fromEntries(
      ["induction", "passkey"].flatMap((task) =>
        MODELS.map((model) => [`depth-${task}-${model}`, { fields: 30 }])
      ),
    ),
    "perplexity-text": five,
    "perplexity-position-text": { curves: 5, points: 5 * 8, intervals: 5 },
    ...costs(5, 30),
  },
};

const NEEDLES = [
  ...["single_1", "single_2", "single_3", "multikey_1", "multikey_2", "multikey_3"],
  ...["multivalue", "multiquery"],
].map((task) => `niah-${task.replace("_", "-")}`);

const RULER: Example = {
  runs: [run("ruler", rulerRows()), run("format", gridRows())],
  pictures: {
    "mean-ruler": { curves: 3, points: 15, intervals: 3 },
    "mean-formats": { curves: 2, points: 4, intervals: 2 },
    // Mamba-2's row of table 1, and of table 4 what both runs asked; an interval along, and one across.
    "published": { points: 7, intervals: 14 },
    "recall-state": { points: 3, intervals: 3 },
    "state-ruler": { curves: 3, points: 15 },
    ...Object.fromEntries(
      NEEDLES.map((task) => [`accuracy-${task}`, {
        curves: 3,
        points: 3 * RULER_LENGTHS.length,
        intervals: 3,
        laws: 1,
      }]),
    ),
    ...Object.fromEntries(
      ["vt", "cwe", "fwe", "qa-1", "qa-2"]
        .map((task) => [`accuracy-${task}`, { curves: 3, points: 15, intervals: 3 }]),
    ),
    ...Object.fromEntries(
      FORMATS.map((format) => [`accuracy-niah-${format.join("-")}`, {
        curves: 2,
        points: 4,
        intervals: 2,
      }]),
    ),
    ...Object.fromEntries(
      ["mamba2-2-7b", "recurrentgemma-2b-it"].map((model) => [`formats-${model}-format`, {
        fields: FORMATS.length * FORMAT_DEPTHS.length * 2,
      }]),
    ),
    ...Object.fromEntries(
      NEEDLES.flatMap((task) =>
        ["transformer-2-7b", "mamba2-2-7b-ruler", "recurrentgemma-2b-it-ruler"]
          .map((model) => [`depth-${task}-${model}`, { fields: 5 * RULER_LENGTHS.length }])
      ),
    ),
    ...costs(5, 3 * 5 + 2 * 2),
  },
};

const AGAIN = exampleRows().filter(({ task, model }) => task === "mqar" && model !== "gla")
  .map((row) => ({ ...row, version: "0.2.0", adapter: "another" }));
const MQAR = exampleRows().filter(({ task }) => task === "mqar");

const TWO: Example = {
  runs: [run("before", MQAR), run("after", AGAIN)],
  pictures: {
    "recall-state": { points: 9, intervals: 9 },
    "accuracy-mqar": { curves: 9, points: 54, intervals: 9, laws: 2 },
    ...costs(9, 54),
  },
};

Deno.test("the page needs nothing from anywhere, and says what is in it", () =>
  inFolder(async (folder) => {
    const { page, pictures } = await writeReport(folder, SMALL.runs);
    const html = await Deno.readTextFile(page);
    const { document } = parseHTML(html);
    assertEquals(document.querySelectorAll("script, link, img, iframe, object").length, 0);
    assert(!/url\(|@import|https?:\/\/(?!www\.w3\.org)/.test(html));
    for (const model of MODELS) assert(html.includes(model));
    assert(html.includes("Not every model here was asked selective-copying"));
    assert(html.includes("trained at 64") && html.includes("chance"));
    assert(/∝ L\^1\.\d\d/.test(html));
    assert(!html.includes("NaN") && !html.includes("undefined"));
    const depths = (name: string): string[] =>
      [...document.querySelectorAll(`#${name} [aria-label="y-axis tick label"] text`)]
        .map((text) => text.textContent!);
    assertEquals(depths("depth-passkey-gla"), ["0%", "25%", "50%", "75%", "100%"]);
    assertEquals(depths("depth-induction-gla"), ["0–20%", "20–40%", "40–60%", "60–80%", "80–100%"]);
    assertEquals(pictures.length, Object.keys(SMALL.pictures).length);
    for (const picture of pictures) {
      const svg = await Deno.readTextFile(picture);
      const root = parseHTML(svg).document.querySelector("svg")!;
      assertEquals(root.getAttribute("xmlns"), "http://www.w3.org/2000/svg");
      assert(
        root.querySelector("style") && root.querySelector("rect") && root.querySelector("text"),
      );
      assert(html.includes(`href="${picture.slice(folder.length + 1)}"`));
    }
  }));

/** What each picture of a page has, as the browser built it. */
function contentsOf(tab: Tab): Promise<Record<string, Required<Content>>> {
  return tab.evaluate(() => {
    const drawn = (path: Element): boolean => {
      const { width, height } = path.getBoundingClientRect();
      return width > 0.5 || height > 0.5;
    };
    const count = (figure: Element, selector: string): number =>
      [...figure.querySelectorAll(selector)].filter(drawn).length;
    return Object.fromEntries(
      [...document.querySelectorAll("figure")].map((figure) => [figure.id, {
        curves: count(figure, '[aria-description="curve"] path'),
        points: count(figure, '[aria-description="point"] > *'),
        laws: count(figure, '[aria-description="window law"] path'),
        intervals: count(figure, '[aria-description="interval"] > *'),
        fields: count(figure, '[aria-label="cell"] rect'),
      }]),
    );
  });
}

/** Texts in pictures that lie on one another or are cut off, in words. */
function unreadable(tab: Tab): Promise<string[]> {
  return tab.evaluate(() => {
    const complaints: string[] = [];
    for (const figure of document.querySelectorAll("figure")) {
      const frame = figure.querySelector("svg")!.getBoundingClientRect();
      const texts = [...figure.querySelectorAll("svg text")].map((text) => ({
        text: text.textContent,
        rect: text.getBoundingClientRect(),
      }));
      for (const [i, { text, rect }] of texts.entries()) {
        if (
          rect.left < frame.left - 1 || rect.right > frame.right + 1 ||
          rect.top < frame.top - 1 || rect.bottom > frame.bottom + 1
        ) complaints.push(`${figure.id}: ${text} is cut off`);
        for (const other of texts.slice(i + 1)) {
          const across = Math.min(rect.right, other.rect.right) -
            Math.max(rect.left, other.rect.left);
          const down = Math.min(rect.bottom, other.rect.bottom) -
            Math.max(rect.top, other.rect.top);
          // A line's box is higher than its letters.
          if (across > 0.5 && down > 0.35 * Math.min(rect.height, other.rect.height)) {
            complaints.push(`${figure.id}: ${text} lies on ${other.text}`);
          }
        }
      }
    }
    return complaints;
  });
}

/** Which of the colours that the page's curves have are seen on a screenshot. */
function coloursSeen(tab: Tab, png: Uint8Array): Promise<Record<string, number>> {
  return tab.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d")!;
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    const strokes = new Set(
      [...document.querySelectorAll('[aria-description="curve"]')]
        .map((curve) => getComputedStyle(curve).stroke),
    );
    const seen = Object.fromEntries([...strokes].map((stroke) => [stroke, 0]));
    for (let i = 0; i < data.length; i += 4) {
      const colour = `rgb(${data[i]}, ${data[i + 1]}, ${data[i + 2]})`;
      if (colour in seen) seen[colour]++;
    }
    return seen;
  }, png.toBase64());
}

Deno.test("Chromium shows every curve and field, readable on a desk and on a phone", () =>
  inFolder(async (folder) => {
    await using browser = await Chromium.start();
    await Deno.mkdir(SCREENSHOTS, { recursive: true });
    for (const [name, { runs, pictures }] of Object.entries({ SMALL, RULER, TWO })) {
      const { page } = await writeReport(join(folder, name), runs);
      for (const width of [1200, 390]) {
        const tab = await browser.open(page, { width, height: 900, mobile: width < 600 });
        const nothing = { curves: 0, points: 0, laws: 0, intervals: 0, fields: 0 };
        assertEquals(
          await contentsOf(tab),
          Object.fromEntries(
            Object.entries(pictures).map(([picture, content]) => [picture, {
              ...nothing,
              ...content,
            }]),
          ),
        );
        assertEquals(await unreadable(tab), [], `${name} at ${width}`);
        const [wide, inner] = await tab.evaluate(() => [
          document.documentElement.scrollWidth,
          globalThis.innerWidth,
        ]);
        assertEquals([wide, inner], [width, width], `${name} scrolls sideways`);
        const png = await tab.screenshot();
        await Deno.writeFile(join(SCREENSHOTS, `${name.toLowerCase()}-${width}.png`), png);
        for (const [colour, pixels] of Object.entries(await coloursSeen(tab, png))) {
          assert(pixels > 200, `${name} at ${width}: ${colour} has ${pixels} pixels`);
        }
        assertEquals(tab.complaints, []);
        assertEquals(tab.requests.length, 1);
        await tab.close();
      }
    }
  }));

Deno.test("Chromium shows a dark page to who prefers one, prints a white one, and shows the pictures' own files", () =>
  inFolder(async (folder) => {
    await using browser = await Chromium.start();
    const { page, pictures } = await writeReport(folder, TWO.runs);
    const screen = { width: 1200, height: 900 };
    const paper = (tab: Tab): Promise<string> =>
      tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assertEquals(await paper(await browser.open(page, screen)), "rgb(255, 255, 255)");
    const dark = await browser.open(page, { ...screen, scheme: "dark" });
    assertEquals(await paper(dark), "rgb(20, 23, 26)");
    const printed = await browser.open(page, { ...screen, scheme: "dark", medium: "print" });
    assertEquals(await paper(printed), "rgb(255, 255, 255)");
    for (const picture of pictures) {
      const tab = await browser.open(picture, screen);
      const [root, texts, broken] = await tab.evaluate(() => [
        document.documentElement.localName,
        document.querySelectorAll("text").length,
        document.querySelectorAll("parsererror").length,
      ]);
      assertEquals([root, broken], ["svg", 0]);
      assert(Number(texts) > 5);
      assertEquals(tab.complaints, []);
      await tab.close();
    }
  }));

Deno.test("a sweep of one cell, of one model without intervals, or of names with < and & works", () =>
  inFolder(async (folder) => {
    const [row] = SMALL.runs[0].rows;
    const one = await writeReport(join(folder, "one"), [{ name: "one", rows: [row] }]);
    const text = SMALL.runs[0].rows.filter(({ model }) => model === "gla")
      .map(({ ci_low: _, ci_high: __, ...rest }): Row => ({ ...rest, model: "a<b & c" }));
    const two = await writeReport(join(folder, "two"), [{ name: "<two>", rows: text }]);
    const html = await Deno.readTextFile(two.page);
    assert(html.includes("a&lt;b &amp; c") && !html.includes("a<b"));
    assert(html.includes("“&lt;two&gt;”"));
    assert(!html.includes("NaN"));
    await using browser = await Chromium.start();
    for (const { page } of [one, two]) {
      const tab = await browser.open(page, { width: 1200, height: 900 });
      assertEquals(tab.complaints, []);
      assertEquals(await unreadable(tab), []);
      const contents = Object.values(await contentsOf(tab));
      assert(contents.length > 0);
      assert(contents.every(({ points, fields }) => points + fields > 0));
    }
    for (const picture of two.pictures) {
      const tab = await browser.open(picture, { width: 1200, height: 900 });
      assertEquals(await tab.evaluate(() => document.querySelectorAll("parsererror").length), 0);
      await tab.close();
    }
  }));

Deno.test("a model has the same colour in every picture, and its own", () => {
  const colours = new Map<string, Set<string>>();
  for (const { svg } of makePictures(joinRuns(SMALL.runs))) {
    for (const item of parseHTML(svg).document.querySelectorAll('[aria-label="legend"]')) {
      const [model] = item.querySelector("text")!.textContent!.split(/ ∝|’s/);
      const colour = item.querySelector("line")!.getAttribute("stroke")!;
      colours.set(model, (colours.get(model) ?? new Set()).add(colour));
    }
  }
  assertEquals(new Set(colours.keys()), new Set(MODELS));
  assert([...colours.values()].every(({ size }) => size === 1));
  assertEquals(new Set([...colours.values()].flatMap((set) => [...set])).size, 5);
});
