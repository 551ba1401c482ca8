import { isHubModel } from "../../models/mod.ts";
import { knownCheckpoint } from "../subjects/known.ts";
import { readingsOf } from "../subjects/resolve.ts";
import { TUNING_SWEEPS } from "../experiments/findings/mod.ts";
import { SWEEPS } from "../experiments/mod.ts";
import type { AskedModel } from "../subjects/description.ts";

/** The variables that are read: where the hub and its cache are. */
export const ENVIRONMENT = [
  "HF_ENDPOINT",
  "HF_HOME",
  "HF_TOKEN",
  "HOME",
  "LOCALAPPDATA",
  "USERPROFILE",
  "XDG_CACHE_HOME",
] as const;

/** What a sweep's shard and its merge may do, as a word of `deno run`: read, write, the network, these variables. */
export const SHARD_PERMISSIONS: string = `-RWNE=${ENVIRONMENT.join(",")}`;

/** Commands that can be led to the hub by names in the journals that they read. */
const GOES_ON = ["merge"];

/**
 * Gives the permission for the network back where a command line leads to no hub: by no name in it
 * (`hf:owner/name`, or a checkpoint whose tokenizer is there), in its sweep, or in results that it may
 * continue with.
 *
 * @param args The command line.
 * @param program Where the program is: one that came from the network reads its models from there.
 */
export async function dropNetwork(args: readonly string[], program: string): Promise<void> {
  if (program.startsWith("file:") && !leadsToHub(args)) {
    await Deno.permissions.revoke({ name: "net" });
  }
}

/** Whether a command line can lead to the hub. */
export function leadsToHub(args: readonly string[]): boolean {
  const [command] = args;
  if (GOES_ON.includes(command) || args.includes("--resume")) return true;
  if (args.some((arg) => arg.endsWith(".json"))) return true; // names may stand in a file
  const sweeps = { ...SWEEPS, ...TUNING_SWEEPS };
  const names = args.flatMap((arg) => arg.replace(/^--[\w-]+=/, "").split(","))
    .concat(
      args.flatMap((arg) => Object.hasOwn(sweeps, arg) ? sweeps[arg].models : []).flatMap(places),
    );
  return names.flatMap(readingsOf).some(({ model }) =>
    isHubModel(model) || knownCheckpoint(model)?.tokenizer !== undefined
  );
}

/** The names by which a model leads somewhere. */
function places(asked: AskedModel): string[] {
  return typeof asked === "string" ? [asked] : [asked.model, asked.tokenizer ?? asked.model];
}
