/** The fonts that the pictures' files are drawn in, as TrueType. */
export interface Fonts {
  /** DejaVu Sans. */
  readonly regular: Uint8Array;
  /** DejaVu Sans Bold. */
  readonly bold: Uint8Array;
}

/** Reads the fonts. */
export async function loadFonts(): Promise<Fonts> {
  const [regular, bold] = await Promise.all(
    ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf"].map(async (name) =>
      await (await fetch(new URL(name, import.meta.url))).bytes()
    ),
  );
  return { regular, bold };
}
