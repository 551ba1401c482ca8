import { runCommandLine } from "./command_line.ts";
import { COMMANDS } from "./commands/mod.ts";
import { dropNetwork } from "./commands/permissions.ts";

if (import.meta.main) {
  await dropNetwork(Deno.args, import.meta.url);
  Deno.exit(await runCommandLine(Deno.args, COMMANDS));
}
