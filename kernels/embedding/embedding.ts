import {
  checkOption,
  checkOptions,
  checkRank,
  checkTensor,
  FLOATS,
  type Gpu,
  integer,
  LOOP_ITERATIONS,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { EMBEDDING } from "./shaders.ts";

const EMBEDDING_LOOKUP = EMBEDDING.kernel("embedding");
const EMBEDDING_BACKWARD = EMBEDDING.kernel("embedding_backward");

/** What an invocation takes of a row, by its number of floats and how they are stored. */
const ELEMENT = { 1: { f32: "f32", f16: "f16" }, 4: { f32: "vec4f", f16: "vec4h" } } as const;

/**
 * Into how many buckets the vocabulary is dealt. Each bucket reads all tokens, so their number is the
 * parallelism bought with reads: a software adapter has a few cores, a GPU wants hundreds.
 */
function bucketCount(gpu: Gpu, vocabulary: number): number {
  return Math.min(vocabulary, gpu.adapter.software ? 8 : 256);
}

/** What {@linkcode embedding} takes. */
export interface EmbeddingInputs {
  /** `[...]`, u32. */
  readonly tokens: Tensor<"u32">;
  /** `[vocabulary, width]`, f32 or f16. */
  readonly weight: Tensor;
}

/** What {@linkcode embedding} returns. */
export interface EmbeddingOutputs extends Disposable {
  /** `[..., width]`. */
  readonly output: Tensor;
}

/**
 * The row of `weight` that each token names; a row of zeros for a token past the vocabulary.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function embedding(gpu: Gpu, { tokens, weight }: EmbeddingInputs): EmbeddingOutputs {
  checkTensor("embedding", "tokens", tokens, tokens.shape, "u32");
  checkRank("embedding", "weight", weight, ["vocabulary", "width"]);
  checkTensor("embedding", "weight", weight, weight.shape, FLOATS);
  const [vocabulary, width] = weight.shape;
  const output = gpu.empty([...tokens.shape, width]);
  const elements = width % 4 === 0 ? 4 : 1;
  const { f32: Element, [weight.dtype as "f32" | "f16"]: Stored } = ELEMENT[elements];
  gpu.dispatch(EMBEDDING_LOOKUP, {
    constants: { Element, Stored },
    uniform: { count: tokens.size, vocabulary, width: width / elements },
    read: { tokens, weight },
    write: { output },
    workgroups: Math.ceil(output.size / elements / 64),
  });
  return results({ output });
}

/** What {@linkcode embeddingBackward} takes. */
export interface EmbeddingBackwardInputs {
  /** `[...]`, u32. */
  readonly tokens: Tensor<"u32">;
  /** `[..., width]`. */
  readonly outputGradient: Tensor;
}

/** Options of {@linkcode embeddingBackward}. */
export interface EmbeddingBackwardOptions {
  /** The rows that `weight` has. */
  readonly vocabulary: number;
}

/** What {@linkcode embeddingBackward} returns. */
export interface EmbeddingGradients extends Disposable {
  /** `[vocabulary, width]`. */
  readonly weightGradient: Tensor;
}

/**
 * The gradient of {@linkcode embedding}: each row of `weight` gets the sum of the gradients of the
 * tokens that name it, added in their order. A token past the vocabulary is passed over.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function embeddingBackward(
  gpu: Gpu,
  { tokens, outputGradient }: EmbeddingBackwardInputs,
  options: EmbeddingBackwardOptions,
): EmbeddingGradients {
  const { vocabulary } = options;
  checkOptions("embeddingBackward", options, { vocabulary: integer(0) });
  checkOption("embeddingBackward", "vocabulary", vocabulary, integer(0));
  const width = outputGradient.shape.at(-1) ?? 1;
  checkTensor("embeddingBackward", "tokens", tokens, tokens.shape, "u32");
  checkTensor("embeddingBackward", "outputGradient", outputGradient, [...tokens.shape, width]);
  const weightGradient = gpu.tensor([vocabulary, width]);
  const elements = width % 4 === 0 ? 4 : 1;
  const columns = width / elements;
  const lanes = Math.min(64, 2 ** Math.ceil(Math.log2(Math.max(1, columns))));
  const buckets = bucketCount(gpu, vocabulary);
  for (let first = 0; first < tokens.size; first += LOOP_ITERATIONS) {
    const last = Math.min(first + LOOP_ITERATIONS, tokens.size);
    gpu.dispatch(EMBEDDING_BACKWARD, {
      constants: { Element: ELEMENT[elements].f32, LANES: lanes },
      uniform: { vocabulary, width: columns, buckets, first, last },
      read: { tokens, outputGradient },
      write: { weightGradient },
      workgroups: [buckets, Math.ceil(columns / lanes)],
    });
  }
  return results({ weightGradient });
}
