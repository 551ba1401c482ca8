import { closestMatch } from "leven";
import { showValue } from "./show.ts";

/** So many names are listed where none is near. */
const FEW = 6;

/**
 * The message for a name that is not known: `Unknown task "indction". Did you mean "induction"?`
 * Where no name is near, a few are listed; of many, it is said where they are listed.
 *
 * @param kind What it is a name of: `task`, `model`, `option`.
 * @param name The unknown name. One of an option, with its dashes, is shown without quotes.
 * @param listed Where all names are listed, such as `see --help`.
 */
export function didYouMean(
  kind: string,
  name: string,
  known: Iterable<string>,
  listed?: string,
): string {
  const shown = (name: string): string => /^--?\w[\w-]*$/.test(name) ? name : showValue(name);
  const names = [...new Set(known)];
  const unknown = `Unknown ${kind} ${shown(name)}`;
  const near = nearest(name, names);
  if (near !== undefined) return `${unknown}. Did you mean ${shown(near)}?`;
  if (names.length > 0 && names.length <= FEW) {
    return `${unknown}: known are ${names.map(shown).join(", ")}`;
  }
  return listed === undefined ? unknown : `${unknown}: ${listed}`;
}

/** A name with at most a third of its letters wrong; else the first that begins like it. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (name: string): string => name.toLowerCase().replaceAll("_", "-");
  const written = plain(name);
  if (written.length > 100) return undefined;
  const near = closestMatch(written, known.map(plain), {
    maxDistance: Math.ceil(written.replace(/^-+/, "").length / 3),
  });
  return known.find((each) => plain(each) === near) ??
    (written.length > 2 ? known.find((each) => plain(each).startsWith(written)) : undefined);
}
