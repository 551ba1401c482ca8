/** `deno task fuzz`: attacks kernels, loaders and sweeps at random, and says what does not hold. */
import { parseArgs } from "@std/cli/parse-args";
import { fuzz, type FuzzFailure, type FuzzReport } from "./fuzz.ts";

/** Each kind's share of the time. */
export const SHARES: Readonly<Record<string, number>> = {
  deno: 3,
  dawn: 3,
  files: 2,
  results: 1,
  kills: 3,
};

const USAGE = `Usage: ./run fuzz --seconds N [--seed S] [--only KIND,...] [--first I] [--most M]

  --seconds N   how long in all
  --seed S      what all cases follow from; by default another one each time
  --only KINDS  of ${Object.keys(SHARES).join(", ")}
  --first I     the number of the first case of each kind; by default 0
  --most M      the most cases of each kind`;

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
}

/** How to run a case again. */
function again({ kind, index }: FuzzFailure, seed: number): string {
  return `./run fuzz --seconds 600 --seed ${seed} --only ${kind} --first ${index} --most 1`;
}

/** Values as JSON, in which no control character is raw, cut short. */
function shown(value: unknown): string {
  return JSON.stringify(
    value,
    (_, item) => typeof item === "string" && item.length > 400 ? `${item.slice(0, 400)}…` : item,
  );
}

function table({ counts, failures }: FuzzReport): string {
  const lines = Object.entries(counts).flatMap(([kind, targets]) =>
    Object.entries(targets).sort().map(([target, outcomes]) => {
      const total = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
      const parts = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`);
      return `${kind}/${target}`.padEnd(36) + `${total}`.padStart(8) + `  ${parts.join(", ")}`;
    })
  );
  const totals = Object.entries(counts).map(([kind, targets]) => {
    const outcomes = Object.values(targets).flatMap((target) => Object.values(target));
    return `${outcomes.reduce((sum, count) => sum + count, 0)} ${kind}`;
  });
  return [...lines, "", `${totals.join(", ")}: ${failures.length} failures`].join("\n");
}

async function main(args: string[]): Promise<number> {
  const options = parseArgs(args, { string: ["seconds", "seed", "only", "first", "most"] });
  const number = (name: "seconds" | "seed" | "first" | "most", otherwise: number): number => {
    const value = options[name] === undefined ? otherwise : Number(options[name]);
    if (!(value >= 0)) throw new RangeError(`--${name} takes a number: current value is ${value}`);
    return value;
  };
  const kinds = options.only?.split(",") ?? Object.keys(SHARES);
  const unknown = kinds.filter((kind) => !Object.hasOwn(SHARES, kind));
  if (options.seconds === undefined || unknown.length > 0 || options._.length > 0) {
    print(unknown.length > 0 ? `Unknown kind ${unknown.join(", ")}\n\n${USAGE}` : USAGE);
    return 2;
  }
  const seed = number("seed", crypto.getRandomValues(new Uint32Array(1))[0] >>> 1);
  print(`seed ${seed}`);
  const report = await fuzz({
    seconds: number("seconds", 0),
    seed,
    shares: Object.fromEntries(kinds.map((kind) => [kind, SHARES[kind]])),
    first: number("first", 0),
    most: number("most", Infinity),
    onFailure: (failure) => {
      const { kind, target, index, what, reason, drawn } = failure;
      print(`\n${kind}/${target} ${index}: ${what}: ${shown(reason)}`);
      if (drawn) print(`  drawn: ${shown(drawn)}`);
      print(`  again: ${again(failure, seed)}`);
    },
  });
  print(`\n${table(report)}`);
  return report.failures.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
