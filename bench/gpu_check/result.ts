/**
 * What the check of an adapter found, and how it is written.
 *
 * @module
 */

/** What a line of the table says, by column: a number, or text. */
export type Line = Readonly<Record<string, string | number>>;

/** A part of the check. */
export interface Part {
  /** Its heading. */
  readonly title: string;
  /** What is to be known of it: what was left out, or made smaller, and why. */
  readonly notes: string[];
  /** Its table. */
  readonly lines: Line[];
}

/** A new part. */
export function part(title: string): Part {
  return { title, notes: [], lines: [] };
}

/** Time that the parts of the check share. */
export class Budget {
  readonly #end: number;

  /** So many milliseconds from now on. */
  constructor(milliseconds: number) {
    this.#end = performance.now() + milliseconds;
  }

  /** Milliseconds that are left. */
  get left(): number {
    return Math.max(0, this.#end - performance.now());
  }

  /** A share of what is left. */
  share(fraction: number): Budget {
    return new Budget(fraction * this.left);
  }
}

/** Three digits. */
export function figure(value: number): number {
  return Number(value.toPrecision(3));
}

/** A share of a ceiling, in words. */
export function percent(share: number): string {
  return `${(100 * share).toPrecision(2)}%`;
}

/** The check as one Markdown page. */
export function markdown(title: string, parts: readonly Part[]): string {
  const sections = parts.map(({ title, notes, lines }) => {
    const columns = [...new Set(lines.flatMap((line) => Object.keys(line)))];
    const rows = lines.map((line) => columns.map((column) => `${line[column] ?? ""}`));
    const rule = columns.map((column) =>
      lines.every((line) => typeof (line[column] ?? 0) === "number") ? "--:" : ":--"
    );
    const table = columns.length === 0
      ? ""
      : [columns, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
    const list = notes.map((note) => `- ${note}`).join("\n");
    return [`## ${title}`, list, table].filter((each) => each !== "")
      .join("\n\n");
  });
  return `${[`# ${title}`, ...sections].join("\n\n")}\n`;
}
