/** A key or an index into a row. */
export type PropertyAccessor = number | string;

/** A column with a header of its own. */
export type ColumnDetails = {
  header?: string;
  prop: PropertyAccessor | PropertyAccessor[];
};

/** A column: how to find its value in a row. */
export type Column = ColumnDetails | PropertyAccessor | PropertyAccessor[];

/** A row. */
export type DataItem = Readonly<Record<string, unknown> | unknown[]>;

/** Options of {@linkcode stringify}. */
export type StringifyOptions = {
  headers?: boolean;
  separator?: string;
  columns?: readonly Column[];
  bom?: boolean;
};

function field(value: unknown, separator: string): string {
  if (value === undefined || value === null) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const special = text.includes(separator) || text.includes("\n") || text.includes('"');
  return special ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Rows to CSV. Rows that are objects need `columns`. */
export function stringify(data: readonly DataItem[], options: StringifyOptions = {}): string {
  const { headers = true, separator = ",", columns = [], bom = false } = options;
  const paths = columns.map((column) => {
    const prop = typeof column === "object" && !Array.isArray(column) ? column.prop : column;
    const path = Array.isArray(prop) ? prop : [prop];
    const own = typeof column === "object" && !Array.isArray(column) ? column.header : undefined;
    return { header: own ?? String(path.at(-1)), path };
  });
  const rows: unknown[][] = headers && paths.length > 0 ? [paths.map(({ header }) => header)] : [];
  for (const item of data) {
    if (paths.length === 0 && !Array.isArray(item)) {
      throw new TypeError("No property accessor function was provided for object");
    }
    rows.push(
      paths.length === 0 ? item as unknown[] : paths.map(({ path }) =>
        path.reduce<unknown>(
          (value, key) => (value as Record<PropertyAccessor, unknown> | undefined)?.[key],
          item,
        )
      ),
    );
  }
  const lines = rows.map((row) => row.map((x) => field(x, separator)).join(separator) + "\r\n");
  return (bom ? "\ufeff" : "") + lines.join("");
}
