import "jsr:@std/streams@^1.0.9/text-delimiter-stream";

/** Options of {@linkcode parse}. */
export interface ParseOptions {
  separator?: string;
  comment?: string;
  trimLeadingSpace?: boolean;
  lazyQuotes?: boolean;
  fieldsPerRecord?: number;
  skipFirstRow?: boolean;
  columns?: readonly string[];
}

/** A row by its columns' names. */
export type RecordWithColumn<C extends string> = string extends C ? Record<string, string>
  : Record<C, string>;

/** Rows of texts; rows by column where `columns` or `skipFirstRow` is given. */
export type ParseResult<T extends ParseOptions> = T extends
  { columns: readonly (infer C extends string)[] } ? RecordWithColumn<C>[]
  : T extends { skipFirstRow: true } ? Record<string, string>[]
  : T extends { columns?: undefined; skipFirstRow?: false | undefined } ? string[][]
  : Record<string, string>[] | string[][];

function rowsOf(input: string, options: ParseOptions): string[][] {
  const { separator = ",", comment, trimLeadingSpace = false } = options;
  const text = input.replace(/^\ufeff/, "");
  const rows: string[][] = [];
  let at = 0;
  while (at < text.length) {
    const eol = text.indexOf("\n", at);
    const line = text.slice(at, eol < 0 ? text.length : eol).replace(/\r$/, "");
    if (line === "" || (comment && line.startsWith(comment))) {
      at = eol < 0 ? text.length : eol + 1;
      continue;
    }
    const row: string[] = [];
    for (let more = true; more;) {
      if (trimLeadingSpace) { while (text[at] === " " || text[at] === "\t") at++; }
      let value = "";
      if (text[at] === '"') {
        for (at++;; at++) {
          if (at >= text.length) {
            throw new SyntaxError(`Syntax error on line ${rows.length + 1}: missing quote`);
          }
          if (text[at] !== '"') value += text[at];
          else if (text[at + 1] === '"') value += text[++at];
          else break;
        }
        at++;
      }
      while (at < text.length && text[at] !== "\n" && !text.startsWith(separator, at)) {
        if (text[at] === '"' && !options.lazyQuotes) {
          throw new SyntaxError(`Syntax error on line ${rows.length + 1}: bare quote`);
        }
        value += text[at++];
      }
      more = text.startsWith(separator, at);
      if (!more) value = value.replace(/\r$/, "");
      at += more ? separator.length : 1;
      row.push(value);
    }
    rows.push(row);
  }
  const fields = options.fieldsPerRecord;
  if (fields !== undefined && fields >= 0) {
    const count = fields || rows[0]?.length;
    const wrong = rows.findIndex((row) => row.length !== count);
    if (wrong >= 0) {
      throw new SyntaxError(
        `Syntax error on line ${wrong + 1}: expected ${count} fields but got ${rows[wrong].length}`,
      );
    }
  }
  return rows;
}

/** CSV to rows of texts. */
export function parse(input: string): string[][];
/** CSV to rows. */
export function parse<const T extends ParseOptions>(input: string, options: T): ParseResult<T>;
export function parse(input: string, options: ParseOptions = {}): unknown {
  const rows = rowsOf(input, options);
  if (!options.skipFirstRow && !options.columns) return rows;
  const first = options.skipFirstRow ? rows.shift() : undefined;
  const names = options.columns ?? first ?? [];
  return rows.map((row, index) => {
    if (row.length !== names.length) {
      throw new Error(
        `Syntax error on line ${index + (first ? 2 : 1)}: The record has ${row.length} fields, ` +
          `but the header has ${names.length} fields`,
      );
    }
    return Object.fromEntries(names.map((name, column) => [name, row[column]]));
  });
}
