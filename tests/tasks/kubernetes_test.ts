import { assert, assertEquals, assertThrows } from "@std/assert";
import { Job } from "kubernetes-models/batch/v1/Job";
import { kubernetesJob } from "../../tasks/sweep/kubernetes.ts";

const INDEXED_JOB = {
  name: "default",
  shards: 8,
  image: "registry.example/lengthwise:0.1.0",
  sweep: ["default", "--models=mamba2-mixture"],
  claim: "results",
};

/** As Kubernetes' schema has it, and by the rules of an Indexed Job that the schema does not hold. */
function check(manifest: Record<string, unknown>): void {
  const job = new Job(manifest as ConstructorParameters<typeof Job>[0]);
  job.validate();
  const { spec, metadata } = job;
  const { completions, parallelism, completionMode, template } = spec!;
  assertEquals(completionMode, "Indexed");
  assert(Number.isInteger(completions) && completions! >= 1, `completions: ${completions}`);
  assert(parallelism! >= 1 && parallelism! <= completions!, `parallelism: ${parallelism}`);
  // A pod is called <job>-<index>-<five letters>, and its host <job>-<index>: at most 63 letters.
  assert(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(metadata!.name!), metadata!.name);
  assert(`${metadata!.name}-${completions! - 1}`.length <= 57);
  // A limit for each index takes pods that are not started again in their place.
  if (spec!.backoffLimitPerIndex !== undefined) assertEquals(template.spec!.restartPolicy, "Never");
  const known = [
    "completionMode",
    "completions",
    "parallelism",
    "backoffLimitPerIndex",
    "template",
  ];
  assertEquals(Object.keys(spec!).filter((key) => !known.includes(key)), []);
  const volumes = template.spec!.volumes!.map(({ name }) => name);
  const [container] = template.spec!.containers;
  for (const { name } of container.volumeMounts!) assert(volumes.includes(name));
}

Deno.test("the Indexed Job is valid, and each pod runs the shard of its index", () => {
  const manifest = kubernetesJob(INDEXED_JOB);
  check(manifest);
  const [container] = new Job(manifest as ConstructorParameters<typeof Job>[0]).spec!.template.spec!
    .containers;
  assertEquals(
    container.command!.join(" "),
    [
      "deno task sweep default --models=mamba2-mixture --out /results/default --resume",
      "--shard $(JOB_COMPLETION_INDEX)/8",
    ].join(" "),
  );
});

Deno.test("the check of the manifest can fail", () => {
  const broken = (change: (spec: Record<string, unknown>) => void): Record<string, unknown> => {
    const manifest = structuredClone(kubernetesJob(INDEXED_JOB));
    change(manifest.spec as Record<string, unknown>);
    return manifest;
  };
  const changes: ((spec: Record<string, unknown>) => void)[] = [
    (spec) => delete spec.completions,
    (spec) => delete spec.completionMode,
    (spec) => delete spec.template,
    (spec) => spec.completions = "8",
    (spec) => spec.parallelism = 9,
    (spec) => spec.paralelism = 2,
    (spec) =>
      (spec.template as { spec: { restartPolicy: string } }).spec.restartPolicy = "OnFailure",
  ];
  for (const change of changes) {
    assertThrows(() => check(broken(change)), Error, "", `${change}`);
  }
});

Deno.test("names and words that Kubernetes would not take as they are", () => {
  for (const name of ["Paper Length!", "x".repeat(100), "ruler_13", "a.b-"]) {
    check(kubernetesJob({ ...INDEXED_JOB, name, shards: 1000 }));
  }
  const job = JSON.stringify(kubernetesJob({ ...INDEXED_JOB, sweep: ["--text=$(HOME)/a.txt"] }));
  assert(job.includes('"--text=$$(HOME)/a.txt"'), job);
});
