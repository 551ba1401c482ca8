import type { Draws } from "./draws.ts";

/** Bytes with a few mistakes: flipped, cut, doubled, taken from elsewhere, or with another number in them. */
export function mutateBytes(bytes: Uint8Array, draws: Draws): Uint8Array<ArrayBuffer> {
  let mutated = Uint8Array.from(bytes);
  const count = draws.note("mistakes", draws.chance(0.7) ? 1 : draws.integer(2, 8));
  for (let i = 0; i < count; i++) mutated = mutateOnce(mutated, draws);
  return mutated;
}

function mutateOnce(bytes: Uint8Array<ArrayBuffer>, draws: Draws): Uint8Array<ArrayBuffer> {
  if (bytes.length === 0) return Uint8Array.of(draws.integer(0, 255));
  // Headers stand at the ends: half of the mistakes are there.
  const reach = Math.min(bytes.length - 1, draws.chance(0.5) ? 400 : bytes.length - 1);
  const at = draws.chance(0.7)
    ? draws.integer(0, reach)
    : bytes.length - 1 - draws.integer(0, reach);
  const length = Math.min(bytes.length - at, draws.choose([1, 1, 2, 4, 8, 64, bytes.length]));
  const part = bytes.slice(at, at + length);
  const spliced = (...middle: Uint8Array[]): Uint8Array<ArrayBuffer> => {
    const parts = [bytes.subarray(0, at), ...middle, bytes.subarray(at + length)];
    const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let position = 0;
    for (const each of parts) {
      joined.set(each, position);
      position += each.length;
    }
    return joined;
  };
  switch (draws.option("mistake", ["flip", "set", "cut", "end", "double", "move", "number"])) {
    case "set":
      bytes[at] = draws.choose([0, 1, 0x7f, 0x80, 0xff, draws.integer(0, 255)]);
      return bytes;
    case "cut":
      return spliced();
    case "end":
      return bytes.slice(0, at);
    case "double":
      return spliced(part, part.slice(0, 4096));
    case "move": {
      const from = draws.integer(0, bytes.length - length);
      bytes.copyWithin(at, from, from + length);
      return bytes;
    }
    case "number": {
      const value = draws.choose([
        0n,
        1n,
        0xffn,
        0xffffn,
        0x7fffffffn,
        0xffffffffn,
        2n ** 63n - 1n,
      ]);
      const little = Uint8Array.from(
        { length: 8 },
        (_, i) => Number(value >> BigInt(8 * i) & 255n),
      );
      bytes.set(little.subarray(0, Math.min(draws.choose([1, 2, 4, 8]), bytes.length - at)), at);
      return bytes;
    }
    default:
      bytes[at] ^= 1 << draws.integer(0, 7);
      return bytes;
  }
}

/** Text with a few mistakes: words of its language put in, left out, or in each other's places. */
export function mutateText(text: string, words: readonly string[], draws: Draws): string {
  let mutated = text;
  const count = draws.note("mistakes", draws.chance(0.7) ? 1 : draws.integer(2, 6));
  for (let i = 0; i < count; i++) {
    const at = draws.integer(0, mutated.length);
    const end = draws.chance(0.5) ? at : at + draws.choose([1, 2, 5, 20]);
    const middle = draws.choose(["", draws.choose(words), mutated.slice(at, end).repeat(2)]);
    mutated = mutated.slice(0, at) + middle + mutated.slice(end);
  }
  return mutated;
}

/** What stands in a file of JSON where something else should. */
const STRANGERS: readonly unknown[] = [
  0,
  -1,
  1.5,
  3,
  1e9,
  1e15,
  1e308,
  -0.5,
  "",
  "8",
  "x".repeat(5000),
  "\u0000\u001b[31m\n",
  "__proto__",
  null,
  true,
  false,
  [],
  {},
  [[[[[]]]]],
  [1, "2", null],
  { "": 1 },
];

/** A value of JSON with a few things replaced, left out, renamed, doubled or made deep. */
export function mutateJson(value: unknown, draws: Draws): unknown {
  const mutated = structuredClone(value);
  const count = draws.note("mistakes", draws.chance(0.7) ? 1 : draws.integer(2, 4));
  for (let i = 0; i < count; i++) {
    const places = placesIn(mutated);
    if (places.length === 0) return draws.choose(STRANGERS);
    const [holder, key] = draws.choose(places);
    draws.note(`place ${i}`, key);
    const slot = holder as Record<string, unknown>;
    switch (
      draws.option(`mistake ${i}`, ["stranger", "stranger", "leave out", "rename", "other", "deep"])
    ) {
      case "stranger":
        slot[key] = draws.note(`value ${i}`, structuredClone(draws.choose(STRANGERS)));
        break;
      case "leave out":
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else delete slot[key];
        break;
      case "rename":
        if (Array.isArray(holder)) break;
        slot[draws.choose(["__proto__", "constructor", key.toUpperCase(), ""])] = slot[key];
        delete slot[key];
        break;
      case "other": {
        const [from, other] = draws.choose(places);
        slot[key] = structuredClone((from as Record<string, unknown>)[other]);
        break;
      }
      case "deep": {
        let deep = slot[key];
        for (let depth = draws.choose([1, 3, 500]); depth > 0; depth--) deep = [deep];
        slot[key] = deep;
        break;
      }
    }
  }
  return mutated;
}

/** Every place of a value that holds another: few of each list, so that long ones do not hide the rest. */
function placesIn(value: unknown): [holder: object, key: string][] {
  const places: [object, string][] = [];
  const walk = (holder: unknown, depth: number): void => {
    if (typeof holder !== "object" || holder === null || depth > 20) return;
    for (const key of Object.keys(holder).slice(0, 40)) {
      places.push([holder, key]);
      walk((holder as Record<string, unknown>)[key], depth + 1);
    }
  };
  walk(value, 0);
  return places;
}
