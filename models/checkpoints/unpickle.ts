/** What a pickle may call. */
export class PickledFunction {
  /** A function by the name that a pickle has for it. */
  constructor(
    /** Its name in Python. */
    readonly name: string,
    /** What it makes of its arguments. */
    readonly call: (...values: readonly unknown[]) => unknown,
  ) {
    Object.freeze(this);
  }
}

/** What a pickle's names stand for. */
export interface PickleNames {
  /** What a global name stands for. @throws {Error} where it may not be named. */
  resolve(name: string): unknown;
  /** What an object that is kept elsewhere stands for. */
  persistent(id: unknown): unknown;
}

/** The longest text: names of tensors, and of their files. */
const LONGEST_TEXT = 4096;

/**
 * Reads a pickle of dictionaries, lists and tuples of texts, numbers and what its names stand for: the
 * opcodes that `torch.save()` writes, and no others. A dictionary's keys are texts or numbers; nothing
 * that is not a dictionary gets attributes; nothing is called but a {@linkcode PickledFunction}. What
 * is built is no larger than the pickle.
 *
 * Source: CPython's Lib/pickletools.py, protocols 2 to 5.
 *
 * @throws {Error} where the pickle is damaged or asks for anything else.
 */
export function unpickle(bytes: Uint8Array, names: PickleNames): unknown {
  return new Machine(bytes, names).run();
}

class Machine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #names: PickleNames;
  readonly #memo = new Map<number, unknown>();
  readonly #marks: unknown[][] = [];
  #stack: unknown[] = [];
  #position = 0;

  constructor(bytes: Uint8Array, names: PickleNames) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#names = names;
  }

  run(): unknown {
    while (true) {
      const opcode = String.fromCharCode(this.#byte());
      if (opcode === ".") return this.#pop();
      const operation = OPERATIONS.get(opcode);
      if (operation === undefined) {
        throw new Error(
          `opcode 0x${opcode.charCodeAt(0).toString(16)} is not of those that tensors need`,
        );
      }
      operation(this);
    }
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  pop(): unknown {
    return this.#pop();
  }

  top(): unknown {
    if (this.#stack.length === 0) throw new Error("The stack is empty");
    return this.#stack.at(-1);
  }

  mark(): void {
    this.#marks.push(this.#stack);
    this.#stack = [];
  }

  popToMark(): unknown[] {
    const items = this.#stack;
    const below = this.#marks.pop();
    if (below === undefined) throw new Error("There is no mark");
    this.#stack = below;
    return items;
  }

  put(index: number): void {
    this.#memo.set(index, this.top());
  }

  memoize(): void {
    this.put(this.#memo.size);
  }

  get(index: number): void {
    if (!this.#memo.has(index)) throw new Error(`Nothing was put at ${index}`);
    this.push(this.#memo.get(index));
  }

  unsigned(size: 1 | 2 | 4 | 8): number {
    const at = this.#take(size);
    if (size === 1) return this.#view.getUint8(at);
    if (size === 2) return this.#view.getUint16(at, true);
    if (size === 4) return this.#view.getUint32(at, true);
    return Number(this.#view.getBigUint64(at, true));
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** An integer of so many bytes, in two's complement. */
  long(size: number): number {
    if (size > 8) throw new Error(`A number has ${size} bytes`);
    const at = this.#take(size);
    let value = 0n;
    for (let i = 0; i < size; i++) value |= BigInt(this.#bytes[at + i]) << BigInt(8 * i);
    const number = Number(BigInt.asIntN(8 * size, value));
    if (!Number.isSafeInteger(number)) throw new Error(`A number is ${number}`);
    return number;
  }

  text(size: number, encoding: "utf-8" | "latin1" = "utf-8"): string {
    if (size > LONGEST_TEXT) {
      throw new Error(`A text has ${size} bytes, more than ${LONGEST_TEXT}`);
    }
    const at = this.#take(size);
    const bytes = this.#bytes.subarray(at, at + size);
    try {
      return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new Error("A text is not UTF-8");
    }
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#position);
    if (end < 0) throw new Error("Unexpected end of a line");
    const text = this.text(end - this.#position);
    this.#take(1);
    return text;
  }

  resolve(module: unknown, name: unknown): void {
    if (typeof module !== "string" || typeof name !== "string") {
      throw new Error("A name is not a text");
    }
    this.push(this.#names.resolve(`${module}.${name}`));
  }

  persistent(): void {
    this.push(this.#names.persistent(this.#pop()));
  }

  #pop(): unknown {
    if (this.#stack.length === 0) throw new Error("The stack is empty");
    return this.#stack.pop();
  }

  #byte(): number {
    return this.#bytes[this.#take(1)];
  }

  #take(size: number): number {
    const at = this.#position;
    if (at + size > this.#bytes.length) throw new Error("Unexpected end");
    this.#position = at + size;
    return at;
  }
}

const OPERATIONS: ReadonlyMap<string, (machine: Machine) => void> = new Map<
  string,
  (machine: Machine) => void
>([
  ["\x80", (machine) => checkProtocol(machine.unsigned(1))],
  ["\x95", (machine) => void machine.unsigned(8)], // a frame's length
  ["(", (machine) => machine.mark()],
  ["0", (machine) => void machine.pop()],
  ["1", (machine) => void machine.popToMark()],
  // The memo.
  ["q", (machine) => machine.put(machine.unsigned(1))],
  ["r", (machine) => machine.put(machine.unsigned(4))],
  ["\x94", (machine) => machine.memoize()],
  ["h", (machine) => machine.get(machine.unsigned(1))],
  ["j", (machine) => machine.get(machine.unsigned(4))],
  // Single values.
  ["N", (machine) => machine.push(null)],
  ["\x88", (machine) => machine.push(true)],
  ["\x89", (machine) => machine.push(false)],
  ["K", (machine) => machine.push(machine.unsigned(1))],
  ["M", (machine) => machine.push(machine.unsigned(2))],
  ["J", (machine) => machine.push(machine.int32())],
  ["\x8a", (machine) => machine.push(machine.long(machine.unsigned(1)))],
  ["\x8b", (machine) => machine.push(machine.long(machine.unsigned(4)))],
  ["G", (machine) => machine.push(machine.float64())],
  ["X", (machine) => machine.push(machine.text(machine.unsigned(4)))],
  ["\x8c", (machine) => machine.push(machine.text(machine.unsigned(1)))],
  ["\x8d", (machine) => machine.push(machine.text(machine.unsigned(8)))],
  ["U", (machine) => machine.push(machine.text(machine.unsigned(1), "latin1"))],
  ["T", (machine) => machine.push(machine.text(machine.unsigned(4), "latin1"))],
  // Tuples and lists.
  [")", (machine) => machine.push([])],
  ["]", (machine) => machine.push([])],
  ["t", (machine) => machine.push(machine.popToMark())],
  ["l", (machine) => machine.push(machine.popToMark())],
  ["\x85", (machine) => machine.push([machine.pop()])],
  ["\x86", (machine) => machine.push([machine.pop(), machine.pop()].reverse())],
  ["\x87", (machine) => machine.push([machine.pop(), machine.pop(), machine.pop()].reverse())],
  ["a", (machine) => append([machine.pop()], machine.top())],
  ["e", (machine) => append(machine.popToMark(), machine.top())],
  // Dictionaries.
  ["}", (machine) => machine.push(new Map())],
  ["d", (machine) => machine.push(setItems(machine.popToMark(), new Map()))],
  ["s", (machine) => setItems([machine.pop(), machine.pop()].reverse(), machine.top())],
  ["u", (machine) => setItems(machine.popToMark(), machine.top())],
  // Names, and what is called.
  ["c", (machine) => machine.resolve(machine.line(), machine.line())],
  ["\x93", (machine) => {
    const name = machine.pop();
    machine.resolve(machine.pop(), name);
  }],
  ["Q", (machine) => machine.persistent()],
  ["R", (machine) => {
    const values = machine.pop();
    machine.push(call(machine.pop(), values));
  }],
  ["b", (machine) => {
    const state = machine.pop();
    checkState(machine.top(), state);
  }],
  // What only objects need, refused in words.
  ["i", (machine) => {
    machine.resolve(machine.line(), machine.line());
    construct(machine.pop());
  }],
  ["o", (machine) => construct(machine.popToMark()[0])],
  ["\x81", (machine) => {
    machine.pop();
    construct(machine.pop());
  }],
  ...([["\x82", 1], ["\x83", 2], ["\x84", 4]] as const).map(([opcode, size]) =>
    [opcode, (machine: Machine): void => {
      throw new Error(`Unregistered extension code ${machine.unsigned(size)}`);
    }] as const
  ),
]);

function checkProtocol(version: number): void {
  if (version > 5) throw new Error(`Its protocol is ${version}`);
}

function append(items: readonly unknown[], list: unknown): void {
  if (!Array.isArray(list)) throw new Error("Items are added to something that is not a list");
  for (const item of items) list.push(item);
}

function setItems(items: readonly unknown[], dictionary: unknown): Map<unknown, unknown> {
  if (!(dictionary instanceof Map) || items.length % 2 !== 0) {
    throw new Error("Keys and values are set in something that is not a dictionary");
  }
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i];
    if (typeof key !== "string" && typeof key !== "number") {
      throw new Error(`A key is ${kindOf(key)}, neither a text nor a number`);
    }
    dictionary.set(key, items[i + 1]);
  }
  return dictionary;
}

function call(callee: unknown, values: unknown): unknown {
  if (!(callee instanceof PickledFunction)) {
    throw new Error(`func is not a function but ${kindOf(callee)}`);
  }
  if (!Array.isArray(values)) throw new Error(`${callee.name} is called without a tuple`);
  return callee.call(...values.slice(0, 16));
}

function construct(constructor: unknown): never {
  const name = constructor instanceof PickledFunction ? constructor.name : kindOf(constructor);
  throw new Error(`${name} is not a constructor`);
}

/** A dictionary's own attributes, such as a state_dict()'s _metadata, are without effect on tensors. */
function checkState(target: unknown, state: unknown): void {
  if (target instanceof Map && state instanceof Map) return;
  const key = state instanceof Map ? [...state.keys()][0] : undefined;
  const name = typeof key === "string" ? key.slice(0, 40) : kindOf(state);
  throw new Error(
    target === null || typeof target !== "object" || Array.isArray(target) ||
      target instanceof PickledFunction
      ? `Cannot add property ${name} to ${kindOf(target)}`
      : `Cannot assign to read only property '${name}' of ${kindOf(target)}`,
  );
}

function kindOf(value: unknown): string {
  if (value === null) return "None";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Map) return "a dictionary";
  if (value instanceof PickledFunction) return value.name;
  return typeof value === "object" ? "a tensor or a storage" : `a ${typeof value}`;
}
