/** What an Indexed Job runs. */
export interface IndexedJob {
  /** The sweep's name. */
  readonly name: string;
  /** Into how many shards the sweep is cut. */
  readonly shards: number;
  /** An image that has Deno and a Vulkan driver, and whose working directory is this repository. */
  readonly image: string;
  /** What is swept: the words behind `sweep`. */
  readonly sweep: readonly string[];
  /** The persistent volume claim that all pods write their results to. */
  readonly claim: string;
}

/** Where the claim is mounted. */
const RESULTS = "/results";
/** How often a shard's pod is made again, for a lost node or a lost device. */
const RETRIES = 3;

/**
 * An Indexed Job for Kubernetes, as plain data: one pod a shard, which knows its own by
 * `JOB_COMPLETION_INDEX`. A pod that takes another's place continues with its journal.
 */
export function kubernetesJob({ name, shards, image, sweep, claim }: IndexedJob): Record<
  string,
  unknown
> {
  const label = labelOf(`lengthwise-${name}`);
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: label, labels: { "app.kubernetes.io/name": "lengthwise" } },
    spec: {
      completionMode: "Indexed",
      completions: shards,
      parallelism: shards,
      backoffLimitPerIndex: RETRIES,
      template: {
        spec: {
          restartPolicy: "Never",
          containers: [{
            name: "sweep",
            image,
            command: ["deno", "task", "sweep", ...sweep.map(escaped)].concat([
              "--out",
              `${RESULTS}/${escaped(name)}`,
              "--resume",
              "--shard",
              `$(JOB_COMPLETION_INDEX)/${shards}`,
            ]),
            resources: { limits: { "nvidia.com/gpu": 1 } },
            volumeMounts: [{ name: "results", mountPath: RESULTS }],
          }],
          volumes: [{ name: "results", persistentVolumeClaim: { claimName: claim } }],
        },
      },
    },
  };
}

/** A name as Kubernetes takes it, which leaves room for a pod's index and random end. */
function labelOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").slice(0, 48).replaceAll(/^-+|-+$/g, "");
}

/** A word in which Kubernetes replaces nothing. */
function escaped(word: string): string {
  return word.replaceAll("$(", "$$$$(");
}
