import {
  checkRank,
  checkTensor,
  elementKernel,
  FLOATS,
  type Gpu,
  type Kernel,
  kernel,
  LOOP_ITERATIONS,
  type Tensor,
} from "../gpu/mod.ts";
import embeddingBackwardSource from "./embedding_backward.wgsl" with { type: "text" };
import embeddingSource from "./embedding.wgsl" with { type: "text" };

const EMBEDDING = {
  scalar: elementKernel("embedding", embeddingSource),
  vector: elementKernel(
    "embedding",
    byVectors(embeddingSource).replace(
      "alias Stored = ElementWeight;",
      "alias Stored = vec4<ElementWeight>;",
    ),
  ),
};
const EMBEDDING_BACKWARD = forms("embedding_backward", embeddingBackwardSource);

/** A kernel over floats, and its twin over vec4s of them. */
interface Forms {
  readonly scalar: Kernel;
  readonly vector: Kernel;
}

function forms(label: string, source: string): Forms {
  return {
    scalar: kernel(label, source),
    vector: kernel(label, byVectors(source)),
  };
}

function byVectors(source: string): string {
  return source.replace("alias Element = f32;", "alias Element = vec4f;");
}

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
  readonly tokens: Tensor;
  /** `[vocabulary, width]`, f32 or f16. */
  readonly weight: Tensor;
}

/** What {@linkcode embedding} returns. */
export interface EmbeddingOutputs {
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
  const form = elements === 4 ? EMBEDDING.vector : EMBEDDING.scalar;
  gpu.dispatch(form({ ElementWeight: weight.dtype }), {
    uniform: [tokens.size, vocabulary, width / elements],
    read: { tokens, weight },
    write: { output },
    workgroups: Math.ceil(output.size / elements / 64),
  });
  return { output };
}

/** What {@linkcode embeddingBackward} takes. */
export interface EmbeddingBackwardInputs {
  /** `[...]`, u32. */
  readonly tokens: Tensor;
  /** `[..., width]`. */
  readonly outputGradient: Tensor;
}

/** Options of {@linkcode embeddingBackward}. */
export interface EmbeddingBackwardOptions {
  /** The rows that `weight` has. */
  readonly vocabulary: number;
}

/** What {@linkcode embeddingBackward} returns. */
export interface EmbeddingGradients {
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
  { vocabulary }: EmbeddingBackwardOptions,
): EmbeddingGradients {
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
    gpu.dispatch(elements === 4 ? EMBEDDING_BACKWARD.vector : EMBEDDING_BACKWARD.scalar, {
      constants: { LANES: lanes },
      uniform: [vocabulary, columns, buckets, first, last],
      read: { tokens, outputGradient },
      write: { weightGradient },
      workgroups: [buckets, Math.ceil(columns / lanes)],
    });
  }
  return { weightGradient };
}
