import type { ByteSource } from "./byte_source.ts";
import type { StoredDataType } from "./data_types.ts";

/** What a checkpoint says of a tensor before its elements are read. */
export interface TensorDescription {
  /** Row-major extents. */
  readonly shape: readonly number[];
  /** How the elements are stored. */
  readonly dtype: StoredDataType;
}

/** Where a tensor's elements are. */
export interface TensorLocation extends TensorDescription {
  /** The file that holds them. */
  readonly source: ByteSource;
  /** The first one's byte in the file. */
  readonly offset: number;
  /** Bytes from the first one to the last. */
  readonly bytes: number;
  /** How far apart neighbours along each axis are, in elements; left out where row-major. */
  readonly strides?: readonly number[];
}
