import { initWasm, Resvg } from "@resvg/resvg-wasm";
import { type Fonts, loadFonts } from "./fonts/mod.ts";

/** Pixels for each unit of a picture: sharp on a screen of twice the usual density, and in print. */
const SCALE = 3;

let fonts: Promise<Fonts> | undefined;

/** A stand-alone SVG picture as PNG, in the fonts that it names. */
export async function renderPng(svg: string): Promise<Uint8Array> {
  const { regular, bold } = await (fonts ??= start());
  const picture = new Resvg(svg, {
    fitTo: { mode: "zoom", value: SCALE },
    font: {
      fontBuffers: [regular, bold],
      defaultFontFamily: "DejaVu Sans",
      sansSerifFamily: "DejaVu Sans",
    },
  });
  const image = picture.render();
  try {
    return image.asPng();
  } finally {
    image.free();
    picture.free();
  }
}

async function start(): Promise<Fonts> {
  const [found] = await Promise.all([
    loadFonts(),
    initWasm(fetch(import.meta.resolve("@resvg/resvg-wasm/index_bg.wasm"))),
  ]);
  return found;
}
