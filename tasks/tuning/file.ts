import { dirname, join } from "@std/path";
import * as v from "valibot";
import { type Adapter, definedTunables, type Tuning } from "../../kernels/gpu/mod.ts";
import "../../kernels/mod.ts"; // declares the tunables
import { cacheFolder } from "../../models/mod.ts";
import { replaceFile } from "../../models/checkpoints/replace_file.ts";
import { driverHere } from "./driver.ts";

/** The version of the file's layout. */
const FORMAT = 1;

/** What was measured of a class of problems. */
const CLASS = v.object({
  tunable: v.string(),
  class: v.string(),
  /** The fastest. */
  candidate: v.string(),
  /** The default. */
  standard: v.string(),
  /** All candidates with their values as they were, by which it is seen that they are others now. */
  candidates: v.string(),
  problems: v.array(v.object({
    problem: v.record(v.string(), v.union([v.number(), v.string(), v.boolean()])),
    /** Milliseconds of each candidate that was measured. */
    milliseconds: v.record(v.string(), v.number()),
  })),
  /** Candidates that were left out, with the reason. */
  refused: v.record(v.string(), v.string()),
});

const ENTRY = v.object({
  adapter: v.string(),
  identity: v.string(),
  driver: v.string(),
  deno: v.string(),
  measured: v.string(),
  models: v.array(v.string()),
  classes: v.array(CLASS),
});

const FILE = v.object({ format: v.literal(FORMAT), entries: v.array(ENTRY) });

/** What was measured of a class of problems, and what was chosen. */
export type TunedClass = v.InferOutput<typeof CLASS>;

/** What was measured on an adapter, with a driver and a version of Deno. */
export type TunedAdapter = v.InferOutput<typeof ENTRY>;

/** The variables by which the user's cache is found. */
const VARIABLES = ["HF_HOME", "XDG_CACHE_HOME", "HOME", "LOCALAPPDATA", "USERPROFILE"];

/** Where tunings are kept; undefined where this program may not look there. */
export function tuningPath(): string | undefined {
  const asked = VARIABLES.every((variable) =>
    Deno.permissions.querySync({ name: "env", variable }).state === "granted"
  );
  if (!asked) return undefined;
  // Drivers are looked at besides, which would ask the user.
  if (Deno.permissions.querySync({ name: "read" }).state !== "granted") return undefined;
  return join(cacheFolder(), "tuning.json");
}

const told = new Set<string>();

/** Says something on standard error, once. */
function tell(line: string): void {
  if (told.has(line)) return;
  told.add(line);
  console.error(line);
}

/**
 * The tunings that were measured on this machine; none where there is no file.
 *
 * @throws {Error} where the file cannot be read.
 */
export async function readTunings(path: string): Promise<TunedAdapter[]> {
  const fail = (reason: string): never => {
    throw new Error(`Cannot read the tuning in ${path} as ${reason}`);
  };
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    return fail((error as Error).message);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fail("it is not valid JSON");
  }
  const format = (json as { format?: unknown } | null)?.format;
  if (typeof format === "number" && format !== FORMAT) {
    return fail(`its format is ${format}: this version of Lengthwise reads ${FORMAT}`);
  }
  const parsed = v.safeParse(FILE, json);
  if (parsed.success) return parsed.output.entries;
  const [issue] = parsed.issues;
  return fail(`${v.getDotPath(issue) ?? "it"} is not what \`./run tune\` writes`);
}

/**
 * What `./run tune` found to be the fastest on an adapter, with its driver and this version of Deno; of
 * candidates that are the same today. What cannot be used is said once, on standard error, and the
 * defaults take its place.
 *
 * ```ts
 * import { openGpu, readTuning } from "@lengthwise/lengthwise";
 *
 * await using gpu = await openGpu({ tuning: readTuning });
 * ```
 */
export async function readTuning(adapter: Adapter, identity: string): Promise<Tuning> {
  const path = tuningPath();
  if (path === undefined) return {};
  let entries: TunedAdapter[];
  try {
    entries = await readTunings(path);
  } catch (error) {
    tell(`${(error as Error).message}: the defaults are used, and ./run tune writes it anew`);
    return {};
  }
  const entry = entryOf(entries, identity);
  if (entry === undefined) {
    const last = entries.at(-1);
    if (last) {
      tell(
        `The tuning in ${path} is not of ${adapter.name} with this driver and Deno ${Deno.version.deno} but of ${last.adapter} with Deno ${last.deno}: the defaults are used; ./run tune measures this one`,
      );
    }
    return {};
  }
  const { tuning, stale } = chosenOf(entry, adapter);
  if (stale.length > 0) {
    tell(
      `The tuning in ${path} was measured among other candidates of ${
        stale.join(", ")
      } than there are today: their defaults are used; ./run tune measures them again`,
    );
  }
  return tuning;
}

/** What was measured on this adapter with its driver and this version of Deno. */
export function entryOf(
  entries: readonly TunedAdapter[],
  identity: string,
): TunedAdapter | undefined {
  const driver = driverHere();
  return entries.find((entry) =>
    entry.identity === identity && entry.driver === driver && entry.deno === Deno.version.deno
  );
}

/** All candidates of a tunable as a text: another where one, or its values, are others. */
export function candidatesText(candidates: Readonly<Record<string, object>>): string {
  return JSON.stringify(candidates);
}

/** The choices that hold today, and the tunables whose candidates were others. */
export function chosenOf(
  entry: TunedAdapter,
  adapter: Adapter,
): { tuning: Tuning; stale: string[] } {
  const tuning: Record<string, Record<string, string>> = {};
  const stale = new Set<string>();
  for (const { tunable: name, class: of, candidate, standard, candidates } of entry.classes) {
    const tunable = definedTunables().find((tunable) => tunable.name === name);
    const today = tunable?.candidates({ adapter }) ?? {};
    if (candidatesText(today) !== candidates || !Object.hasOwn(today, candidate)) {
      stale.add(name);
    } else if (candidate !== standard) {
      (tuning[name] ??= {})[of] = candidate;
    }
  }
  return { tuning, stale: [...stale] };
}

/**
 * Remembers what was measured, beside what was measured on that adapter before of other classes of
 * problems.
 */
export async function writeTuning(path: string, entry: TunedAdapter): Promise<void> {
  const before = await readTunings(path).catch(() => []); // what cannot be read is written anew
  const same = ({ identity, driver, deno }: TunedAdapter): boolean =>
    identity === entry.identity && driver === entry.driver && deno === entry.deno;
  const nameOf = (tuned: TunedClass): string => `${tuned.tunable} ${tuned.class}`;
  const anew = new Set(entry.classes.map(nameOf));
  const kept = before.filter(same).flatMap(({ classes }) => classes)
    .filter((tuned) => !anew.has(nameOf(tuned)));
  const whole = { ...entry, classes: [...entry.classes, ...kept] };
  const entries = [...before.filter((other) => !same(other)), whole];
  await Deno.mkdir(dirname(path), { recursive: true });
  await replaceFile(path, JSON.stringify({ format: FORMAT, entries }, null, 1));
}
