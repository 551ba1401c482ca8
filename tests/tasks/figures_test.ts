import { assert, assertEquals } from "@std/assert";
import { PDFiumLibrary } from "@hyzyla/pdfium";
import { join } from "@std/path";
import { writeReport } from "../../tasks/mod.ts";
import { renderPng } from "../../tasks/report/png.ts";
import { makePictures, standAlone } from "../../tasks/report/pictures.ts";
import { joinRuns } from "../../tasks/report/runs.ts";
import { Chromium, type Tab } from "./chromium.ts";
import { gridRows } from "./example_ruler.ts";
import { exampleRows } from "./example_rows.ts";
import { trainingRows } from "./example_trainings.ts";
import { inFolder } from "../testing.ts";

const RUNS = [
  { name: "small", rows: exampleRows() },
  { name: "formats", rows: gridRows() },
  { name: "trainings", rows: trainingRows() },
];

/** A picture as another renderer drew it: a PNG, or pixels of so many columns. */
interface Drawn {
  readonly bytes: string;
  /** Columns of RGBA pixels, where it is not a PNG. */
  readonly columns?: number;
}

/**
 * How much two pictures differ, Chromium drawing the SVG: the share of spots of 4 × 4 units whose
 * colours are apart by more than a sixth. Edges of letters fall differently; a line, a field or a
 * text that is missing or of another colour does not.
 */
function difference(tab: Tab, svg: string, drawn: Drawn): Promise<number> {
  return tab.evaluate(async ({ svg, drawn }) => {
    const SPOT = 4;
    const image = new Image();
    image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    await image.decode();
    const bytes = Uint8Array.from(atob(drawn.bytes), (letter) => letter.charCodeAt(0));
    const other = drawn.columns === undefined
      ? await createImageBitmap(new Blob([bytes], { type: "image/png" }))
      : await createImageBitmap(new ImageData(new Uint8ClampedArray(bytes), drawn.columns));
    const [width, height] = [image.width, image.height].map((size) => Math.floor(size / SPOT));
    const spots = (source: CanvasImageSource): Uint8ClampedArray => {
      const whole = new OffscreenCanvas(width * SPOT, height * SPOT).getContext("2d")!;
      whole.fillStyle = "white";
      whole.fillRect(0, 0, width * SPOT, height * SPOT);
      whole.imageSmoothingQuality = "high";
      whole.drawImage(source, 0, 0, image.width, image.height);
      const { data } = whole.getImageData(0, 0, width * SPOT, height * SPOT);
      const means = new Uint8ClampedArray(width * height * 3);
      for (let i = 0; i < means.length; i++) {
        const [spot, channel] = [Math.floor(i / 3), i % 3];
        const [x, y] = [spot % width * SPOT, Math.floor(spot / width) * SPOT];
        let sum = 0;
        for (let pixel = 0; pixel < SPOT * SPOT; pixel++) {
          const at = (y + Math.floor(pixel / SPOT)) * width * SPOT + x + pixel % SPOT;
          sum += data[4 * at + channel];
        }
        means[i] = sum / SPOT ** 2;
      }
      return means;
    };
    const [ours, theirs] = [spots(image), spots(other)];
    let apart = 0;
    for (let spot = 0; spot < width * height; spot++) {
      const channels = [0, 1, 2].map((channel) =>
        Math.abs(ours[3 * spot + channel] - theirs[3 * spot + channel])
      );
      if (Math.max(...channels) > 255 / 6) apart++;
    }
    return apart / (width * height);
  }, { svg, drawn });
}

/** Two renderers may differ at so many spots. */
const ALIKE = 0.004;

Deno.test("each picture is the same as SVG in Chromium, as PNG and as PDF", () =>
  inFolder(async (folder) => {
    await using browser = await Chromium.start();
    const { page, pictures } = await writeReport(folder, RUNS);
    const tab = await browser.open(page, { width: 600, height: 600 });
    const pdfium = await PDFiumLibrary.init();
    const differing: string[] = [];
    for (const file of pictures) {
      const name = file.replace(/\.svg$/, "");
      const svg = await Deno.readTextFile(file);
      assert(!svg.includes("var("), `${name} names variables of a page`);
      const png = await difference(tab, svg, {
        bytes: (await Deno.readFile(`${name}.png`)).toBase64(),
      });
      const document = await pdfium.loadDocument(await Deno.readFile(`${name}.pdf`));
      assertEquals(document.getPageCount(), 1);
      const { data, width } = await document.getPage(0).render({
        scale: 2,
        render: "bitmap",
        colorSpace: "BGRA",
      });
      document.destroy();
      const pdf = await difference(tab, svg, { bytes: data.toBase64(), columns: width });
      if (Math.max(png, pdf) > ALIKE) differing.push(`${name}: png ${png}, pdf ${pdf}`);
    }
    pdfium.destroy();
    assertEquals(differing, []);
  }));

Deno.test("a picture that keeps a page's variables is not the same in another renderer", async () => {
  await using browser = await Chromium.start();
  const [picture] = makePictures(joinRuns([RUNS[0]]));
  const svg = standAlone(picture);
  const themed = svg.replaceAll("#0072b2", "var(--series-0)");
  assert(themed !== svg);
  const blank = await Deno.makeTempFile({ suffix: ".html" });
  const tab = await browser.open(blank, { width: 600, height: 600 });
  const png = await renderPng(themed);
  assert(await difference(tab, svg, { bytes: png.toBase64() }) > ALIKE);
  await Deno.remove(blank);
});

Deno.test("PDFs hold their text as text in embedded fonts, and are the same each time", () =>
  inFolder(async (folder) => {
    const files = async (name: string): Promise<Uint8Array[]> => {
      const { pictures } = await writeReport(join(folder, name), [RUNS[2]], { files: ["pdf"] });
      return await Promise.all(
        pictures.map((file) => Deno.readFile(file.replace(/\.svg$/, ".pdf"))),
      );
    };
    const [once, again] = [await files("a"), await files("b")];
    assertEquals(once, again);
    for (const pdf of once) {
      const source = new TextDecoder("latin1").decode(pdf);
      assert(/\/FontFile2 /.test(source) && /\/ToUnicode /.test(source));
      assert(pdf.length < 60_000, `${pdf.length} bytes`);
    }
    const left = await Array.fromAsync(Deno.readDir(join(folder, "a")), ({ name }) => name);
    assert(left.every((name) => !name.endsWith(".png")));
    const html = await Deno.readTextFile(join(folder, "a", "report.html"));
    assert(html.includes('.pdf"') && !html.includes('.png"'));
  }));
