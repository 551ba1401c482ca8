/**
 * What Deno has and a browser has not: files, the environment, and modules of Node's. All that needs
 * them asks here first.
 *
 * @module
 */

/** Whether this runs in a browser, without Deno's functions. */
export const IN_BROWSER: boolean = !("Deno" in globalThis);

/** Goes on in Deno alone. @throws {Error} in a browser, saying what cannot be done there, and what can. */
export function requireDeno(doing: string, instead: string): void {
  if (IN_BROWSER) throw new Error(`Cannot ${doing} in a browser: ${instead}`);
}

/** Node's modules that are used. */
interface Builtins {
  readonly "node:crypto": typeof import("node:crypto");
  readonly "node:worker_threads": typeof import("node:worker_threads");
}

/**
 * A module of Node's, which Deno has built in. It is not imported, so that a bundler for browsers does
 * not look for it; ask {@linkcode requireDeno} first.
 */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: Name): Builtins[Name] };
  };
  return process.getBuiltinModule(name);
}
