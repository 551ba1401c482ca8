import * as v from "valibot";
import { parseJson, showNames, showValue } from "../schema.ts";

/** Bytes of an index. */
export const LARGEST_INDEX: number = 256 * 2 ** 20;
/** Shards that an index may name. */
const MOST_SHARDS = 10_000;

/** What names a file of the same folder: no path, and nothing that a system refuses. */
const FILE_NAME = v.pipe(v.string(), v.maxLength(200), v.regex(/^(?!\.*$)[^\p{Cc}/\\]+$/u));
const INDEX = v.object({
  weight_map: v.pipe(v.record(v.string(), FILE_NAME), v.minEntries(1)),
});

/**
 * Which shard holds each tensor, by an index (`model.safetensors.index.json`).
 *
 * @param source The file's name, for errors.
 * @throws {Error} where it is not an index, or names something other than a file beside it.
 */
export function parseIndex(text: string, source: string): ReadonlyMap<string, string> {
  const parsed = v.safeParse(INDEX, parseJson(text, source), { abortEarly: true });
  if (!parsed.success) {
    const { path, input } = parsed.issues[0];
    const tensor = path?.[1] && `${path[1].key}`;
    throw new Error(
      `Cannot read ${source} as its "weight_map" must give the name of a file beside it for each tensor${
        tensor === undefined
          ? ""
          : `: current value of ${showNames([tensor])} is ${showValue(input)}`
      }`,
    );
  }
  const map = new Map(Object.entries(parsed.output.weight_map));
  const shards = new Set(map.values()).size;
  if (shards > MOST_SHARDS) {
    throw new Error(`Cannot read ${source} as it names ${shards} files, more than ${MOST_SHARDS}`);
  }
  return map;
}
