import { elementCount } from "../../kernels/gpu/mod.ts";
import { showNames } from "../schema.ts";
import { STORED_BYTES, type StoredDataType } from "./data_types.ts";
import { PickledFunction, unpickle } from "./unpickle.ts";

/** PyTorch's own limit of a tensor's axes. */
const MOST_AXES = 64;
/** Bytes that a tensor may have which shows elements of its storage several times. */
const EXPANDED_BYTES = 64 * 2 ** 20;

/** Where PyTorch keeps elements: a file of the archive, that several tensors may share. */
export class PickledStorage {
  /** Made by {@linkcode readTensorPickle}. */
  constructor(
    /** The name of its file in the archive. */
    readonly key: string,
    /** How the elements are stored. */
    readonly dtype: StoredDataType,
    /** How many elements there are. */
    readonly elements: number,
  ) {
    Object.freeze(this);
  }
}

/** A tensor as PyTorch's pickle describes it: a view of a storage. */
export class PickledTensor {
  /** Made by {@linkcode readTensorPickle}. */
  constructor(
    /** Where its elements are. */
    readonly storage: PickledStorage,
    /** Its first element in the storage. */
    readonly offset: number,
    /** Extents. */
    readonly shape: readonly number[],
    /** How far apart neighbours along each axis are, in elements. */
    readonly strides: readonly number[],
  ) {
    Object.freeze(this);
  }
}

/** `OrderedDict(pairs)` */
const orderedDict = (pairs: unknown = []): Map<unknown, unknown> => {
  const isPair = (pair: unknown): pair is [string, unknown] =>
    Array.isArray(pair) && pair.length === 2 && typeof pair[0] === "string";
  if (!Array.isArray(pairs) || !pairs.every(isPair)) {
    throw new Error("an OrderedDict is not made of texts and values");
  }
  return new Map(pairs);
};

/** `_rebuild_parameter(data, requires_grad, backward_hooks)` */
const rebuildParameter = (data: unknown): unknown => data;

/** `_rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks)` */
const rebuildTensor = (
  storage: unknown,
  offset: unknown,
  shape: unknown,
  strides: unknown,
): PickledTensor => {
  if (
    !(storage instanceof PickledStorage) || !isCount(offset) || !isCounts(shape) ||
    !isCounts(strides) || shape.length !== strides.length || shape.length > MOST_AXES
  ) {
    throw new Error("a tensor is not described as PyTorch does");
  }
  const last = shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis], offset);
  if (!shape.includes(0) && last >= storage.elements) {
    throw new Error(
      `a tensor reaches element ${last} of a storage of ${storage.elements} elements`,
    );
  }
  const elements = elementCount(shape);
  const bytes = elements * STORED_BYTES[storage.dtype];
  if (elements > storage.elements && bytes > EXPANDED_BYTES) {
    throw new Error(
      `a tensor of ${elements} elements shows a storage of ${storage.elements} elements`,
    );
  }
  return new PickledTensor(storage, offset, Object.freeze([...shape]), Object.freeze([...strides]));
};

/** What a pickle may name: functions, which it can call and no more, and data types. */
const ALLOWED: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ...[
    new PickledFunction("collections.OrderedDict", orderedDict),
    new PickledFunction("torch._utils._rebuild_tensor_v2", rebuildTensor),
    new PickledFunction("torch._utils._rebuild_parameter", rebuildParameter),
  ].map((callee): [string, unknown] => [callee.name, callee]),
  ...Object.entries(
    {
      DoubleStorage: "F64",
      FloatStorage: "F32",
      HalfStorage: "F16",
      BFloat16Storage: "BF16",
      LongStorage: "I64",
      IntStorage: "I32",
      ShortStorage: "I16",
      CharStorage: "I8",
      ByteStorage: "U8",
      BoolStorage: "BOOL",
    } satisfies Record<string, StoredDataType>,
  ).map(([name, dtype]): [string, unknown] => [`torch.${name}`, dtype]),
]);

/**
 * Reads the pickle of a PyTorch checkpoint: a dictionary of tensors by name. It builds tensors and
 * nothing else: whatever a pickle names besides is refused, and nothing that it names is run.
 *
 * @param source The file's name, for errors.
 * @throws {Error} that names what the pickle asks for, or says what it holds instead.
 */
export function readTensorPickle(bytes: Uint8Array, source: string): Map<string, PickledTensor> {
  let held: unknown;
  let refused: string | undefined;
  const resolve = (name: string): unknown => {
    const allowed = ALLOWED.get(name);
    if (allowed !== undefined) return allowed;
    refused = `asks for ${
      showNames([name])
    }: only a dictionary of tensors is read, and no other code is run`;
    throw new Error(refused);
  };
  try {
    held = unpickle(bytes, { resolve, persistent: resolveStorage });
  } catch (error) {
    const reason = refused ?? `is damaged (${(error as Error).message})`;
    throw new Error(`Cannot read ${source} as its pickle ${reason}`, { cause: error });
  }
  if (!(held instanceof Map)) {
    throw new Error(
      `Cannot read ${source} as its pickle holds no dictionary of tensors: save model.state_dict()`,
    );
  }
  const others = [...held]
    .filter(([name, value]) => typeof name !== "string" || !(value instanceof PickledTensor))
    .map(([name]) => `${name}`);
  if (others.length > 0) {
    throw new Error(
      `Cannot read ${source} as its pickle holds ${
        showNames(others)
      } which are not tensors: save model.state_dict() alone`,
    );
  }
  return held;
}

/** `("storage", torch.FloatStorage, key, location, elements)` */
function resolveStorage(id: unknown): PickledStorage {
  const [kind, dtype, key, , elements] = Array.isArray(id) ? id : [];
  if (
    kind !== "storage" || typeof dtype !== "string" || !Object.hasOwn(STORED_BYTES, dtype) ||
    typeof key !== "string" || !isCount(elements)
  ) {
    throw new Error("a storage is not described as PyTorch does");
  }
  return new PickledStorage(key, dtype as StoredDataType, elements);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}
