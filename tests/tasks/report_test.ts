import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { parseHTML } from "linkedom";
import { curvesOf, panels, taskMean } from "../../tasks/report/curves.ts";
import { makePictures } from "../../tasks/report/pictures.ts";
import { bytes, looks, milliseconds, tokens } from "../../tasks/report/theme.ts";
import { writeReport } from "../../tasks/report/write.ts";
import { formatRows, parseRows, type Row } from "../../tasks/mod.ts";
import { exampleRows } from "./example_rows.ts";

/** The rows as a report sees them: through the CSV. */
const ROWS = parseRows(formatRows(exampleRows()), "example");

/** How many curves each picture must have. */
const CURVES: Readonly<Record<string, number>> = {
  "mean": 4,
  "recall-state": 4,
  "accuracy-mqar": 5,
  "accuracy-induction": 5,
  "accuracy-selective-copying": 4,
  "accuracy-passkey": 5,
  "perplexity-text": 5,
  "perplexity-position-text": 5,
  "prefill-ms": 5,
  "step-ms": 5,
  "peak-bytes": 5,
  "state-bytes": 5,
};
const MODELS = ["transformer", "mamba2", "gla", "griffin", "mamba2-attention"];
const HEAT_MAPS = ["induction", "passkey"].flatMap((task) =>
  MODELS.map((model) => `depth-${task}-${model}`)
);

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The figures of a page: how many curves with real points, window laws and fields each has. */
function figuresOf(html: string): Map<string, { curves: number; laws: number; fields: number }> {
  const { document } = parseHTML(html);
  const paths = (figure: Element, description: string): number =>
    [...figure.querySelectorAll(`[aria-description="${description}"] path`)].filter((path) =>
      /^M[\d.,]+(L[\d.,]+){5,}$/.test(path.getAttribute("d") ?? "")
    ).length;
  return new Map(
    [...document.querySelectorAll("figure")].map((figure) => [figure.id, {
      curves: paths(figure as unknown as Element, "curve"),
      laws: paths(figure as unknown as Element, "window law"),
      fields: figure.querySelectorAll('[aria-label="cell"] rect').length,
    }]),
  );
}

function checkFigures(html: string): void {
  const figures = figuresOf(html);
  assertEquals(
    new Set(figures.keys()),
    new Set([...Object.keys(CURVES), ...HEAT_MAPS]),
  );
  for (const [name, curves] of Object.entries(CURVES)) {
    assertEquals([name, figures.get(name)!.curves], [name, curves]);
  }
  for (const name of HEAT_MAPS) assertEquals([name, figures.get(name)!.fields], [name, 30]);
  const depths = (name: string): string[] =>
    [...parseHTML(html).document.querySelectorAll(`#${name} [aria-label="y-axis tick label"] text`)]
      .map((text) => text.textContent!);
  assertEquals(depths("depth-passkey-gla"), ["0%", "25%", "50%", "75%", "100%"]);
  assertEquals(depths("depth-induction-gla"), ["0–20%", "20–40%", "40–60%", "60–80%", "80–100%"]);
  assertEquals(figures.get("accuracy-mqar")!.laws, 1);
  assertEquals(figures.get("accuracy-selective-copying")!.laws, 0);
}

Deno.test("the page has every picture with its curves, and needs nothing from anywhere", () =>
  inFolder(async (folder) => {
    const { page, pictures } = await writeReport(folder, ROWS);
    const html = await Deno.readTextFile(page);
    checkFigures(html);
    const { document } = parseHTML(html);
    assertEquals(document.querySelectorAll("script, link, img, iframe, object").length, 0);
    assert(!/url\(|@import|https?:\/\/(?!www\.w3\.org)/.test(html));
    for (const model of MODELS) assert(html.includes(model));
    assert(html.includes("griffin was not asked all of them"));
    assert(html.includes("trained at 64") && html.includes("chance"));
    assert(/∝ L\^1\.\d\d/.test(html));
    assert(!html.includes("NaN") && !html.includes("undefined"));
    assertEquals(pictures.length, Object.keys(CURVES).length + HEAT_MAPS.length);
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

Deno.test("headless Chromium shows the page without an error, with every curve on it", () =>
  inFolder(async (folder) => {
    const { page } = await writeReport(folder, ROWS);
    const { code, stdout, stderr } = await chromium(folder, page);
    assertEquals(code, 0, stderr);
    checkFigures(stdout);
    assert(!/CONSOLE|Uncaught|net::ERR/.test(stderr), stderr);
    const svg = await chromium(folder, join(folder, "mean.svg"));
    assert(svg.stdout.includes("Mean accuracy over 4 tasks"), svg.stdout.slice(0, 300));
    assert(!/parsererror|error on line/.test(svg.stdout), svg.stdout.slice(0, 300));
  }));

async function chromium(
  folder: string,
  file: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command("chromium", {
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      "--enable-logging=stderr",
      `--user-data-dir=${join(folder, "profile")}`,
      "--dump-dom",
      `file://${file}`,
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("a model has the same colour in every picture, and its own", () => {
  const colours = new Map<string, Set<string>>();
  for (const { svg, section } of makePictures(ROWS)) {
    if (section === "depth") continue;
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

Deno.test("two models of an architecture share its colour and differ in their dashes", () => {
  const two = ["a", "b"].flatMap((family) =>
    ["x", "y"].map((name) => ({ model: `${family}-${name}`, family }))
  );
  const look = looks(two);
  assertEquals(look.get("a-x")!.colour, look.get("a-y")!.colour);
  assert(look.get("a-x")!.colour !== look.get("b-x")!.colour);
  assert(look.get("a-x")!.dashes !== look.get("a-y")!.dashes);
  // Many of one architecture, as where a state size is swept, have colours of their own.
  const many = Array.from({ length: 12 }, (_, i) => ({ model: `m${i}`, family: "a" }));
  const all = [...looks(many).values()].map(({ colour, dashes }) => `${colour} ${dashes}`);
  assertEquals(new Set(all).size, 12);
});

Deno.test("a sweep of one cell, of one model without intervals, or of names with < and & works", () =>
  inFolder(async (folder) => {
    const [row] = ROWS;
    await writeReport(join(folder, "one"), [row]);
    const text = ROWS.filter(({ task, model }) => task === "text" && model === "gla")
      .map(({ ci_low: _, ci_high: __, ...rest }): Row => ({ ...rest, model: "a<b & c" }));
    const { page } = await writeReport(join(folder, "two"), text);
    const html = await Deno.readTextFile(page);
    assert(html.includes("a&lt;b &amp; c") && !html.includes("a<b"));
    assert(!html.includes("NaN"));
    const { code, stdout } = await chromium(folder, join(folder, "two", "perplexity-text.svg"));
    assertEquals(code, 0);
    assert(!/parsererror|error on line/.test(stdout), stdout.slice(0, 300));
    await assertRejects(() => writeReport(folder, []), Error, "there are no results");
  }));

Deno.test("curves pool seeds and depths; loads are panels of their own", () => {
  const passkey = ROWS.filter(({ task }) => task === "passkey");
  const [{ points: [point] }] = curvesOf(passkey, "accuracy");
  assertEquals(point.samples, 32 * 3 * 5);
  const cells = passkey.filter((row) =>
    row.model === "transformer" && row.length === 64 && row.metric === "accuracy"
  );
  const mean = cells.reduce((sum, { value }) => sum + value, 0) / cells.length;
  assert(Math.abs(point.value - mean) < 1e-3);
  assert(point.high - point.low < cells[0].ci_high! - cells[0].ci_low!);
  const loads = ROWS.filter(({ task }) => task === "mqar")
    .flatMap((row) => [row, { ...row, load: 16 }]);
  assertEquals(panels(loads, "accuracy").map(({ title }) => title), [
    "mqar, load 4",
    "mqar, load 16",
  ]);
});

Deno.test("the mean over tasks leaves out who was not asked all of them", () => {
  const { tasks, curves, leftOut } = taskMean(ROWS);
  assertEquals(tasks, ["mqar", "induction", "selective-copying", "passkey"]);
  assertEquals(leftOut, ["griffin"]);
  assertEquals(curves.map(({ model }) => model), MODELS.filter((model) => model !== "griffin"));
});

Deno.test("numbers are short", () => {
  assertEquals([64, 1024, 1536, 1100, 2 ** 20].map(tokens), ["64", "1K", "1.5K", "1100", "1M"]);
  assertEquals([512, 4096, 3 * 2 ** 19].map(bytes), ["512 B", "4 KiB", "1.5 MiB"]);
  assertEquals([0.05, 12.345, 2500, 90_000].map(milliseconds), [
    "50 µs",
    "12.3 ms",
    "2.5 s",
    "1.5 min",
  ]);
});
