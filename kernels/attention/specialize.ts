import { type ElementTypes, type Kernel, kernel, withElements, withSubgroups } from "../gpu/mod.ts";

const CACHE = new Map<string, Kernel>();

/**
 * A kernel whose local arrays have the sizes of a shape. WGSL wants the length of a local array as a
 * `const`, not an `override`, and registers want constant indices, so the text itself is specialized:
 *
 * - `const HEAD: u32 = 16u;` takes the value of `constants.HEAD`;
 * - `for (var d = 0u; d < HEAD; d++) { // unrolled` becomes HEAD blocks `{ const d = 0u; … }`;
 * - `alias Element = f32;` takes the type of `elements.Element`.
 *
 * With `subgroups`, it is marked as one that uses them. The text as it stands is valid WGSL too.
 */
export function specialize(
  label: string,
  source: string,
  constants: Readonly<Record<string, number>>,
  elements: ElementTypes,
  subgroups = false,
): Kernel {
  const key = `${label} ${JSON.stringify([constants, elements, subgroups])}`;
  let specialized = CACHE.get(key);
  if (specialized === undefined) {
    for (const [name, value] of Object.entries(constants)) {
      source = source.replace(
        new RegExp(`^const ${name}: u32 = \\d+u;`, "m"),
        `const ${name}: u32 = ${value}u;`,
      );
    }
    source = withElements(unroll(source), elements);
    specialized = kernel(label, subgroups ? withSubgroups(source) : source);
    CACHE.set(key, specialized);
  }
  return specialized;
}

const LOOP = /for \(var (\w+) = 0u; \1 < (\w+); \1\+\+\) \{ \/\/ unrolled\n/;

function unroll(source: string): string {
  for (let loop = LOOP.exec(source); loop !== null; loop = LOOP.exec(source)) {
    const [header, index, bound] = loop;
    const value = new RegExp(`^const ${bound}: u32 = (\\d+)u;`, "m").exec(source)?.[1];
    if (value === undefined) {
      throw new Error(`Cannot unroll a loop over ${bound} as the source has no such constant`);
    }
    const start = loop.index + header.length;
    const end = closingBrace(source, start);
    const body = source.slice(start, end);
    const bodies = Array.from(
      { length: Number(value) },
      (_, i) => `{ const ${index} = ${i}u;\n${body}}`,
    );
    source = source.slice(0, loop.index) + bodies.join("\n") + source.slice(end + 1);
  }
  return source;
}

/** Where the block whose body begins at `start` closes. */
function closingBrace(source: string, start: number): number {
  let depth = 1;
  let index = start;
  for (; depth > 0; index++) {
    if (source[index] === "{") depth++;
    if (source[index] === "}") depth--;
  }
  return index - 1;
}
