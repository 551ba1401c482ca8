/**
 * What stands around needles: parts (sentences, lines) that pieces (words) make up, so that needles
 * go between parts while the whole is as long as is asked, to a piece. The last part may be cut.
 */
export interface Haystack {
  /** What stands between two parts. */
  readonly separator: string;
  /** How many parts so many pieces make, a last one that is cut among them. */
  parts(pieces: number): number;
  /** The parts from one up to another, of a haystack of so many pieces. */
  text(from: number, to: number, pieces: number): string;
}

/** Something that is put into a haystack. */
export interface Insertion {
  /** Its text. */
  readonly text: string;
  /** How many parts stand before it. */
  readonly place: number;
}

/** A haystack with what was put into it. */
export interface Filled {
  /** The whole. */
  readonly text: string;
  /** The first character of each insertion, in the order given. */
  readonly starts: readonly number[];
}

/** Puts insertions between the parts of a haystack; several at one place keep their order. */
export function fill(
  haystack: Haystack,
  pieces: number,
  insertions: readonly Insertion[],
): Filled {
  const order = [...insertions.keys()].sort((a, b) => insertions[a].place - insertions[b].place);
  const starts = new Array<number>(insertions.length);
  let text = "";
  let from = 0;
  const add = (part: string): number => {
    if (text !== "") text += haystack.separator;
    const start = text.length;
    text += part;
    return start;
  };
  for (const index of order) {
    const { place, text: inserted } = insertions[index];
    if (place > from) add(haystack.text(from, place, pieces));
    starts[index] = add(inserted);
    from = place;
  }
  const parts = haystack.parts(pieces);
  if (parts > from) add(haystack.text(from, parts, pieces));
  return { text, starts };
}

const NOISE =
  "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
const NOISE_WORDS = NOISE.split(" ");

/** RULER's noise: a line of five sentences, over and over; a piece is a word. */
export const NOISE_HAYSTACK: Haystack = {
  separator: "\n",
  parts: (pieces) => Math.ceil(pieces / NOISE_WORDS.length),
  text(from, to, pieces): string {
    const lines = new Array<string>(to - from).fill(NOISE);
    const cut = pieces % NOISE_WORDS.length;
    if (to > Math.floor(pieces / NOISE_WORDS.length) && to > from && cut > 0) {
      lines[lines.length - 1] = NOISE_WORDS.slice(0, cut).join(" ");
    }
    return lines.join("\n");
  },
};

/** Lines that are made one after the other, as many as are asked for; a piece ends at a space or hyphen. */
export function linesHaystack(nextLine: () => string): Haystack {
  const lines: string[] = [];
  const ends: number[] = []; // pieces up to and with each line
  const grow = (pieces: number): void => {
    while ((ends.at(-1) ?? 0) < pieces) {
      const line = nextLine();
      lines.push(line);
      ends.push((ends.at(-1) ?? 0) + line.split(PIECE_END).length);
    }
  };
  const parts = (pieces: number): number => {
    grow(pieces);
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ends[middle] >= pieces) high = middle;
      else low = middle + 1;
    }
    return pieces === 0 ? 0 : low + 1;
  };
  return {
    separator: "\n",
    parts,
    text(from, to, pieces): string {
      const chosen = lines.slice(from, to);
      if (chosen.length > 0 && to === parts(pieces)) {
        const before = to < 2 ? 0 : ends[to - 2];
        chosen.push(chosen.pop()!.split(PIECE_END).slice(0, pieces - before).join("").trimEnd());
      }
      return chosen.join("\n");
    },
  };
}

const PIECE_END = /(?<=[ -])/;
