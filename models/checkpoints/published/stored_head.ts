import type { Weights } from "../weights.ts";
import type { PublishedModel } from "./family.ts";

/**
 * A model with the head that is stored. Where the config ties the head to the embedding, and a head
 * that differs from it is stored all the same, the stored one is used, as transformers does.
 */
export async function withStoredHead(
  model: PublishedModel,
  weights: Weights,
): Promise<PublishedModel> {
  const { configuration, sources } = model;
  const head = sources.get("head.weight");
  const embedding = sources.get("embedding.weight");
  if (!configuration.tiedHead || !head || !embedding) return model;
  const isStored = [head, embedding].every(({ name }) => weights.tensors.has(name));
  if (!isStored || await weights.areEqual(head.name, embedding.name)) return model;
  return { ...model, configuration: { ...configuration, tiedHead: false } };
}
