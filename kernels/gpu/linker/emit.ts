import { type Condition, LinkError, type Module, readCondition, reading } from "./module.ts";
import {
  evaluate,
  isName,
  pastAttribute,
  pastBracket,
  pastItem,
  type Token,
  type Value,
} from "./syntax.ts";

/** A piece of linked text, and where it was written: `start` of the module's text. */
export interface Piece {
  /** The text. */
  readonly text: string;
  /** The module that it comes from. */
  readonly module: Module;
  /** Where it begins there. */
  readonly start: number;
}

/** A declaration, written out. */
export interface Emitted {
  /** Its text. */
  readonly pieces: Piece[];
  /** The names that it uses, and where each is first. */
  readonly names: ReadonlyMap<string, number>;
  /** The names that it declares inside: variables, parameters, members. */
  readonly locals: ReadonlySet<string>;
}

/** What the emission of a declaration asks of the linker. */
export interface Context {
  /** Whether something under `@if` is there. */
  readonly holds: (condition: Condition, module: Module) => boolean;
  /** The worth of a constant of the module, for the bounds of an unrolled loop. */
  readonly valueOf: (name: string, module: Module, start: number) => Value;
}

const LOCAL = new Set(["let", "var", "const"]);

/** Passes that an unrolled loop may have: more is a mistake, or longer than any compiler should get. */
const MOST_PASSES = 256;

/** Writes out the declarations of one module: what is under a false `@if` left out, loops unrolled. */
export class Emitter {
  readonly #module: Module;
  readonly #context: Context;
  readonly #indices = new Map<string, number>();
  #pieces: Piece[] = [];
  #names = new Map<string, number>();
  #locals = new Set<string>();

  /** Nothing is written yet. */
  constructor(module: Module, context: Context) {
    this.#module = module;
    this.#context = context;
  }

  /** The text of the tokens `begin` to `end`. */
  emit(begin: number, end: number): Emitted {
    this.#pieces = [];
    this.#names = new Map();
    this.#locals = new Set();
    reading(this.#module, this.#module.tokens[begin].start, () => this.#range(begin, end));
    return { pieces: this.#pieces, names: this.#names, locals: this.#locals };
  }

  #error(at: number, message: string): LinkError {
    return new LinkError(this.#module, this.#module.tokens[at].start, message);
  }

  #range(begin: number, end: number): void {
    const { tokens } = this.#module;
    let kept = begin;
    let chain: Token[][] = [];
    const keep = (until: number): void => {
      if (until > kept) this.#text(kept, until);
    };
    for (let at = begin; at < end;) {
      if (tokens[at].text !== "@") {
        at++;
        continue;
      }
      const attribute = readCondition(tokens, at, chain);
      if (attribute !== undefined) {
        const past = pastItem(tokens, attribute.end);
        keep(at);
        if (this.#context.holds(attribute.condition, this.#module)) {
          this.#range(attribute.end, past);
        }
        this.#blank(at, past);
        chain = attribute.chain;
        kept = at = past;
        if (tokens[at]?.text !== "@") chain = [];
      } else if (tokens[at + 1].text === "unroll") {
        keep(at);
        const past = pastItem(tokens, at);
        this.#unroll(at);
        kept = at = past;
      } else if (tokens[at + 1].text === "link") {
        keep(at);
        kept = at = at + 2;
      } else {
        at = pastAttribute(tokens, at);
      }
    }
    keep(end);
  }

  /** The tokens as they are written, with what lies between them and after the last on its line. */
  #text(begin: number, end: number): void {
    const { tokens, text } = this.#module;
    for (let at = begin; at < end; at++) {
      const { text, start } = tokens[at];
      if (!isName(text) || tokens[at - 1]?.text === ".") continue;
      // Members of structs and parameters are followed by a colon, as the last name of a case is.
      const isMember = tokens[at + 1]?.text === ":" && tokens[at + 2]?.text !== "{";
      if (isMember || LOCAL.has(tokens[at - 1]?.text)) this.#locals.add(text);
      else if (!this.#names.has(text)) this.#names.set(text, start);
    }
    const start = tokens[begin].start;
    const stop = end < tokens.length ? tokens[end].start : text.length;
    this.#pieces.push({ text: text.slice(start, stop), module: this.#module, start });
  }

  /** Keeps a space where something was left out. */
  #blank(begin: number, end: number): void {
    const { tokens } = this.#module;
    const start = tokens[end - 1].start;
    if (begin < end) this.#pieces.push({ text: "\n", module: this.#module, start });
  }

  /** `@unroll for (var i = A; i < B; i++) { … }`: a block for each pass, in which `i` is a constant. */
  #unroll(at: number): void {
    const { tokens } = this.#module;
    const loop = pastAttribute(tokens, at);
    const open = loop + 1;
    if (tokens[loop]?.text !== "for" || tokens[open]?.text !== "(") {
      throw this.#error(at, "@unroll stands before a for loop");
    }
    const close = pastBracket(tokens, open) - 1;
    const header = tokens.slice(open + 1, close);
    const [first, second] = header.flatMap(({ text }, index) => text === ";" ? [index] : []);
    const index = header[1]?.text;
    const typed = header[2]?.text === ":" ? 2 : 0;
    if (
      second === undefined || header[0].text !== "var" || header[2 + typed]?.text !== "=" ||
      header[first + 1]?.text !== index || header[second + 1]?.text !== index
    ) {
      throw this.#error(at, "an unrolled loop is written for (var i = A; i < B; i++)");
    }
    const valueOf = (name: string): Value => this.#valueOf(name, at);
    const begin = evaluate(header.slice(3 + typed, first), valueOf);
    const suffix = header.some(({ text }) => /^\d+i$/.test(text)) || header[3]?.text === "i32"
      ? "i"
      : "u";
    const goesOn = (value: number): boolean =>
      evaluate(
        header.slice(first + 1, second),
        (name) => name === index ? value : valueOf(name),
      ) === true;
    const step = this.#step(header.slice(second + 2), valueOf, at);
    const bodyEnd = pastItem(tokens, close + 1);
    if (tokens[close + 1].text !== "{") {
      throw this.#error(at, "an unrolled loop has a body in braces");
    }
    this.#checkJumps(close + 1, bodyEnd);
    const outer = this.#indices.get(index);
    let passes = 0;
    for (let value = Number(begin); goesOn(value); value += step) {
      if (++passes > MOST_PASSES) {
        throw this.#error(at, `an unrolled loop has at most ${MOST_PASSES} passes`);
      }
      this.#indices.set(index, value);
      this.#pieces.push({
        text: `{ const ${index} = ${value < 0 && suffix === "u" ? value : `${value}${suffix}`};`,
        module: this.#module,
        start: tokens[at].start,
      });
      const afterBrace = tokens[close + 1].start + 1;
      const inside = tokens[close + 2].start;
      this.#pieces.push({
        text: this.#module.text.slice(afterBrace, inside),
        module: this.#module,
        start: afterBrace,
      });
      this.#range(close + 2, bodyEnd);
    }
    if (outer === undefined) this.#indices.delete(index);
    else this.#indices.set(index, outer);
  }

  #step(tokens: readonly Token[], valueOf: (name: string) => Value, at: number): number {
    const [operator, ...by] = tokens;
    const step = operator.text === "++"
      ? 1
      : operator.text === "--"
      ? -1
      : operator.text === "+="
      ? Number(evaluate(by, valueOf))
      : operator.text === "-="
      ? -Number(evaluate(by, valueOf))
      : 0;
    if (step === 0) throw this.#error(at, "an unrolled loop steps by i++, i--, i += C or i -= C");
    return step;
  }

  #valueOf(name: string, at: number): Value {
    const index = this.#indices.get(name);
    return index ?? this.#context.valueOf(name, this.#module, this.#module.tokens[at].start);
  }

  /** There is no loop left for a `break` or a `continue` to act on. */
  #checkJumps(begin: number, end: number): void {
    const { tokens } = this.#module;
    for (let at = begin + 1; at < end; at++) {
      const { text } = tokens[at];
      if (["for", "while", "loop"].includes(text) && tokens[at - 1].text !== "unroll") {
        at = pastItem(tokens, at) - 1;
      } else if (text === "continue" || text === "break") {
        throw this.#error(at, `an unrolled loop cannot ${text}`);
      }
    }
  }
}
