/**
 * Runs the cases of one kind, from a number on, and says on its standard output when each begins and
 * how it ends. The process that started it ends it where a case hangs.
 */
import { Draws } from "./draws.ts";
import { KINDS } from "./kinds.ts";

const [name, seed, first, most] = Deno.args;
const kind = await KINDS[name]();
const cases = Object.entries(kind.cases);
const encoder = new TextEncoder();

function say(event: Record<string, unknown>): void {
  const bytes = encoder.encode(JSON.stringify(event) + "\n");
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

for (let index = Number(first); index < Number(first) + Number(most); index++) {
  const [target, run] = cases[index % cases.length];
  const draws = new Draws(Number(seed), `${name}/${target}`, index);
  say({ begin: index, target, patience: kind.patience });
  try {
    say({ end: index, outcome: await run(draws) });
  } catch (error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    say({ end: index, outcome: "wrong", reason: reason.slice(0, 1000), drawn: draws.drawn });
  }
}
Deno.exit(0);
