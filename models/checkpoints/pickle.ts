import { Parser } from "pickleparser";
import { STORED_BYTES, type StoredDataType } from "./data_types.ts";

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

const orderedDict = (pairs: [unknown, unknown][] = []): Map<unknown, unknown> => new Map(pairs);

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
    !isCounts(strides) || shape.length !== strides.length
  ) {
    throw new Error("a tensor is not described as PyTorch does");
  }
  const last = shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis], offset);
  if (!shape.includes(0) && last >= storage.elements) {
    throw new Error(
      `a tensor reaches element ${last} of a storage of ${storage.elements} elements`,
    );
  }
  return new PickledTensor(storage, offset, Object.freeze([...shape]), [...strides]);
};

/** What a pickle may name. Frozen arrow functions: a pickle can call them, and no more. */
const ALLOWED: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["collections.OrderedDict", Object.freeze(orderedDict)],
  ["torch._utils._rebuild_tensor_v2", Object.freeze(rebuildTensor)],
  ["torch._utils._rebuild_parameter", Object.freeze(rebuildParameter)],
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
  try {
    held = unpickle(bytes);
  } catch (error) {
    throw new Error(`Cannot read ${source} as its pickle ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (!(held instanceof Map)) {
    throw new Error(
      `Cannot read ${source} as its pickle holds no dictionary of tensors: save model.state_dict()`,
    );
  }
  const others = [...held].filter(([, value]) => !(value instanceof PickledTensor)).map(([name]) =>
    name
  );
  if (others.length > 0) {
    throw new Error(
      `Cannot read ${source} as its pickle holds ${
        others.slice(0, 8).join(", ")
      } which are no tensors: save model.state_dict() alone`,
    );
  }
  return held;
}

function unpickle(bytes: Uint8Array): unknown {
  let refused: string | undefined;
  const parser = new Parser({
    unpicklingTypeOfDictionary: "Map",
    nameResolver: {
      resolve: (module, name) => {
        const allowed = ALLOWED.get(`${module}.${name}`);
        if (allowed === undefined) {
          refused =
            `asks for ${module}.${name}: only a dictionary of tensors is read, and no other code is run`;
          throw new Error(refused);
        }
        return allowed as () => unknown;
      },
    },
    persistentResolver: { resolve: resolveStorage },
  });
  try {
    return parser.parse(bytes);
  } catch (error) {
    throw new Error(refused ?? `is damaged (${(error as Error).message})`, { cause: error });
  }
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
