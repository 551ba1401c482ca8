/** Units of tokens: powers of two, as lengths are. */
const TOKEN_UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20 };
/** Units of bytes: `GB` is 10⁹, `GiB` 2³⁰. */
const BYTE_UNITS: readonly string[] = ["", "k", "m", "g", "t"];

/** How tokens are typed: `512`, `4k`, `1m`. */
export const TOKENS_TEXT = /^\d+[km]?$/i;

/** Tokens as they are typed, `512`, `4k` or `1m`; undefined for anything else. */
export function parseTokens(text: string): number | undefined {
  if (!TOKENS_TEXT.test(text)) return undefined;
  const tokens = Number.parseInt(text) * TOKEN_UNITS[text.replace(/^\d+/, "").toLowerCase()];
  return tokens > 0 && tokens < 2 ** 31 ? tokens : undefined;
}

/** Bytes as they are typed, `8GB`, `512MiB` or `80e9`; undefined for anything else. */
export function parseBytes(text: string): number | undefined {
  const match = /^([\d.]+(?:e\d+)?) ?([kmgt]?)(i?)b?$/i.exec(text);
  if (match === null) return undefined;
  const [, number, unit, binary] = match;
  if (binary !== "" && unit === "") return undefined;
  const bytes = Number(number) *
    (binary === "" ? 1000 : 1024) ** BYTE_UNITS.indexOf(unit.toLowerCase());
  return Number.isFinite(bytes) && bytes > 0 ? bytes : undefined;
}
