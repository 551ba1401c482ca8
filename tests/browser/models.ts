/** What runs in a browser: models that are loaded from addresses and from contents. */
import { type Gpu, openGpu } from "../../kernels/mod.ts";
import {
  cacheFolder,
  JsonTokenizer,
  loadModel,
  loadTokenizer,
  type ModelFiles,
  openWeights,
  saveModel,
} from "../../models/mod.ts";

/** A model that a page is to run. */
export interface BrowserModel {
  /** Its folder, as the server calls it. */
  readonly folder: string;
  /** Its weights, in the folder. */
  readonly weights: string;
  /** How they are given. */
  readonly as: "address" | "bytes" | "blob";
  /** What it continues. */
  readonly prompt: readonly number[];
}

/** How many tokens a model adds. */
export const ADDED = 24;

let opened: Promise<Gpu> | undefined;

async function generate({ folder, weights, as, prompt }: BrowserModel): Promise<readonly number[]> {
  const gpu = await (opened ??= openGpu());
  const address = new URL(folder, location.href);
  const contents = async (): Promise<ModelFiles> => {
    const config = await (await fetch(new URL("config.json", address))).text();
    const blob = await (await fetch(new URL(weights, address))).blob();
    return as === "bytes"
      ? { config: JSON.parse(config), weights: new Uint8Array(await blob.arrayBuffer()) }
      : { config, weights: new File([blob], "chosen") };
  };
  using model = await loadModel(gpu, as === "address" ? address : await contents());
  return await model.generate(prompt, { maxTokens: ADDED });
}

/** What is refused in a browser, and how. */
async function refusals(): Promise<Readonly<Record<string, string>>> {
  await using gpu = await openGpu();
  using model = await loadModel(gpu, new URL("models/zoo/gla-text/", location.href));
  const calls: Readonly<Record<string, () => unknown>> = {
    folder: () => loadModel(gpu, "models/zoo/gla-text"),
    file: () => loadModel(gpu, new URL("file:///models/zoo/gla-text/")),
    hub: () => loadModel(gpu, "hf:state-spaces/mamba2-130m"),
    save: () => saveModel(model, "somewhere"),
    weights: () => openWeights("models/zoo/gla-text"),
    cache: () => cacheFolder(),
    tokenizer: () => loadTokenizer("models"),
    json: () => new JsonTokenizer({}, {}, "tokenizer.json"),
    missing: () => loadModel(gpu, new URL("models/zoo/gla-text/nowhere/", location.href)),
  };
  const messages: Record<string, string> = {};
  for (const [name, call] of Object.entries(calls)) {
    try {
      await call();
      messages[name] = "not refused";
    } catch (error) {
      messages[name] = (error as Error).message;
    }
  }
  return messages;
}

Object.assign(globalThis, { generate, refusals });
