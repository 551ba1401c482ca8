import type { AnyTensor } from "./tensor.ts";

/** What results hold under a name: a tensor, a list of them, or nothing. */
export type Held = AnyTensor | readonly AnyTensor[] | undefined;

/** What results inherit: disposing of them disposes of each tensor that they hold. */
const DISPOSABLE: Disposable = {
  [Symbol.dispose](this: Readonly<Record<string, Held>>): void {
    for (const held of Object.values(this)) {
      for (const tensor of [held ?? []].flat()) tensor[Symbol.dispose]();
    }
  },
};

/**
 * What an op returns: its tensors by name, which can be disposed of together: `using r = scan(…)`. A
 * tensor that was taken out and disposed of before does no harm.
 */
export function results<Tensors extends { readonly [Name in keyof Tensors]: Held }>(
  tensors: Tensors,
): Tensors & Disposable {
  return Object.assign(Object.create(DISPOSABLE), tensors);
}
