/** How many kernels a generated token and a training step dispatch: what the host pays for. */
import { assert, assertEquals } from "@std/assert";
import { type Code, load } from "../../bench/checkout.ts";
import { generation, LAYERS, profile, training } from "../../bench/work.ts";
import { Gpu } from "../../kernels/gpu/mod.ts";
import { ARCHITECTURES } from "../../models/mod.ts";

/** The most that these may take per layer of a generated token, the embedding and the head counted in. */
const PER_LAYER = { transformer: 8, mamba2: 8, gla: 9, "gated-deltanet": 9 };
/** The most that a training step of the two-layer transformer may take; a GPU's norms have gradients in two. */
const TRANSFORMER_STEP = { software: 90, gpu: 95 };

/** What a token of six layers, and a training step, take on a software adapter: at most as many as here. */
const TODAY: Readonly<Record<string, readonly [token: number, step: number]>> = {
  transformer: [46, 90],
  mamba2: [34, 80],
  gla: [52, 141],
  "linear-attention": [52, 104],
  retnet: [52, 118],
  hgrn2: [58, 104],
  deltanet: [46, 132],
  "gated-deltanet": [52, 165],
  deltaproduct: [106, 187],
  kda: [64, 180],
  hgrn: [124, 156],
  lfm2: [54, 136],
  mamba1: [40, 118],
  rwkv6: [179, 426],
  rwkv7: [223, 478],
  griffin: [50, 159],
  "mamba2-attention": [34, 101],
};

let opened: Promise<Record<"software" | "gpu", Code>> | undefined;

/** This checkout on the adapter at hand as it is, and taken for a GPU. */
function checkouts(): Promise<Record<"software" | "gpu", Code>> {
  return opened ??= load(new URL("../../", import.meta.url)).then((software) => {
    const { device, adapter } = software.gpu;
    const gpu = new Gpu(device, { ...adapter, software: false }, { poison: false, owns: false });
    return { software, gpu: { ...software, gpu } };
  });
}

async function tokenDispatches(code: Code, name: string): Promise<number> {
  using work = generation(code, name, 5);
  const { dispatches } = await profile(code, work);
  return (work.parts * dispatches - 1) / (work.parts - 1); // the prompt's logits choose the first
}

async function stepDispatches(code: Code, name: string): Promise<number> {
  const { trainer, batch } = await training(code, name, { record: false });
  using _trainer = trainer;
  using recording = code.gpu.record(() => trainer.step(batch, 0, 1e-3));
  for (const { losses, correct } of recording.result) {
    losses[Symbol.dispose]();
    correct[Symbol.dispose]();
  }
  return recording.dispatches;
}

for (const adapter of ["software", "gpu"] as const) {
  Deno.test(`a token and a training step take few dispatches, on a ${adapter} adapter`, async () => {
    const code = (await checkouts())[adapter];
    for (const [name, most] of Object.entries(PER_LAYER)) {
      const token = await tokenDispatches(code, name);
      assert(token <= most * LAYERS, `${name}: ${token} in ${LAYERS} layers, over ${most} each`);
    }
    const step = await stepDispatches(code, "transformer");
    const most = TRANSFORMER_STEP[adapter];
    assert(step <= most, `a transformer's step: ${step}, over ${most}`);
  });
}

Deno.test("no architecture takes more dispatches than it did", async () => {
  const { software } = await checkouts();
  if (!software.gpu.adapter.software) return;
  assertEquals(Object.keys(TODAY).sort(), Object.keys(ARCHITECTURES).sort());
  const grown: Record<string, string> = {};
  for (const [name, [token, step]] of Object.entries(TODAY)) {
    const now = [await tokenDispatches(software, name), await stepDispatches(software, name)];
    if (now[0] > token || now[1] > step) grown[name] = `${now}, before ${token},${step}`;
  }
  assertEquals(grown, {});
});
