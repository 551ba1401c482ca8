import { type Matrix, quantizedBits, QuantizedMatrix } from "../common/quantized_matrix.ts";
import {
  type AnyTensor,
  checkNames,
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

/** Names of inputs; an op and its gradients may be handed the same. */
const INPUTS = ["tokens", "weight", "outputGradient"];

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
  /**
   * `[vocabulary, width]`, f32, f16 or quantized; or a list: its rows in several tensors, in their order,
   * where they are more than one binding may have.
   */
  readonly weight: Matrix | readonly Matrix[];
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
export function embedding(gpu: Gpu, inputs: EmbeddingInputs): EmbeddingOutputs {
  checkNames("embedding", inputs, INPUTS);
  const { tokens, weight } = inputs;
  checkTensor("embedding", "tokens", tokens, tokens.shape, "u32");
  const blocks = weight instanceof Array ? weight : [weight];
  const width = blocks[0]?.shape?.[1] ?? 0;
  blocks.forEach((block, i) =>
    checkWeight(block === weight ? "weight" : `weight[${i}]`, block, width)
  );
  const vocabulary = blocks.reduce((sum, { shape: [rows] }) => sum + rows, 0);
  const output = gpu.empty([...tokens.shape, width]);
  const elements = width % 4 === 0 ? 4 : 1;
  let first = 0;
  for (const block of blocks) {
    const { f32: Element, [block.dtype === "f16" ? "f16" : "f32"]: Stored } = ELEMENT[elements];
    const [rows] = block.shape;
    if (rows === 0 && first + rows < vocabulary) continue;
    gpu.dispatch(EMBEDDING_LOOKUP, {
      constants: { FOURS: elements === 4, Element, Stored, BITS: quantizedBits(block) },
      uniform: { count: tokens.size, vocabulary, width: width / elements, first, rows },
      read: { tokens, ...storedWeight(block) },
      write: { output },
      workgroups: Math.ceil(output.size / elements / 64),
    });
    first += rows;
  }
  return results({ output });
}

function checkWeight(name: string, weight: Matrix, width: number): void {
  if (weight instanceof QuantizedMatrix) {
    if (weight.shape[1] === width) return;
    throw new RangeError(
      `Cannot run embedding() as ${name} must have ${width} columns: current shape is [${weight.shape}]`,
    );
  }
  checkRank("embedding", name, weight, ["vocabulary", "width"]);
  checkTensor("embedding", name, weight, [weight.shape[0], width], FLOATS);
}

function storedWeight(weight: Matrix): { weight: AnyTensor; scales?: AnyTensor } {
  return weight instanceof QuantizedMatrix
    ? { weight: weight.values, scales: weight.scales }
    : { weight };
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
  /** The rows that `weight` has; or of several blocks of rows one. */
  readonly vocabulary: number;
  /** The token that the first of these rows is of. @default 0 */
  readonly firstToken?: number;
}

/** What {@linkcode embeddingBackward} returns. */
export interface EmbeddingGradients extends Disposable {
  /** `[vocabulary, width]`. */
  readonly weightGradient: Tensor;
}

/**
 * The gradient of {@linkcode embedding}: each row of `weight` gets the sum of the gradients of the
 * tokens that name it, added in their order. A token that none of the rows is of is passed over.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function embeddingBackward(
  gpu: Gpu,
  inputs: EmbeddingBackwardInputs,
  options: EmbeddingBackwardOptions,
): EmbeddingGradients {
  checkNames("embeddingBackward", inputs, INPUTS);
  const { tokens, outputGradient } = inputs;
  const { vocabulary, firstToken = 0 } = options;
  checkOptions("embeddingBackward", options, { vocabulary: integer(0), firstToken: integer(0) });
  checkOption("embeddingBackward", "vocabulary", vocabulary, integer(0));
  const width = outputGradient.shape.at(-1) ?? 1;
  checkTensor("embeddingBackward", "tokens", tokens, tokens.shape, "u32");
  checkTensor("embeddingBackward", "outputGradient", outputGradient, [...tokens.shape, width]);
  const weightGradient = gpu.tensor([vocabulary, width]);
  const elements = width % 4 === 0 ? 4 : 1;
  const columns = width / elements;
  const WORKGROUP_SIZE = Math.min(64, 2 ** Math.ceil(Math.log2(Math.max(1, columns))));
  const buckets = bucketCount(gpu, vocabulary);
  for (let first = 0; first < tokens.size; first += LOOP_ITERATIONS) {
    const last = Math.min(first + LOOP_ITERATIONS, tokens.size);
    gpu.dispatch(EMBEDDING_BACKWARD, {
      constants: { Element: ELEMENT[elements].f32, WORKGROUP_SIZE },
      uniform: { firstToken, vocabulary, width: columns, buckets, first, last },
      read: { tokens, outputGradient },
      write: { weightGradient },
      workgroups: [buckets, Math.ceil(columns / WORKGROUP_SIZE)],
    });
  }
  return results({ weightGradient });
}
