/** A token of a shader's text; blanks and comments lie between tokens. */
export interface Token {
  /** As it is written. */
  readonly text: string;
  /** Where it begins in the text. */
  readonly start: number;
}

/** A text that cannot be read, and where that is in it. */
export class ReadError extends SyntaxError {
  /** Where the token is that cannot be read; undefined at the end of what is read. */
  readonly start: number | undefined;

  /** @param token What cannot be read. */
  constructor(token: Token | undefined, message: string) {
    super(message);
    this.start = token?.start;
  }
}

// Blanks and comments to the line's end, then a token: the beginning of another comment, a name, a
// number, an operator of two characters, any character or the end.
const TOKEN =
  /(?:\s+|\/\/[^\n]*)*(\/\*|[A-Za-z_]\w*|0[xX]\w+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fhiu]?|&&|\|\||[<>=!+\-*/%&|^]=|\+\+|--|->|::|[^]|$)/y;
const NAME = /^[A-Za-z_]\w*$/;

/** The tokens of a text. @throws {ReadError} where a comment does not end. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  for (let token = TOKEN.exec(text)?.[1]; token; token = TOKEN.exec(text)?.[1]) {
    const start = TOKEN.lastIndex - token.length;
    if (token === "/*") TOKEN.lastIndex = pastComment(text, start);
    else tokens.push({ text: token, start });
  }
  return tokens;
}

/** The place past the comment that begins at `start`: in WGSL one may stand inside another. */
function pastComment(text: string, start: number): number {
  let depth = 0;
  for (const mark of text.slice(start).matchAll(/\/\*|\*\//g)) {
    depth += mark[0] === "/*" ? 1 : -1;
    if (depth === 0) return start + mark.index + 2;
  }
  throw new ReadError({ text: "/*", start }, 'there is no "*/" for a "/*"');
}

/** Whether a token is a name or a keyword. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** The line of a place in a text, from 1. */
export function lineOf(text: string, place: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < place; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

const CLOSING: ReadonlyMap<string, string> = new Map([["(", ")"], ["{", "}"], ["[", "]"]]);

/** The index one past the bracket that closes the one at `open`. */
export function pastBracket(tokens: readonly Token[], open: number): number {
  const opening = tokens[open].text;
  const closing = CLOSING.get(opening);
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    if (tokens[at].text === opening) depth++;
    else if (tokens[at].text === closing && --depth === 0) return at + 1;
  }
  throw new ReadError(tokens[open], `there is no "${closing}" for a "${opening}"`);
}

/** The index past the attribute, such as `@binding(1)`, at `at`. */
export function pastAttribute(tokens: readonly Token[], at: number): number {
  const takesMore = tokens[at + 2]?.text === "(" && tokens[at + 1].text !== "else";
  return takesMore ? pastBracket(tokens, at + 2) : at + 2;
}

/** The index past all attributes that begin at `at`. */
export function pastAttributes(tokens: readonly Token[], at: number): number {
  while (tokens[at]?.text === "@") at = pastAttribute(tokens, at);
  return at;
}

const BLOCKS = new Set(["fn", "struct", "for", "while", "loop", "if", "switch", "case", "default"]);

/**
 * The index past what begins at `at`: a declaration, a directive, a statement with its blocks, a
 * member of a struct or a parameter.
 */
export function pastItem(tokens: readonly Token[], at: number): number {
  at = pastAttributes(tokens, at);
  const first = tokens[at]?.text;
  if (first === "{") return pastBracket(tokens, at);
  if (BLOCKS.has(first)) {
    at = pastBlock(tokens, at);
    while (tokens[at]?.text === "else") at = pastBlock(tokens, at);
    return at;
  }
  const isMember = tokens[at + 1]?.text === ":";
  let angles = 0;
  while (at < tokens.length) {
    const { text } = tokens[at];
    if (text === ";") return at + 1;
    if (text === "}" || text === ")") return at;
    if (isMember && text === "," && angles === 0) return at + 1;
    if (text === "<") angles++;
    if (text === ">") angles--;
    at = CLOSING.has(text) ? pastBracket(tokens, at) : at + 1;
  }
  return at;
}

/** The index past the next block in braces. */
function pastBlock(tokens: readonly Token[], at: number): number {
  const first = tokens[at];
  while (at < tokens.length && tokens[at].text !== "{") {
    at = tokens[at].text === "(" ? pastBracket(tokens, at) : at + 1;
  }
  if (at >= tokens.length) throw new ReadError(first, 'there is no "{" where a block must begin');
  return pastBracket(tokens, at);
}

/** What a constant expression is worth. */
export type Value = number | boolean;

const OPERATORS: readonly Readonly<Record<string, (a: Value, b: Value) => Value>>[] = [
  { "||": (a, b) => a || b },
  { "&&": (a, b) => a && b },
  { "==": (a, b) => a === b, "!=": (a, b) => a !== b },
  { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b },
  { "+": (a, b) => Number(a) + Number(b), "-": (a, b) => Number(a) - Number(b) },
  {
    "*": (a, b) => Number(a) * Number(b),
    "/": (a, b) => Math.trunc(Number(a) / Number(b)),
    "%": (a, b) => Number(a) % Number(b),
  },
];

/**
 * The worth of an expression of integers, booleans and names.
 *
 * @param valueOf The worth of a name, which stands at `start`.
 * @throws {ReadError} where it has anything else.
 */
export function evaluate(
  tokens: readonly Token[],
  valueOf: (name: string, start: number) => Value,
): Value {
  let at = 0;
  const operatorOf = (level: number): ((a: Value, b: Value) => Value) | undefined => {
    const text = tokens[at]?.text ?? "";
    return Object.hasOwn(OPERATORS[level], text) ? OPERATORS[level][text] : undefined;
  };
  const binary = (level: number): Value => {
    if (level === OPERATORS.length) return unary();
    let value = binary(level + 1);
    for (let operate = operatorOf(level); operate !== undefined; operate = operatorOf(level)) {
      at++;
      value = operate(value, binary(level + 1));
    }
    return value;
  };
  const unary = (): Value => {
    const token = tokens[at++] ?? { text: "", start: tokens.at(-1)?.start };
    const { text, start } = token;
    if (text === "!") return !unary();
    if (text === "-") return -Number(unary());
    if (text === "(") {
      const value = binary(0);
      if (tokens[at++]?.text !== ")") throw new ReadError(token, 'there is no ")" for a "("');
      return value;
    }
    if (text === "true" || text === "false") return text === "true";
    if (/^\d+[iu]?$|^0[xX][\da-fA-F]+[iu]?$/.test(text)) return Number(text.replace(/[iu]$/, ""));
    if (isName(text)) return valueOf(text, start);
    throw new ReadError(token, `"${text}" is neither an integer nor a name`);
  };
  const value = binary(0);
  if (at < tokens.length) throw new ReadError(tokens[at], `"${tokens[at].text}" is not expected`);
  return value;
}
