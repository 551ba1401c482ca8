import { visible } from "../names.ts";

/** What a job array runs. */
export interface JobArray {
  /** The job's name. */
  readonly name: string;
  /** Into how many shards the sweep is cut. */
  readonly shards: number;
  /** Runs the command line: the words before `sweep` or `merge`. */
  readonly program: readonly string[];
  /** What is swept: the words behind `sweep`. */
  readonly sweep: readonly string[];
  /** The options of `merge`. */
  readonly merge: readonly string[];
  /** The results' folder, as an absolute path. */
  readonly out: string;
  /** Where the script and the logs go, as an absolute path. */
  readonly logs: string;
  /** Where the program runs, as an absolute path. */
  readonly directory: string;
  /** More options of sbatch, as they are typed. */
  readonly options?: string;
}

/**
 * A batch script for Slurm: as a job array it runs shards, and as a plain job, which waits for the
 * array, it merges them. Its first lines say how to submit it, as {@linkcode submitCommands} does.
 *
 * A task that Slurm runs again, after a node was lost or given to another job, continues with its own
 * journal and its own log.
 *
 * @throws {RangeError} where the options are more than a line, or a word holds a control character.
 */
export function slurmScript(job: JobArray, script: string): string {
  const { name, shards, program, sweep, out, logs, directory, options = "" } = job;
  if (visible(options) !== options) {
    throw new RangeError(
      `Cannot write options of sbatch that are more than a line of text: current options are ${
        visible(options)
      }`,
    );
  }
  // In a comment or a directive no quotes hold a line together, and nobody sees what is in a name.
  for (const word of [script, name, ...program, ...sweep, out, logs, directory, ...job.merge]) {
    if (visible(word) === word) continue;
    throw new RangeError(
      `Cannot write ${visible(word)} into a script as it holds a line end or a control character`,
    );
  }
  const [array, merge] = submitCommands(job, script, "$array");
  const words = (list: readonly string[]): string => list.map(shellWord).join(" ");
  return [
    "#!/bin/sh",
    "# A sweep in shards, and the job that merges them. Submit both, again to continue with them:",
    `#   array=$(${words(array)})`,
    `#   ${words(merge).replace(/'(\S*)\$array'/, '"$1$array"')}`,
    directive("job-name", name),
    directive("chdir", directory),
    directive("output", `${logs.replaceAll("%", "%%")}/%A_%a.log`),
    "#SBATCH --open-mode=append --requeue",
    ...(options.trim() === "" ? [] : [`#SBATCH ${options.trim()}`]),
    "",
    'if [ -z "${SLURM_ARRAY_TASK_ID-}" ]; then',
    `  exec ${words([...program, "merge", out, ...job.merge])}`,
    "fi",
    `exec ${words([...program, "sweep", ...sweep, "--out", out, "--resume"])} \\`,
    `  --shard "$SLURM_ARRAY_TASK_ID/${shards}"`,
    "",
  ].join("\n");
}

/** The commands that submit the array, and after it, with its number, the merge. */
export function submitCommands(
  { shards, logs }: JobArray,
  script: string,
  array: string,
): [array: string[], merge: string[]] {
  return [
    ["sbatch", "--parsable", `--array=0-${shards - 1}`, script],
    [
      "sbatch",
      "--parsable",
      `--dependency=afterany:${array}`,
      `--output=${logs.replaceAll("%", "%%")}/merge.log`,
      script,
    ],
  ];
}

function directive(option: string, value: string): string {
  return `#SBATCH --${option}=${/[^\w@%+:,./-]/.test(value) ? JSON.stringify(value) : value}`;
}

/** A word as a POSIX shell reads it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
