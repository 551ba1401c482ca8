import { schemaAddress } from "../schema_address.ts";
import { checkConfiguration, hashOf, type SweepConfiguration } from "../sweep/configuration.ts";
import { print } from "./terminal.ts";

/** Prints a sweep as a file that `./run sweep` reads, with its hash. @returns The exit code. */
export async function printSweep(configuration: SweepConfiguration): Promise<number> {
  checkConfiguration(configuration);
  print(
    JSON.stringify(
      {
        $schema: schemaAddress("sweep", "sweep.json"), // as it is from here
        hash: await hashOf(configuration),
        ...configuration,
      },
      undefined,
      2,
    ),
  );
  return 0;
}
