/** Step-by-step definitions in float64; arrays are row-major. */

/** Shapes and options of {@linkcode attentionReference}, by the names of `flashAttention()`. */
export interface AttentionReferenceOptions {
  /** Sequences. */
  batch: number;
  /** Queries per sequence. */
  queryTime: number;
  /** Rows of keys and values per sequence. */
  keyTime: number;
  /** Query heads. */
  heads: number;
  /** Key heads. */
  keyHeads: number;
  /** Elements of a query. */
  dim: number;
  /** Elements of a value. */
  valueDim: number;
  /** Whether later keys are hidden. */
  causal?: boolean;
  /** Keys seen, the query's own among them. */
  window?: number;
  /** First keys of a segment, seen besides the window. */
  sinks?: number;
  /** Factor of a product. */
  scale?: number;
  /** One slope per head. */
  alibiSlopes?: ArrayLike<number>;
  /** Bound of a scaled product. */
  softCap?: number;
  /** Boundaries of packed sequences. */
  segments?: readonly number[];
  /** Position of the first query. */
  queryOffset?: number;
  /** Rows of the keys that are filled. */
  keyLength?: number;
}

/** The keys that the query at position `p` sees, by the definition of each option. */
function visibleKeys(p: number, options: AttentionReferenceOptions): number[] {
  const { causal = true, window = Infinity, sinks = 0, keyLength = options.keyTime } = options;
  const boundaries = options.segments ?? [0, keyLength];
  const keys = [];
  for (let k = 0; k < keyLength; k++) {
    const start = Math.max(...boundaries.filter((boundary) => boundary <= k));
    const end = Math.min(...boundaries.filter((boundary) => boundary > k));
    const sameSegment = options.segments === undefined || (p >= start && p < end);
    const before = !causal || k <= p;
    const near = k > p - window || k < start + sinks;
    if (sameSegment && before && near) keys.push(k);
  }
  return keys;
}

/** Calls `visit` for each query with its keys, its probabilities, its log-sum-exp, and d logit / d score. */
function eachQuery(
  query: ArrayLike<number>,
  key: ArrayLike<number>,
  options: AttentionReferenceOptions,
  visit: (row: {
    queryRow: number;
    keyRows: number[];
    index: number;
    probabilities: number[];
    logSumExp: number;
    slopes: number[];
  }) => void,
): void {
  const { batch, queryTime, keyTime, heads, keyHeads, dim, softCap, alibiSlopes } = options;
  const { keyLength = keyTime, queryOffset = keyLength - queryTime } = options;
  const scale = options.scale ?? 1 / Math.sqrt(dim);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < queryTime; t++) {
      const keys = visibleKeys(t + queryOffset, options);
      for (let h = 0; h < heads; h++) {
        const queryRow = (b * queryTime + t) * heads + h;
        const keyHead = Math.floor(h * keyHeads / heads);
        const keyRows = keys.map((k) => (b * keyTime + k) * keyHeads + keyHead);
        const logits: number[] = [];
        const slopes: number[] = [];
        keys.forEach((k, i) => {
          let score = 0;
          for (let d = 0; d < dim; d++) {
            score += scale * query[queryRow * dim + d] * key[keyRows[i] * dim + d];
          }
          const ratio = softCap === undefined ? 0 : Math.tanh(score / softCap);
          const capped = softCap === undefined ? score : softCap * ratio;
          const distance = Math.abs(t + queryOffset - k);
          logits.push(capped - (alibiSlopes ? alibiSlopes[h] * distance : 0));
          slopes.push(1 - ratio ** 2);
        });
        const largest = Math.max(...logits);
        const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
        const logSumExp = keys.length === 0 ? -1e30 : largest + Math.log(sum);
        const probabilities = logits.map((logit) => Math.exp(logit - largest) / sum);
        const index = (b * heads + h) * queryTime + t;
        visit({ queryRow, keyRows, index, probabilities, logSumExp, slopes });
      }
    }
  }
}

/** `output = softmax(logits) · value` for each query, and the log of the softmax's denominator. */
export function attentionReference(
  { query, key, value }: Record<"query" | "key" | "value", ArrayLike<number>>,
  options: AttentionReferenceOptions,
): { output: Float64Array; logSumExp: Float64Array } {
  const { batch, queryTime, heads, valueDim } = options;
  const output = new Float64Array(batch * queryTime * heads * valueDim);
  const logSumExps = new Float64Array(batch * queryTime * heads);
  eachQuery(query, key, options, ({ queryRow, keyRows, index, probabilities, logSumExp }) => {
    logSumExps[index] = logSumExp;
    keyRows.forEach((keyRow, i) => {
      for (let d = 0; d < valueDim; d++) {
        output[queryRow * valueDim + d] += probabilities[i] * value[keyRow * valueDim + d];
      }
    });
  });
  return { output, logSumExp: logSumExps };
}

/** The gradients of {@linkcode attentionReference}'s output by the chain rule, query by query. */
export function attentionBackwardReference(
  { query, key, value, outputGradient }: Record<
    "query" | "key" | "value" | "outputGradient",
    ArrayLike<number>
  >,
  options: AttentionReferenceOptions,
): { queryGradient: Float64Array; keyGradient: Float64Array; valueGradient: Float64Array } {
  const { dim, valueDim } = options;
  const scale = options.scale ?? 1 / Math.sqrt(dim);
  const queryGradient = new Float64Array(query.length);
  const keyGradient = new Float64Array(key.length);
  const valueGradient = new Float64Array(value.length);
  eachQuery(query, key, options, ({ queryRow, keyRows, probabilities, slopes }) => {
    const probabilityGradients = keyRows.map((keyRow, i) => {
      let gradient = 0;
      for (let d = 0; d < valueDim; d++) {
        const dy = outputGradient[queryRow * valueDim + d];
        gradient += dy * value[keyRow * valueDim + d];
        valueGradient[keyRow * valueDim + d] += probabilities[i] * dy;
      }
      return gradient;
    });
    const mean = probabilityGradients.reduce((sum, dp, i) => sum + probabilities[i] * dp, 0);
    keyRows.forEach((keyRow, i) => {
      const scoreGradient = probabilities[i] * (probabilityGradients[i] - mean) * slopes[i];
      for (let d = 0; d < dim; d++) {
        queryGradient[queryRow * dim + d] += scale * scoreGradient * key[keyRow * dim + d];
        keyGradient[keyRow * dim + d] += scale * scoreGradient * query[queryRow * dim + d];
      }
    });
  });
  return { queryGradient, keyGradient, valueGradient };
}
