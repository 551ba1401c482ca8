import { KernelError } from "./errors.ts";
import { type Binding, type Field, shaderName } from "./interface.ts";
import type { Dispatch } from "./kernel.ts";
import { valueProblem } from "./linker/linker.ts";
import type { Kernel, Variant } from "./shaders.ts";
import type { DataType } from "./tensor.ts";

/** A tensor's place in a bind group. */
export interface Slot {
  /** The host's name. */
  readonly name: string;
  /** The binding's number; undefined where the shader does not use it under these conditions. */
  readonly number: number | undefined;
  /** Whether the shader writes it. */
  readonly written: boolean;
  /** The data type that the shader takes it as; undefined where any will do. */
  readonly dtype: DataType | undefined;
}

/** What a dispatch comes to, from its names alone: worked out once for each way a kernel is called. */
export interface Call {
  /** The linked shader. */
  readonly variant: Variant;
  /** Values of `override` constants. */
  readonly constants: Readonly<Record<string, number | boolean>>;
  /** Where the uniform is bound. */
  readonly uniform: number | undefined;
  /** The fields in the order in which the dispatch has them, each with its word in the block. */
  readonly fields: readonly (Field & { readonly word: number })[];
  /** Tensors, in the order in which the dispatch has them. */
  readonly slots: readonly Slot[];
}

/** Matches a dispatch with its shader. @throws {KernelError} where a name is missing or too many. */
export function matchCall(kernel: Kernel, dispatch: Dispatch): Call {
  const fail = (problem: string): never => {
    throw new KernelError(`Cannot run ${kernel.label} as ${problem}`);
  };
  const given = { ...kernel.settings, ...dispatch.constants };
  const names = linking(kernel, () => kernel.names);
  const all = [
    ...Object.entries(dispatch.read ?? {}).map(([name, tensor]) => ({
      name,
      tensor,
      written: false,
    })),
    ...Object.entries(dispatch.write).map(([name, tensor]) => ({ name, tensor, written: true })),
  ];
  for (const { name, written } of all) {
    const access = names.bindings.get(shaderName(name));
    if (access === undefined) return fail(unknown("binding", name, [...names.bindings.keys()]));
    // With both, what is linked says which.
    if (!access.has(written)) fail(misplaced(name, !written));
  }
  const tensors = all.filter(({ tensor }) => tensor !== undefined);
  checkTwice("binding", tensors.map(({ name }) => name), fail);
  const bound = new Set(tensors.map(({ name }) => shaderName(name)));
  const settings: Record<string, number | boolean | string> = {};
  const constants: Record<string, number | boolean> = {};
  for (const name of names.conditions.keys()) {
    const binding = bindingOf(name);
    if (binding !== undefined && names.bindings.has(binding)) settings[name] = bound.has(binding);
  }
  for (const [name, value] of Object.entries(given)) {
    if (Object.hasOwn(settings, name)) {
      fail(`${name} follows from whether ${bindingOf(name)} is given: leave it out`);
    }
    const override = names.overrides.get(name);
    if (override !== undefined) {
      const problem = valueProblem(override, value);
      if (problem !== undefined) {
        throw new RangeError(`Cannot run ${kernel.label} as its constant ${name} ${problem}`);
      }
      constants[name] = value as number | boolean;
    }
    if (names.conditions.has(name) || names.linked.has(name)) settings[name] = value;
    else if (override === undefined) fail(unknown("constant", name, settable(names)));
  }
  const variant = linking(kernel, () => kernel.variant(settings));
  const { interface: { uniform, fields, bindings, overrides } } = variant;
  for (const name of Object.keys(constants)) if (!overrides.has(name)) delete constants[name];
  return {
    variant,
    constants,
    uniform,
    fields: matchFields(fields, dispatch.uniform ?? {}, fail),
    slots: matchSlots(bindings, tensors, fail),
  };
}

/** What parsing or linking a kernel gives. @throws {KernelError} with the kernel and the place. */
function linking<Result>(kernel: Kernel, link: () => Result): Result {
  try {
    return link();
  } catch (error) {
    const { message } = error as Error;
    throw new KernelError(`Cannot link ${kernel.label}: ${message}`, { cause: error });
  }
}

/** The binding whose presence a condition stands for: `bonus` for `HAS_BONUS`. */
function bindingOf(condition: string): string | undefined {
  return condition.startsWith("HAS_") ? condition.slice(4).toLowerCase() : undefined;
}

function settable({ conditions, linked, overrides, bindings }: Kernel["names"]): string[] {
  const free = [...conditions.keys()].filter((name) => !bindings.has(bindingOf(name) ?? ""));
  return [...free, ...linked.keys(), ...overrides.keys()];
}

function unknown(what: string, name: string, known: readonly string[]): string {
  const list = known.length === 0 ? "it has none" : `there are ${known.join(", ")}`;
  return `its shader has no ${what} ${name}: ${list}`;
}

function misplaced(name: string, written: boolean): string {
  return `its shader ${written ? "writes" : "only reads"} ${name}: give it in ${
    written ? "write" : "read"
  }`;
}

/** A name of the shader has two spellings here: `outScale` and `out_scale`. */
function checkTwice(
  what: string,
  names: readonly string[],
  fail: (problem: string) => never,
): void {
  names.forEach((name, at) => {
    const other = names.slice(0, at).find((other) => shaderName(other) === shaderName(name));
    if (other !== undefined) {
      fail(`its shader's ${what} ${shaderName(name)} is given twice, as ${other} and as ${name}`);
    }
  });
}

function matchFields(
  fields: readonly Field[],
  uniform: NonNullable<Dispatch["uniform"]>,
  fail: (problem: string) => never,
): Call["fields"] {
  const known = fields.map(({ name }) => name);
  checkTwice("uniform field", Object.keys(uniform), fail);
  const matched = Object.keys(uniform).map((given) => {
    const word = known.indexOf(shaderName(given));
    if (word < 0) fail(unknown("uniform field", given, known));
    return { ...fields[word], word };
  });
  const missing = known.filter((_, word) => !matched.some((field) => field.word === word));
  if (missing.length > 0) {
    fail(`its shader's uniform has ${missing.join(", ")} too: give it a value`);
  }
  return matched;
}

function matchSlots(
  bindings: readonly Binding[],
  tensors: readonly { name: string; written: boolean }[],
  fail: (problem: string) => never,
): Slot[] {
  const slots = tensors.map(({ name, written }) => {
    const binding = bindings.find((binding) => binding.name === shaderName(name));
    // Declared, but not used under these conditions.
    if (binding === undefined) return { name, number: undefined, written, dtype: undefined };
    if (binding.written !== written) return fail(misplaced(name, binding.written));
    return { name, number: binding.number, written, dtype: binding.dtype };
  });
  const missing = bindings.filter(({ number }) => !slots.some((slot) => slot.number === number));
  if (missing.length > 0) {
    fail(`its shader binds ${missing.map(({ name }) => name).join(", ")} too: give it a tensor`);
  }
  return slots;
}

/** The uniform block of a dispatch. @throws {RangeError} where a value is not of its field's type. */
export function packUniform(
  label: string,
  fields: Call["fields"],
  values: readonly (number | boolean)[],
): Uint32Array<ArrayBuffer> {
  const packed = new Uint32Array(Math.ceil(fields.length / 4) * 4);
  const floats = new Float32Array(packed.buffer);
  fields.forEach(({ name, type, word }, at) => {
    const value = values[at];
    if (type === "f32" && typeof value === "number" && !Number.isNaN(value)) {
      floats[word] = value;
      return;
    }
    const number = Number(value);
    const problem = valueProblem(
      type,
      typeof value === "boolean" && type !== "f32" ? number : value,
    );
    if (problem !== undefined) {
      throw new RangeError(`Cannot run ${label} as its shader's field ${name} ${problem}`);
    }
    packed[word] = number;
  });
  return packed;
}
