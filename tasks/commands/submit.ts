import { fromFileUrl, join, resolve } from "@std/path";
import { replaceFile } from "../../models/checkpoints/replace_file.ts";
import { kubernetesJob } from "../sweep/kubernetes.ts";
import { type JobArray, slurmScript, submitCommands } from "../sweep/slurm.ts";
import { visible } from "../names.ts";
import { UsageError } from "./options.ts";
import { SHARD_PERMISSIONS } from "./permissions.ts";
import { print, printError } from "./terminal.ts";

/** What is submitted. */
export interface Submission {
  /** The sweep's name. */
  readonly name: string;
  /** The words that say what is swept. */
  readonly asked: readonly string[];
  /** The words that say how models are loaded. */
  readonly loading: readonly string[];
  /** In how many shards. */
  readonly shards: number;
  /** The results' folder. */
  readonly out: string;
}

/** The script's name in its folder. */
const SCRIPT = "sweep.sh";

/**
 * Writes a batch script and submits it to Slurm: a job array, and the job that merges its shards.
 *
 * @param dryRun Prints the script, and does no more.
 * @returns The exit code.
 * @throws {UsageError} where there is no `sbatch`, or it refuses.
 */
export async function submitToSlurm(
  { name, asked, loading, shards, out }: Submission,
  options: string | undefined,
  dryRun: boolean,
): Promise<number> {
  const logs = resolve(out, "slurm");
  const script = join(logs, SCRIPT);
  const job: JobArray = {
    name: `lengthwise-${name}`,
    shards,
    program: [Deno.execPath(), "run", SHARD_PERMISSIONS, mainModule()],
    sweep: [...asked, ...loading],
    merge: loading,
    out: resolve(out),
    logs,
    directory: Deno.cwd(),
    options,
  };
  if (dryRun) {
    print(slurmScript(job, script).trimEnd());
    return 0;
  }
  await Deno.mkdir(logs, { recursive: true }); // Slurm makes no folder for its logs
  await replaceFile(script, slurmScript(job, script));
  const array = await sbatch(submitCommands(job, script, "")[0]);
  const merge = await sbatch(submitCommands(job, script, array)[1]);
  print(`job ${array} runs ${shards} shards, job ${merge} merges them into ${visible(out)}`);
  print(`the script and the logs are in ${logs}; squeue -j ${array},${merge} shows the jobs`);
  return 0;
}

/** Runs sbatch. @returns The job's number. */
async function sbatch([command, ...args]: readonly string[]): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command, { args, stdout: "piped", stderr: "piped" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UsageError(
      "Cannot submit as there is no sbatch here: run this where Slurm's commands are, or print the script alone by --slurm --dry-run",
      { cause: error },
    );
  }
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).trim();
  if (!output.success) {
    const reason = text(output.stderr).replace(/\s*\n\s*/g, "; ");
    throw new UsageError(
      `Cannot submit by ${command} ${
        args.join(" ")
      }: ${reason}; --slurm --dry-run prints the script alone`,
    );
  }
  return text(output.stdout).split(";")[0]; // behind a semicolon the cluster's name, where it has one
}

/** Prints the manifest of an Indexed Job. @returns The exit code. */
export function printKubernetesJob(
  { name, asked, loading, shards }: Submission,
  image: string,
  claim: string,
): number {
  const files = asked.filter((word) => word.endsWith(".json") && !word.startsWith("-"));
  for (const file of files) printError(`the image must hold ${visible(file)}`);
  print(
    JSON.stringify(
      kubernetesJob({ name, shards, image, sweep: [...asked, ...loading], claim }),
      undefined,
      2,
    ),
  );
  return 0;
}

function mainModule(): string {
  return Deno.mainModule.startsWith("file:") ? fromFileUrl(Deno.mainModule) : Deno.mainModule;
}
