import type { Gpu } from "../gpu/mod.ts";

/** What is kept for one GPU; past it, all of it is freed. */
const MOST = 64;

const KEPT = new WeakMap<Gpu, Map<string, Disposable>>();

/**
 * Tables that depend on a call's shape alone. They are kept, as a model asks for the same again and
 * again, and to write them anew would cost a submit; and they are no part of a recording, which would
 * write them for itself.
 *
 * @param name Names them among all that are kept, with the shape that they depend on.
 */
export function kept<Tables extends Disposable>(
  gpu: Gpu,
  name: string,
  make: () => Tables,
): Tables {
  let all = KEPT.get(gpu);
  if (all === undefined) KEPT.set(gpu, all = new Map());
  let tables = all.get(name);
  if (tables === undefined) {
    if (all.size >= MOST) {
      for (const each of all.values()) each[Symbol.dispose]();
      all.clear();
    }
    all.set(name, tables = gpu.unrecorded(make));
  }
  return tables as Tables;
}
