const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

/** A text as it stands in HTML. */
export function escape(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character]);
}

/** Words as a list: "a, b and c". */
export function listOf(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** A column of a table. */
export interface Column<Item> {
  /** Its head. */
  readonly head: string;
  /** Its cell for an item, as HTML. */
  readonly cell: (item: Item) => string;
  /** Whether it holds text, which begins at the left; `long` where it may break into lines. */
  readonly text?: "short" | "long";
}

/** A table of more columns is set smaller, so that it is no wider than a desk's page. */
const MANY_COLUMNS = 12;
/** More cards than these stand side by side on a phone. */
const MANY_CARDS = 8;

/**
 * A table that scrolls inside itself where it is wider than the page.
 *
 * @param options.cards Whether it is one of words, whose cells break into lines and whose rows are cards
 * on a phone. @default false
 */
export function table<Item>(
  items: readonly Item[],
  columns: readonly Column<Item>[],
  { cards = false }: { readonly cards?: boolean } = {},
): string {
  const attribute = ({ text }: Column<Item>): string =>
    text === undefined ? "" : ` class="${text === "long" ? "text long" : "text"}"`;
  const label = ({ head }: Column<Item>): string => cards ? ` data-head="${escape(head)}"` : "";
  const row = (tag: "th" | "td", content: (column: Column<Item>) => string): string =>
    `<tr>${
      columns.map((column) =>
        `<${tag}${attribute(column)}${tag === "td" ? label(column) : ""}>${
          content(column)
        }</${tag}>`
      ).join("")
    }</tr>`;
  const classes = [
    ...(cards ? ["cards"] : []),
    ...(cards && items.length > MANY_CARDS ? ["side-by-side"] : []),
    ...(columns.length > MANY_COLUMNS ? ["small"] : []),
  ].join(" ");
  return `<div class="scroll" tabindex="0"><table${classes && ` class="${classes}"`}><thead>${
    row("th", ({ head }) => escape(head))
  }</thead><tbody>${
    items.map((item) => row("td", ({ cell }) => cell(item))).join("\n")
  }</tbody></table></div>`;
}
