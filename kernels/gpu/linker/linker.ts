import { type Context, Emitter, type Piece } from "./emit.ts";
import { type Condition, type Declaration, LinkError, type Module, reading } from "./module.ts";
import { evaluate, lineOf, type Token, tokensOf, type Value } from "./syntax.ts";

/** What the host gives by name: conditions, `@link` constants, and types for `@link` aliases. */
export type Settings = Readonly<Record<string, number | boolean | string>>;

/** A declaration of the linked shader that the host has to do with. */
export interface Linked {
  /** WGSL for any compiler but for its first line's directives. */
  readonly code: string;
  /** Directives that the code needs, such as `enable f16;`. */
  readonly directives: readonly string[];
  /** The texts of the declarations in the code, by name: those that a binding or a constant is. */
  readonly declarations: readonly LinkedDeclaration[];
  /** Where each piece of the code was written. */
  readonly pieces: readonly Piece[];
}

/** A declaration of linked code. */
export interface LinkedDeclaration {
  /** `fn`, `struct`, `var`, … */
  readonly keyword: string;
  /** Its name. */
  readonly name: string;
  /** Its tokens. */
  readonly tokens: readonly Token[];
}

/** Which names a shader's modules let the host set, and where each is written. */
export interface Names {
  /** In an `@if`. */
  readonly conditions: ReadonlyMap<string, { module: Module; start: number }>;
  /** `@link const` and `@link alias`. */
  readonly linked: ReadonlyMap<string, Declaration>;
  /** `override`. */
  readonly overrides: ReadonlyMap<string, string>;
  /** Variables with a binding, and whether they are written: both, where conditions say which. */
  readonly bindings: ReadonlyMap<string, ReadonlySet<boolean>>;
}

/** Finds a module by its path. @throws {Error} if there is none. */
export type Resolve = (path: string) => Module | undefined;

/**
 * All that a module imports, whatever the conditions, and the module last.
 *
 * @throws {LinkError} for an unknown one, and for modules that import each other.
 */
export function modulesOf(root: Module, resolve: Resolve): Module[] {
  const modules: Module[] = [];
  const visit = (module: Module, importers: readonly Module[]): void => {
    if (modules.includes(module)) return;
    const chain = [...importers, module];
    for (const { module: path, name, start } of module.imports) {
      const found = resolve(path);
      if (found === undefined) {
        throw new LinkError(module, start, `there is no shader ${path} to import ${name} from`);
      }
      if (!found.declarations.some((declaration) => declaration.name === name)) {
        throw new LinkError(module, start, `${path}.wgsl declares no ${name} to import`);
      }
      if (chain.includes(found)) {
        const cycle = [...chain.slice(chain.indexOf(found)), found].map(({ path }) =>
          `${path}.wgsl`
        );
        throw new LinkError(module, start, `these import each other: ${cycle.join(" → ")}`);
      }
      visit(found, chain);
    }
    // Behind what it imports: naga fails on some shaders that use what is declared further down.
    modules.push(module);
  };
  visit(root, []);
  return modules;
}

/** The names that the host may set. */
export function namesOf(modules: readonly Module[]): Names {
  const conditions = new Map<string, { module: Module; start: number }>();
  const linked = new Map<string, Declaration>();
  const overrides = new Map<string, string>();
  const bindings = new Map<string, Set<boolean>>();
  for (const module of modules) {
    for (const [name, start] of module.conditions) {
      if (!conditions.has(name)) conditions.set(name, { module, start });
    }
    for (const declaration of module.declarations) {
      const { keyword, name, begin, end } = declaration;
      const tokens = module.tokens.slice(begin, end);
      if (declaration.linked) linked.set(name, declaration);
      if (keyword === "override") {
        const type = tokens[tokens.findIndex(({ text }) => text === ":") + 1].text;
        overrides.set(name, type);
      }
      const words = tokens.map(({ text }) => text);
      if (words.includes("binding") && !words.includes("uniform")) {
        const written = words.includes("read_write");
        bindings.set(name, (bindings.get(name) ?? new Set<boolean>()).add(written));
      }
    }
  }
  return { conditions, linked, overrides, bindings };
}

/** Types that an alias may be linked to. */
const TYPES = /^(?:f32|f16|u32|i32|bool|vec[234][fhiu])$/;

/** What a module's names mean: its own declarations, and those it imports. */
type Scope = ReadonlyMap<string, { module: Module; declaration: Declaration }>;

/**
 * Joins a shader with what it imports, as far as its entry point needs it.
 *
 * @throws {LinkError} with the file and the line, where a name is missing or means two things.
 */
export function link(
  modules: readonly Module[],
  entryPoint: string,
  settings: Settings,
): Linked {
  const root = modules.at(-1)!;
  const scopes = new Map<Module, Scope>();
  const scopeOf = (module: Module): Scope => {
    let scope = scopes.get(module);
    if (scope === undefined) scopes.set(module, scope = readScope(module, modules, holds));
    return scope;
  };
  const holds = ({ not, test }: Condition, module: Module): boolean => {
    const conditionOf = (name: string, start: number): boolean => {
      const value = valueIn(settings, name);
      if (typeof value === "boolean") return value;
      throw new LinkError(
        module,
        start,
        value === undefined
          ? `the host gives no value for the condition ${name}`
          : `the condition ${name} is true or false: current value is ${value}`,
      );
    };
    const worth = (tokens: readonly Token[]): boolean =>
      reading(module, tokens[0]?.start ?? 0, () => evaluate(tokens, conditionOf)) === true;
    return not.every((tokens) => !worth(tokens)) && (test === undefined || worth(test));
  };
  const valueOf = (name: string, module: Module, start: number): Value => {
    const found = scopeOf(module).get(name);
    if (found?.declaration.keyword !== "const") {
      throw new LinkError(
        module,
        start,
        `${name} is not a constant that a loop can be unrolled by`,
      );
    }
    const { declaration } = found;
    const given = declaration.linked ? valueIn(settings, name) : undefined;
    if (typeof given === "number" || typeof given === "boolean") return given;
    const tokens = found.module.tokens.slice(declaration.begin, declaration.end - 1);
    const value = tokens.slice(tokens.findIndex(({ text }) => text === "=") + 1);
    return reading(
      found.module,
      tokens[0].start,
      () => evaluate(value, (inner, start) => valueOf(inner, found.module, start)),
    );
  };
  const context: Context = { holds, valueOf };

  const declared = new Map(
    modules.flatMap(({ path, declarations }) =>
      declarations.map(({ name }) => [name, path] as const)
    ),
  );
  const emitted = new Map<Declaration, { module: Module; pieces: Piece[] }>();
  const owners = new Map<string, Module>();
  const reach = (declaration: Declaration, module: Module): void => {
    if (emitted.has(declaration)) return;
    const { name } = declaration;
    const owner = owners.get(name);
    if (owner !== undefined && owner !== module) {
      throw new LinkError(
        module,
        module.tokens[declaration.begin].start,
        `${name} is declared in ${owner.path}.wgsl too: rename one, or import it`,
      );
    }
    owners.set(name, module);
    const { begin, end } = declaration;
    const { pieces, names, locals } = new Emitter(module, context).emit(begin, end);
    emitted.set(declaration, {
      module,
      pieces: linkedValue(declaration, module, pieces, settings),
    });
    const scope = scopeOf(module);
    for (const [used, start] of names) {
      const found = scope.get(used);
      if (found !== undefined) reach(found.declaration, found.module);
      else if (declared.has(used) && !locals.has(used)) {
        throw new LinkError(
          module,
          start,
          `${used} is neither declared nor imported here: it is in ${declared.get(used)}.wgsl`,
        );
      }
    }
  };
  const entry = scopeOf(root).get(entryPoint);
  if (entry?.module !== root || entry.declaration.keyword !== "fn") {
    throw new LinkError(root, 0, `there is no entry point fn ${entryPoint}`);
  }
  reach(entry.declaration, root);
  // What a module that is used asserts holds there; and what that takes from others, in those.
  for (let count = -1; count < emitted.size;) {
    count = emitted.size;
    for (const module of new Set(owners.values())) {
      for (const { declaration } of scopeOf(module).values()) {
        if (declaration.keyword === "const_assert") reach(declaration, module);
      }
    }
  }
  return assemble(modules, emitted, holds);
}

function readScope(
  module: Module,
  modules: readonly Module[],
  holds: (condition: Condition, module: Module) => boolean,
): Scope {
  const scope = new Map<string, { module: Module; declaration: Declaration }>();
  for (const declaration of module.declarations) {
    if (declaration.condition === undefined || holds(declaration.condition, module)) {
      if (scope.has(declaration.name)) {
        const { start } = module.tokens[declaration.begin];
        throw new LinkError(module, start, `${declaration.name} is declared above too: rename one`);
      }
      scope.set(declaration.name, { module, declaration });
    }
  }
  for (const { module: path, name, condition, start } of module.imports) {
    if (condition !== undefined && !holds(condition, module)) continue;
    const from = modules.find((other) => other.path === path)!;
    const declaration = from.declarations.find((declaration) =>
      declaration.name === name &&
      (declaration.condition === undefined || holds(declaration.condition, from))
    );
    if (declaration === undefined) {
      throw new LinkError(module, start, `${path}.wgsl declares no ${name} under these conditions`);
    }
    if (scope.has(name)) throw new LinkError(module, start, `${name} is declared here too`);
    scope.set(name, { module: from, declaration });
  }
  return scope;
}

/** What the host gives for a name, which may be one that every object has: `constructor`. */
function valueIn(settings: Settings, name: string): Settings[string] | undefined {
  return Object.hasOwn(settings, name) ? settings[name] : undefined;
}

/** A `@link` declaration with the host's value. */
function linkedValue(
  declaration: Declaration,
  module: Module,
  pieces: Piece[],
  settings: Settings,
): Piece[] {
  const given = valueIn(settings, declaration.name);
  if (!declaration.linked || given === undefined) return pieces;
  const start = module.tokens[declaration.begin].start;
  const { name, keyword } = declaration;
  const tokens = module.tokens.slice(declaration.begin, declaration.end);
  if (keyword === "alias") {
    if (typeof given !== "string" || !TYPES.test(given)) {
      throw new LinkError(
        module,
        start,
        `${name} must be a type such as f16: current value is ${given}`,
      );
    }
    return [{ text: `alias ${name} = ${given};\n`, module, start }];
  }
  const colon = tokens.findIndex(({ text }) => text === ":");
  const type = tokens[colon + 1]?.text;
  if (keyword !== "const" || colon < 0) {
    throw new LinkError(module, start, `@link stands before an alias or a const with a type`);
  }
  return [{
    text: `const ${name}: ${type} = ${literal(module, start, name, type, given)};\n`,
    module,
    start,
  }];
}

function literal(
  module: Module,
  start: number,
  name: string,
  type: string,
  value: number | boolean | string,
): string {
  const problem = valueProblem(type, value);
  if (problem !== undefined) throw new LinkError(module, start, `${name} ${problem}`);
  if (Object.is(value, -0) && type === "f32") return "f32(-0.0)";
  return type === "f32" ? `f32(${value})` : type === "u32" ? `${value}u` : String(value);
}

/** What is wrong with a value for a constant or a field of this type, if anything. */
export function valueProblem(type: string, value: unknown): string | undefined {
  const is = `: current value is ${value}`;
  switch (type) {
    case "bool":
      return typeof value === "boolean" ? undefined : `must be true or false${is}`;
    case "u32":
      return Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32
        ? undefined
        : `must be an integer from 0 to 4294967295${is}`;
    case "i32":
      return Number.isInteger(value) && Number(value) >= -(2 ** 31) && Number(value) < 2 ** 31
        ? undefined
        : `must be an integer from -2147483648 to 2147483647${is}`;
    case "f32":
      if (typeof value !== "number" || !Number.isFinite(value)) {
        return `must be a finite number${is}`;
      }
      return Number.isFinite(Math.fround(value)) ? undefined : `must be one that f32 holds${is}`;
    default:
      return `has the type ${type}: u32, i32, f32 and bool can be given`;
  }
}

function assemble(
  modules: readonly Module[],
  emitted: ReadonlyMap<Declaration, { module: Module; pieces: Piece[] }>,
  holds: (condition: Condition, module: Module) => boolean,
): Linked {
  const directives = new Set<string>();
  const declarations: LinkedDeclaration[] = [];
  const pieces: Piece[] = [];
  // First of all: naga 29 fails where an array's size takes overrides and another override follows it.
  const overrides: Piece[] = [];
  for (const module of modules) {
    let used = false;
    for (const declaration of module.declarations) {
      const found = emitted.get(declaration);
      if (found === undefined) continue;
      used = true;
      const text = found.pieces.map((piece) => piece.text).join("");
      const { keyword, name } = declaration;
      if (keyword === "alias" && /= (?:f16|vec\dh);/.test(text)) directives.add("enable f16;");
      const tokens = ["alias", "struct", "var"].includes(keyword) ? tokensOf(text) : [];
      declarations.push({ keyword, name, tokens });
      (keyword === "override" ? overrides : pieces).push(...found.pieces, {
        text: "\n",
        module,
        start: declarationEnd(module, declaration),
      });
    }
    if (!used) continue;
    for (const { text, condition } of module.directives) {
      if (condition === undefined || holds(condition, module)) directives.add(text);
    }
  }
  const all = [...overrides, ...pieces];
  return {
    code: all.map(({ text }) => text).join(""),
    directives: [...directives],
    declarations,
    pieces: all,
  };
}

/** Where the last token of a declaration is. */
function declarationEnd({ tokens }: Module, { end }: Declaration): number {
  return tokens[end - 1].start;
}

/** The file and the line that each line of the code was written at. */
function writtenLinesOf({ pieces }: Linked): { path: string; line: number }[] {
  const lines: { path: string; line: number }[] = [];
  let begun = false;
  for (const { text, module, start } of pieces) {
    for (let at = 0; at < text.length;) {
      const newline = text.indexOf("\n", at);
      const end = newline < 0 ? text.length : newline;
      if (!begun && text.slice(at, end).trim() !== "") {
        lines.push({ path: `${module.path}.wgsl`, line: lineOf(module.text, start + at) });
        begun = true;
      }
      if (newline >= 0) {
        if (!begun) {
          lines.push({ path: `${module.path}.wgsl`, line: lineOf(module.text, start + at) });
        }
        begun = false;
      }
      at = end + 1;
    }
  }
  return lines;
}

/**
 * A compiler's message with the files and lines that a person wrote: `wgsl:12:3`, `rms_norm:12:3` and
 * `:12:3` become `norm/rms_norm.wgsl:40:3`.
 *
 * @param label The shader's label, an entry point's name.
 */
export function asWritten(message: string, linked: Linked, label: string): string {
  const lines = writtenLinesOf(linked);
  const place = new RegExp(`(?:\\b(?:wgsl|${label}))?:(\\d+):(\\d+)`, "g");
  return message
    .replace(place, (all, line, column) => {
      const found = lines[line - 1];
      return found === undefined ? all : `${found.path}:${found.line}:${column}`;
    })
    .replace(/^( *\d+) │/gm, (all, line: string) => {
      const found = lines[Number(line) - 1];
      return found === undefined ? all : `${String(found.line).padStart(line.length)} │`;
    });
}
