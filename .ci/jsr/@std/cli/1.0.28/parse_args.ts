type Keyed = Record<string, unknown>;
type Names<T> = Extract<T, string>;
type AliasMap = Record<string, string | readonly string[]>;

type AliasOf<K, A> = K extends keyof A
  ? A[K] extends string ? A[K] : A[K] extends readonly (infer Name)[] ? Name & string : never
  : never;

type WithAliases<T, A> = { [K in keyof T as K | AliasOf<K, A>]: T[K] };

type Negated<K, N> = K extends N ? false : never;

type Values<B, S, C, N, D> =
  & { [K in Exclude<Names<B>, Names<C>>]: boolean | (K extends keyof D ? D[K] : never) }
  & { [K in Exclude<Names<S>, Names<C> | keyof D>]?: string | Negated<K, N> }
  & { [K in Exclude<Names<S>, Names<C>> & keyof D]: string | D[K] | Negated<K, N> }
  & { [K in Names<C>]: (K extends S ? string : K extends B ? boolean : unknown)[] };

type Flat<T> = { [K in keyof T]: T[K] };

/** The parsed arguments. */
export type Args<T = Keyed> = Flat<T & { _: (string | number)[]; "--"?: string[] }>;

/** Options of {@linkcode parseArgs}. */
export interface ParseOptions<B, S, C, N, D, A> {
  "--"?: boolean;
  alias?: A;
  boolean?: B | readonly Names<B>[];
  default?: D;
  stopEarly?: boolean;
  string?: S | readonly Names<S>[];
  collect?: C | readonly Names<C>[];
  negatable?: N | readonly Names<N>[];
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

const isNumber = (text: string): boolean => /\S/.test(text) && Number.isFinite(Number(text));

const namesIn = (names: unknown): string[] =>
  (Array.isArray(names) ? names : [names]).filter((name) => typeof name === "string");

/** Command-line arguments by name; what has no name is in `_`. Dotted names are not supported. */
export function parseArgs<
  B extends string | boolean | undefined = undefined,
  S extends string | undefined = undefined,
  C extends string | undefined = undefined,
  N extends string | undefined = undefined,
  const D extends Keyed = Record<never, never>,
  const A extends AliasMap = Record<never, never>,
>(
  args: readonly string[],
  options: ParseOptions<B, S, C, N, D, A> = {},
): [B, S, C] extends [undefined, undefined, undefined]
  // deno-lint-ignore no-explicit-any
  ? Args<Record<string, any>>
  : Args<Keyed & WithAliases<Values<B, S, C, N, { -readonly [K in keyof D]: Wide<D[K]> }>, A>> {
  const groups = Object.entries(options.alias ?? {}).map(([name, others]) => [
    name,
    ...namesIn(others),
  ]);
  const aliases = (name: string): string[] =>
    groups.find((group) => group.includes(name)) ?? [name];
  const setOf = (names: unknown): Set<string> => new Set(namesIn(names).flatMap(aliases));
  const booleans = setOf(options.boolean);
  const strings = setOf(options.string);
  const collected = setOf(options.collect);
  const negatable = setOf(options.negatable);
  const known = new Set([...booleans, ...strings, ...collected, ...groups.flat()]);

  const end = args.indexOf("--");
  const named = end < 0 ? args : args.slice(0, end);
  const rest = end < 0 ? [] : args.slice(end + 1);
  const found: Keyed = {};
  const unnamed: (string | number)[] = [];

  const put = (name: string, value: unknown): void => {
    for (const key of aliases(name)) found[key] = value;
  };
  const set = (name: string, given: string | boolean, arg: string): void => {
    if (!known.has(name) && options.boolean !== true) {
      if (options.unknown?.(arg, name, given) === false) return;
    }
    const number = typeof given === "string" && !strings.has(name) && isNumber(given);
    const value = number ? Number(given) : given;
    if (!collected.has(name) || value === false) put(name, value);
    else put(name, [...(found[name] as unknown[] | undefined ?? []), value]);
  };

  for (let i = 0; i < named.length; i++) {
    const arg = named[i];
    if (!/^-./s.test(arg)) {
      if (options.unknown?.(arg) === false) continue;
      unnamed.push(!strings.has("_") && isNumber(arg) ? Number(arg) : arg);
      if (options.stopEarly) {
        unnamed.push(...named.slice(i + 1));
        break;
      }
      continue;
    }
    const [text, inline] = /^([^=]+)(?:=(.*))?$/s.exec(arg)!.slice(1);
    if (text.startsWith("--no-") && negatable.has(text.slice(5)) && inline === undefined) {
      set(text.slice(5), false, arg);
      continue;
    }
    const names = text.startsWith("--") ? [text.slice(2)] : [...text.slice(1)];
    const last = names.pop()!;
    for (const name of names) set(name, strings.has(name) ? "" : true, arg);
    const next = named[i + 1];
    if (inline !== undefined) {
      set(last, booleans.has(last) ? inline !== "false" : inline, arg);
    } else if (next !== undefined && booleans.has(last) && /^(true|false)$/.test(next)) {
      set(last, named[++i] === "true", arg);
    } else if (
      next !== undefined && next !== "" && !booleans.has(last) && options.boolean !== true &&
      !next.startsWith("-")
    ) {
      set(last, named[++i], arg);
    } else {
      set(last, strings.has(last) ? "" : true, arg);
    }
  }

  for (const [name, value] of Object.entries(options.default ?? {})) {
    if (!(name in found)) put(name, value);
  }
  for (const name of booleans) found[name] ??= collected.has(name) ? [] : false;
  for (const name of strings) if (collected.has(name)) found[name] ??= [];
  for (const name of collected) found[name] ??= [];
  if (!options["--"]) unnamed.push(...rest);
  return { ...found, _: unnamed, ...(options["--"] ? { "--": rest } : {}) } as never;
}

type Wide<T> = T extends string ? string
  : T extends number ? number
  : T extends boolean ? boolean
  : T;
