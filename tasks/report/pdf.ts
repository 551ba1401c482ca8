import { parseHTML } from "linkedom";
import PDFDocument from "pdfkit";
import { type Fonts, loadFonts } from "./fonts/mod.ts";

let fonts: Promise<Fonts> | undefined;

/** What of pdfkit a picture takes; units are points, y grows downwards. */
interface Page {
  on(event: "data", listener: (bytes: Uint8Array) => void): void;
  on(event: "end", listener: () => void): void;
  end(): void;
  save(): void;
  restore(): void;
  translate(x: number, y: number): void;
  rotate(degrees: number): void;
  scale(factor: number): void;
  registerFont(name: string, font: Uint8Array): void;
  font(name: string): void;
  fontSize(size: number): void;
  widthOfString(text: string): number;
  text(text: string, x: number, y: number, options: Record<string, unknown>): void;
  path(data: string): void;
  rect(x: number, y: number, width: number, height: number): void;
  circle(x: number, y: number, radius: number): void;
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  lineWidth(width: number): void;
  lineJoin(join: string): void;
  dash(lengths: number[]): void;
  undash(): void;
  opacity(value: number): void;
  fillColor(colour: string, opacity: number): void;
  strokeColor(colour: string, opacity: number): void;
  fill(): void;
  stroke(): void;
}

/**
 * A stand-alone SVG picture as PDF: lines stay lines and text stays text, in fonts that are embedded.
 * It knows the part of SVG that the pictures are made of.
 */
export async function renderPdf(svg: string): Promise<Uint8Array> {
  const { regular, bold } = await (fonts ??= loadFonts());
  const root = parseHTML(svg).document.querySelector("svg")!;
  const [left, top, width, height] = root.getAttribute("viewBox")!.split(" ").map(Number);
  const page = new PDFDocument({
    size: [width, height],
    margin: 0,
    font: regular,
    info: {
      Title: root.getAttribute("aria-label") ?? "",
      Creator: "Lengthwise",
      CreationDate: new Date(0), // the same picture is the same file
    },
  }) as Page;
  page.registerFont("regular", regular);
  page.registerFont("bold", bold);
  const parts: Uint8Array[] = [];
  const ended = new Promise<void>((resolve) => {
    page.on("data", (bytes) => parts.push(bytes));
    page.on("end", resolve);
  });
  page.translate(-left, -top);
  paintChildren(page, root, INITIAL);
  page.end();
  await ended;
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

/** The properties that elements take over from those around them. */
type Style = Readonly<Record<typeof INHERITED[number], string>>;

const INHERITED = [
  "color",
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-opacity",
  "stroke-width",
  "stroke-dasharray",
  "font-size",
  "font-weight",
  "text-anchor",
] as const;

const INITIAL: Style = {
  "color": "#000000",
  "fill": "#000000",
  "fill-opacity": "1",
  "stroke": "none",
  "stroke-opacity": "1",
  "stroke-width": "1",
  "stroke-dasharray": "none",
  "font-size": "12",
  "font-weight": "400",
  "text-anchor": "start",
};

function styleOf(element: Element, around: Style): Style {
  const own = { ...around };
  const declared = new Map(
    (element.getAttribute("style") ?? "").split(";").map((declaration) => {
      const [name, ...value] = declaration.split(":");
      return [name.trim(), value.join(":").trim()];
    }),
  );
  for (const name of INHERITED) {
    const value = declared.get(name) ?? element.getAttribute(name);
    if (value) own[name] = value;
  }
  return own;
}

/** What shows nothing by itself. */
const SILENT = ["title", "desc", "style", "defs"];

function paintChildren(page: Page, parent: Element, around: Style): void {
  const style = styleOf(parent, around);
  for (const child of parent.children) {
    if (SILENT.includes(child.localName)) continue;
    page.save();
    transform(page, child.getAttribute("transform") ?? "");
    const opacity = Number(child.getAttribute("opacity") ?? 1);
    if (opacity < 1) page.opacity(opacity);
    paint(page, child, style);
    page.restore();
  }
}

function transform(page: Page, list: string): void {
  for (const [, name, numbers] of list.matchAll(/(\w+)\(([^)]*)\)/g)) {
    const [x, y = 0] = numbers.split(/[\s,]+/).map(Number);
    if (name === "translate") page.translate(x, y);
    else if (name === "rotate") page.rotate(x);
    else if (name === "scale") page.scale(x);
    else throw new Error(`Cannot draw a picture as PDF as it has a transform ${name}`);
  }
}

function paint(page: Page, element: Element, around: Style): void {
  const style = styleOf(element, around);
  const at = (name: string): number => Number(element.getAttribute(name) ?? 0);
  switch (element.localName) {
    case "g":
    case "svg":
      return paintChildren(page, element, around);
    case "text":
      return paintText(page, element, style);
    case "path": {
      const data = element.getAttribute("d");
      return data ? fillAndStroke(page, style, () => page.path(data)) : undefined;
    }
    case "rect":
      return fillAndStroke(
        page,
        style,
        () => page.rect(at("x"), at("y"), at("width"), at("height")),
      );
    case "circle":
      return fillAndStroke(page, style, () => page.circle(at("cx"), at("cy"), at("r")));
    case "line":
      return fillAndStroke(page, { ...style, fill: "none" }, () => {
        page.moveTo(at("x1"), at("y1"));
        page.lineTo(at("x2"), at("y2"));
      });
    default:
      throw new Error(`Cannot draw a picture as PDF as it has an element ${element.localName}`);
  }
}

function fillAndStroke(page: Page, style: Style, outline: () => void): void {
  if (setFill(page, style)) {
    outline();
    page.fill();
  }
  if (setStroke(page, style)) {
    outline();
    page.stroke();
  }
}

function colourOf(style: Style, property: "fill" | "stroke"): string | undefined {
  const value = style[property] === "currentColor" ? style.color : style[property];
  if (value === "none" || value === "transparent") return undefined;
  const channels = /^rgb\((\d+), *(\d+), *(\d+)\)$/.exec(value);
  return channels === null ? value : "#" +
    channels.slice(1).map((channel) => Number(channel).toString(16).padStart(2, "0")).join("");
}

/** Sets the colour of what is filled; false where nothing is. */
function setFill(page: Page, style: Style): boolean {
  const colour = colourOf(style, "fill");
  if (colour !== undefined) page.fillColor(colour, Number(style["fill-opacity"]));
  return colour !== undefined;
}

/** Sets the colour and the dashes of lines; false if there are none. */
function setStroke(page: Page, style: Style): boolean {
  const colour = colourOf(style, "stroke");
  const width = Number.parseFloat(style["stroke-width"]);
  if (colour === undefined || width === 0) return false;
  page.strokeColor(colour, Number(style["stroke-opacity"]));
  page.lineWidth(width);
  const dashes = style["stroke-dasharray"];
  if (dashes === "none") page.undash();
  else page.dash(dashes.split(/[\s,]+/).map(Number));
  return true;
}

/** A line of text, or several in `tspan`s; its outline is painted first, so that it reads as a halo. */
function paintText(page: Page, element: Element, style: Style): void {
  const spans = [...element.children].filter(({ localName }) => localName === "tspan");
  let [x, y] = [0, 0];
  for (const line of spans.length === 0 ? [element] : spans) {
    const own = styleOf(line, style);
    const size = Number.parseFloat(own["font-size"]);
    const lengthOf = (value: string | null): number =>
      value === null ? 0 : Number.parseFloat(value) * (value.endsWith("em") ? size : 1);
    if (line.hasAttribute("x")) x = lengthOf(line.getAttribute("x"));
    if (line.hasAttribute("y")) y = lengthOf(line.getAttribute("y"));
    y += lengthOf(line.getAttribute("dy"));
    const text = line.textContent ?? "";
    page.font(
      Number(own["font-weight"]) >= 600 || own["font-weight"] === "bold" ? "bold" : "regular",
    );
    page.fontSize(size);
    const width = page.widthOfString(text);
    const anchor = { start: 0, middle: width / 2, end: width }[own["text-anchor"]] ?? 0;
    const options = { lineBreak: false, baseline: "alphabetic" };
    page.lineJoin("round");
    if (setStroke(page, own)) {
      page.text(text, x - anchor, y, { ...options, stroke: true, fill: false });
    }
    if (setFill(page, own)) page.text(text, x - anchor, y, options);
  }
}
