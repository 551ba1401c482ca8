import type { FuzzKind } from "./kind.ts";

/** What is attacked, by name; opened in a process of its own. */
export const KINDS: Readonly<Record<string, () => Promise<FuzzKind>>> = {
  deno: async () => (await import("./kernels.ts")).onDeno(),
  dawn: async () => (await import("./kernels.ts")).onDawn(),
  files: async () => (await import("./files.ts")).FILES,
  results: async () => (await import("./results.ts")).RESULTS,
  kills: async () => (await import("./kills.ts")).KILLS,
  broken: async () => (await import("./broken.ts")).BROKEN,
};
