import type { PromptTemplate } from "./wording.ts";

/** RWKV's conversation: a greeting that is answered, then the question. */
const RWKV: PromptTemplate = {
  name: "rwkv",
  special: true,
  render: (question, answerPrefix) =>
    `User: hi\n\nAssistant: Hi. I am your assistant and I will provide expert full response in full details. Please feel free to ask any question and I will always answer it\n\nUser: ${question}\n\nAssistant:${answerPrefix}`,
};

/** An instruction with its input, in which the paper asks both Sheared-LLaMAs, the base one too. */
const SHEARED_LLAMA: PromptTemplate = {
  name: "sheared-llama",
  special: true,
  render: (question, answerPrefix) =>
    `You are a helpful assistant. Write a response that appropriately completes the request.\n\n### Input:\n${question}\n\n### Response:${answerPrefix}`,
};

/**
 * Prompts that any model can be asked in, by name: those in which Huang 2025 (arXiv 2407.08112) asks
 * models whose files name none, as its repository has them.
 */
export const PUBLISHED_TEMPLATES: readonly PromptTemplate[] = [RWKV, SHEARED_LLAMA];
