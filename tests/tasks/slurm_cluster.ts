import { join } from "@std/path";
import { type Ending, ending, until } from "./process.ts";

/**
 * A Slurm of its own on this machine: one controller, one node, everything in a temporary folder.
 * It authenticates nobody, so that it is for loopback only.
 */
export class SlurmCluster implements AsyncDisposable {
  /** The folder of its settings, states and logs. */
  readonly folder: string;
  /** What a process needs to find it. */
  readonly env: Readonly<Record<string, string>>;
  readonly #daemons: Deno.ChildProcess[] = [];

  private constructor(folder: string) {
    this.folder = folder;
    this.env = { SLURM_CONF: join(folder, "slurm.conf") };
  }

  /**
   * Starts one, and waits until its node is idle.
   *
   * @throws {Error} where Slurm is not installed, or does not come up.
   */
  static async start(cpus: number): Promise<SlurmCluster> {
    const cluster = new SlurmCluster(await Deno.makeTempDir({ prefix: "slurm" }));
    try {
      await cluster.#start(cpus);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Runs a command of Slurm's. */
  async run(command: string, ...args: string[]): Promise<Ending> {
    try {
      return await ending(new Deno.Command(command, { args, env: this.env }));
    } catch (error) {
      throw missing(command, error);
    }
  }

  /** What Slurm says of a job or of one task of an array, `12_0`: its fields by their names. */
  async job(id: string): Promise<Record<string, string>> {
    const { stdout } = await this.run("scontrol", "-o", "show", "job", id);
    return Object.fromEntries(
      stdout.trim().split("\n").at(-1)!.split(" ").map((field) => {
        const at = field.indexOf("=");
        return [field.slice(0, at), field.slice(at + 1)];
      }),
    );
  }

  /** Waits until none of the jobs is waiting or running. @throws {Error} after `seconds`. */
  async finish(jobs: readonly string[], seconds: number): Promise<void> {
    await until(`the end of jobs ${jobs}`, seconds, async () => {
      const { code, stdout } = await this.run(
        "squeue",
        "-h",
        "-t",
        "PD,R,CG,CF",
        "-j",
        jobs.join(),
      );
      return code === 0 && stdout.trim() === "";
    });
  }

  /** The daemons' logs, for an error. */
  logs(): string {
    return ["slurmctld.log", "slurmd.log"].map((name) => {
      try {
        return Deno.readTextFileSync(join(this.folder, name)).slice(-3000);
      } catch {
        return `no ${name}`;
      }
    }).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#daemons.length > 0) await this.run("scancel", "--me").catch(() => {});
    for (const daemon of this.#daemons.toReversed()) {
      try {
        daemon.kill("SIGTERM");
      } catch {
        // it has ended
      }
      await daemon.status;
    }
    await Deno.remove(this.folder, { recursive: true });
  }

  async #start(cpus: number): Promise<void> {
    const { folder } = this;
    for (const name of ["state", "spool"]) await Deno.mkdir(join(folder, name));
    const [controller, node] = [freePort(), freePort()];
    const user = new TextDecoder().decode(
      (await new Deno.Command("id", { args: ["-un"] }).output()).stdout,
    ).trim();
    await Deno.writeTextFile(
      this.env.SLURM_CONF,
      `ClusterName=test
SlurmctldHost=localhost
SlurmctldPort=${controller}
SlurmdPort=${node}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1
MinJobAge=3600
KillWait=1
NodeName=localhost CPUs=${cpus}
PartitionName=test Nodes=ALL Default=YES
`,
    );
    this.#daemon("slurmctld", "-D");
    this.#daemon("slurmd", "-D", "-N", "localhost");
    await until("an idle node", 60, async () => {
      const { stdout } = await this.run("sinfo", "-h", "-o", "%T");
      return stdout.trim() === "idle";
    }).catch((error) => {
      throw new Error(`${error.message}\n${this.logs()}`);
    });
  }

  #daemon(command: string, ...args: string[]): void {
    try {
      const daemon = new Deno.Command(command, {
        args,
        env: { ...this.env, PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin` },
        stdout: "null",
        stderr: "null",
      }).spawn();
      this.#daemons.push(daemon);
    } catch (error) {
      throw missing(command, error);
    }
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function missing(command: string, error: unknown): unknown {
  return error instanceof Deno.errors.NotFound
    ? new Error(
      `Cannot test job arrays as there is no ${command}: install Slurm (Debian's slurmctld, slurmd and slurm-client)`,
      { cause: error },
    )
    : error;
}
