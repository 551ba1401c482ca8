import {
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  type Gpu,
  integer,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { POSITION } from "./shaders.ts";

const ROTARY_APPEND = POSITION.kernel("rotary_append");

/** Names of inputs. */
const INPUTS = ["query", "key", "value", "keyCache", "valueCache", "frequencies", "position"];

/** What {@linkcode rotaryAppend} takes. */
export interface RotaryAppendInputs {
  /** `[batch, 1, heads, dim]`; left out where nothing turns. */
  readonly query?: Tensor;
  /** `[batch, 1, keyHeads, dim]`. */
  readonly key: Tensor;
  /** `[batch, 1, keyHeads, valueDim]`. */
  readonly value: Tensor;
  /** Written in one row: `[batch, rows, keyHeads, dim]`. */
  readonly keyCache: Tensor;
  /** Written in one row: `[batch, rows, keyHeads, valueDim]`. */
  readonly valueCache: Tensor;
  /** From `rotaryFrequencies()`: `[pairs, 2]`, u32; left out where `query` is. */
  readonly frequencies?: Tensor<"u32">;
  /** The token's position, on the GPU: `[1]`, u32. */
  readonly position: Tensor<"u32">;
}

/** Options of {@linkcode rotaryAppend}. */
export interface RotaryAppendOptions {
  /** How many first rows of the cache stay, once the others are a ring. @default 0 */
  readonly sinks?: number;
}

/** What {@linkcode rotaryAppend} returns. */
export interface RotaryAppendOutputs extends Disposable {
  /** The queries, turned: `[batch, 1, heads, dim]`, where there were any. */
  readonly query: Tensor | undefined;
}

/**
 * A generated token's way into a cache, in one dispatch: query and key turn by their position
 * ({@linkcode rotary}), and the key and the value are written to the cache's row of that position. Once
 * the cache is full, its rows behind the first `sinks` are a ring: position `p` goes to row
 * `sinks + (p − sinks) mod (rows − sinks)`, as `flashAttentionStep()` reads it.
 *
 * The position is read on the GPU, so that the dispatch can be recorded.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function rotaryAppend(
  gpu: Gpu,
  inputs: RotaryAppendInputs,
  options: RotaryAppendOptions = {},
): RotaryAppendOutputs {
  const op = "rotaryAppend";
  checkNames(op, inputs, INPUTS);
  const { query, key, value, keyCache, valueCache, frequencies, position } = inputs;
  checkRank(op, "keyCache", keyCache, ["batch", "rows", "keyHeads", "dim"]);
  checkRank(op, "valueCache", valueCache, ["batch", "rows", "keyHeads", "valueDim"]);
  const [batch, rows, keyHeads, dim] = keyCache.shape;
  if (rows === 0) {
    throw new RangeError(
      `Cannot run ${op}() as keyCache must have at least one row for the token: current shape is [${keyCache.shape}]`,
    );
  }
  const valueDim = valueCache.shape[3];
  checkOptions(op, options, { sinks: integer(0, rows - 1) });
  checkTensor(op, "keyCache", keyCache, keyCache.shape);
  checkTensor(op, "valueCache", valueCache, [batch, rows, keyHeads, valueDim]);
  checkTensor(op, "key", key, [batch, 1, keyHeads, dim]);
  checkTensor(op, "value", value, [batch, 1, keyHeads, valueDim]);
  checkTensor(op, "position", position, [1], "u32");
  if ((query === undefined) !== (frequencies === undefined)) {
    throw new RangeError(
      `Cannot run ${op}() as query and frequencies come together: give both, or neither`,
    );
  }
  const heads = query?.shape[2] ?? 0;
  const pairs = frequencies?.shape[0] ?? 0;
  if (query) checkTensor(op, "query", query, [batch, 1, heads, dim]);
  if (frequencies) checkTensor(op, "frequencies", frequencies, [pairs, 2], "u32");
  if (2 * pairs > dim || (frequencies && pairs === 0)) {
    throw new RangeError(
      `Cannot run ${op}() as there must be 1 to ${
        dim / 2
      } frequencies for a key of shape [${key.shape}]: current number is ${pairs}`,
    );
  }
  const turned = query && gpu.empty(query.shape);
  const elements = batch * ((heads + keyHeads) * (dim - pairs) + keyHeads * valueDim);
  gpu.dispatch(ROTARY_APPEND, {
    uniform: { batch, heads, keyHeads, dim, valueDim, rows, sinks: options.sinks ?? 0, pairs },
    read: { query, key, value, frequencies, position },
    write: { output: turned, keyCache, valueCache },
    workgroups: Math.ceil(elements / 64),
  });
  return results({ query: turned });
}
