import {
  isName,
  lineOf,
  pastAttribute,
  pastAttributes,
  pastItem,
  ReadError,
  type Token,
  tokensOf,
} from "./syntax.ts";

/** What `@if(…)` in front of something asks: each of `not` to be false, and then `test` true. */
export interface Condition {
  /** The conditions of the `@if` and the `@elif`s that an `@elif` or `@else` follows. */
  readonly not: readonly (readonly Token[])[];
  /** Its own; none for `@else`. */
  readonly test?: readonly Token[];
}

/** What a module declares, from the tokens `begin` to `end`. */
export interface Declaration {
  /** What it is: `fn`, `struct`, `var`, `const`, `alias`, `override`, `const_assert`. */
  readonly keyword: string;
  /** Its name; of a `const_assert`, one that nothing can be called by. */
  readonly name: string;
  /** Its first token. */
  readonly begin: number;
  /** One past its last. */
  readonly end: number;
  /** When it is there; left out, always. */
  readonly condition?: Condition;
  /** Whether the host may give it another value when it links: `@link`. */
  readonly linked: boolean;
}

/** A name that a module takes from another. */
export interface Import {
  /** The other module, as `family/name`. */
  readonly module: string;
  /** The name, there and here. */
  readonly name: string;
  /** When it is taken; left out, always. */
  readonly condition?: Condition;
  /** Where it is written in the text. */
  readonly start: number;
}

/** `enable subgroups;` and its like. */
export interface Directive {
  /** As it is written. */
  readonly text: string;
  /** When it holds; left out, always. */
  readonly condition?: Condition;
}

/** A shader file, parsed. */
export interface Module {
  /** `family/name`. */
  readonly path: string;
  /** Its text. */
  readonly text: string;
  /** Its tokens. */
  readonly tokens: readonly Token[];
  /** What it imports. */
  readonly imports: readonly Import[];
  /** Its directives. */
  readonly directives: readonly Directive[];
  /** What it declares, in the order of the file. */
  readonly declarations: readonly Declaration[];
  /** Names in its `@if`s, and where each is first. */
  readonly conditions: ReadonlyMap<string, number>;
}

/** An error in a shader's text, with the file and the line that a person wrote. */
export class LinkError extends Error {
  /** The error's name. */
  override readonly name = "LinkError";

  /** @param start Where in the text. */
  constructor({ path, text }: Pick<Module, "path" | "text">, start: number, message: string) {
    super(`${path}.wgsl:${lineOf(text, start)}: ${message}`);
  }
}

/** What `read` gives; what it cannot read is an error with the file and the line. */
export function reading<Result>(
  module: Pick<Module, "path" | "text">,
  start: number,
  read: () => Result,
): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ReadError)) throw error;
    throw new LinkError(module, error.start ?? start, error.message);
  }
}

const DIRECTIVES = new Set(["enable", "requires", "diagnostic"]);

/** Parses a shader file. @throws {LinkError} where its imports or its attributes cannot be read. */
export function parseModule(path: string, text: string): Module {
  return reading({ path, text }, 0, () => readModule(path, text));
}

function readModule(path: string, text: string): Module {
  const tokens = tokensOf(text);
  const imports: Import[] = [];
  const directives: Directive[] = [];
  const declarations: Declaration[] = [];
  let at = 0;
  let chain: readonly Token[][] = [];
  while (at < tokens.length) {
    if (tokens[at].text === ";") {
      at++;
      continue;
    }
    const attribute = readCondition(tokens, at, chain);
    const begin = attribute?.end ?? at;
    chain = attribute?.chain ?? [];
    const condition = attribute?.condition;
    at = pastItem(tokens, begin);
    const keyword = pastAttributes(tokens, begin);
    const word = tokens[keyword].text;
    if (word === "import") {
      imports.push(...readImport(tokens.slice(keyword, at), condition));
    } else if (DIRECTIVES.has(word)) {
      directives.push({
        text: text.slice(tokens[begin].start, tokens[at - 1].start + 1),
        condition,
      });
    } else {
      const name = word === "var" && tokens[keyword + 1]?.text === "<"
        ? tokens.findIndex(({ text }, index) => index > keyword && text === ">") + 1
        : keyword + 1;
      if (!isName(word) || word !== "const_assert" && !isName(tokens[name]?.text ?? "")) {
        throw new ReadError(tokens[keyword], `"${word}" begins no declaration`);
      }
      declarations.push({
        keyword: word,
        name: word === "const_assert" ? `const_assert ${path}:${begin}` : tokens[name].text,
        begin,
        end: at,
        condition,
        linked: tokens.slice(begin, keyword).some(({ text }) => text === "link"),
      });
    }
  }
  return { path, text, tokens, imports, directives, declarations, conditions: namesIn(tokens) };
}

/**
 * The `@if(…)`, `@elif(…)` or `@else` at a token, if there is one; `chain` is what the conditions
 * before it in the same chain are.
 */
export function readCondition(
  tokens: readonly Token[],
  at: number,
  chain: readonly (readonly Token[])[],
): { condition: Condition; chain: Token[][]; end: number } | undefined {
  if (tokens[at]?.text !== "@") return undefined;
  const word = tokens[at + 1]?.text;
  if (word !== "if" && word !== "elif" && word !== "else") return undefined;
  checkPlace(tokens, at);
  if (word !== "if" && chain.length === 0) {
    throw new ReadError(tokens[at], `@${word} follows no @if`);
  }
  const not = word === "if" ? [] : chain;
  const end = pastAttribute(tokens, at);
  const test = word === "else" ? undefined : tokens.slice(at + 3, end - 1);
  return {
    condition: { not, test },
    chain: test === undefined ? [] : [...not.map((condition) => [...condition]), test],
    end,
  };
}

/** A condition before an argument, or any other piece of an expression, would take the rest with it. */
function checkPlace(tokens: readonly Token[], at: number): void {
  const before = tokens[at - 1]?.text;
  const isList = before === "(" || before === ",";
  const isMember = tokens[pastAttributes(tokens, at) + 1]?.text === ":";
  const isItem = before === undefined || "{};:)".includes(before) || tokens[at - 2]?.text === "@";
  if (isList ? !isMember : !isItem) {
    throw new ReadError(
      tokens[at],
      `@${
        tokens[at + 1].text
      } stands before a declaration, a member, a parameter or a statement, not inside an expression`,
    );
  }
}

/** Names in the conditions of a text, and where each is first. */
function namesIn(tokens: readonly Token[]): Map<string, number> {
  const names = new Map<string, number>();
  tokens.forEach(({ text }, at) => {
    if ((text !== "if" && text !== "elif") || tokens[at - 1]?.text !== "@") return;
    for (let inside = at + 2, depth = 1; depth > 0 && inside < tokens.length; inside++) {
      const token = tokens[inside];
      if (token.text === "(") depth++;
      else if (token.text === ")") depth--;
      else if (isName(token.text) && token.text !== "true" && token.text !== "false") {
        if (!names.has(token.text)) names.set(token.text, token.start);
      }
    }
  });
  return names;
}

/** `import package::family::module::{a, b};` or the same with one name. */
function readImport(tokens: readonly Token[], condition: Condition | undefined): Import[] {
  const words = tokens.map(({ text }) => text).join(" ");
  const [, family, module, name, list] =
    /^import package :: (\w+) :: (\w+) :: (?:(\w+)|{ (\w+(?: , \w+)*)(?: ,)? }) ;$/.exec(words) ??
      [];
  const names = name === undefined ? list?.split(" , ") ?? [] : [name];
  if (names.length === 0 || !names.every(isName)) {
    throw new ReadError(
      tokens[0],
      "an import is written import package::family::module::name; or …::{name, name};",
    );
  }
  return names.map((name) => ({
    module: `${family}/${module}`,
    name,
    condition,
    start: tokens[0].start,
  }));
}
