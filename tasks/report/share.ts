/** A shape is worth a name of its own from so many letters on. */
const LONG = 24;

/**
 * A page in which what is drawn again and again, the points of curves and the marks of legends, is
 * there once and referred to: a page of many models is half as large.
 */
export function shareShapes(page: string): string {
  const shapes = new Map<string, string>();
  const nameOf = (shape: string): string => {
    const name = shapes.get(shape) ?? `s${shapes.size}`;
    shapes.set(shape, name);
    return name;
  };
  const body = page
    .replaceAll(
      /(<svg viewBox="0 -8 16 16"[^>]*>)(.*?)<\/svg>/g,
      (_, opening, mark) => `${opening}<use href="#${nameOf(`<g>${mark}</g>`)}"/></svg>`,
    )
    .replaceAll(
      /<path d="([^"]+)" transform="translate\(([-\d.]+),([-\d.]+)\)" ?\/>/g,
      (path, shape, x, y) =>
        shape.length < LONG
          ? path
          : `<use href="#${nameOf(`<path d="${shape}"/>`)}" x="${x}" y="${y}"/>`,
    );
  if (shapes.size === 0) return page;
  const named = [...shapes].map(([shape, name]) =>
    shape.replace(/^<\w+/, (tag) => `${tag} id="${name}"`)
  );
  return body.replace(
    "<main>",
    () =>
      `<svg width="0" height="0" class="shapes" aria-hidden="true"><defs>${
        named.join("")
      }</defs></svg>\n<main>`,
  );
}
