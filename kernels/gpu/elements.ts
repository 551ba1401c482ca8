import { type Kernel, kernel } from "./kernel.ts";
import type { DataType } from "./tensor.ts";

/** How the tensors of a shader are stored, by the alias that its text has for their element type. */
export type ElementTypes = Readonly<Record<string, DataType>>;

/**
 * The text of a shader for tensors of other data types: `alias Element = f32;` becomes
 * `alias Element = f16;`. The shader converts what it loads to f32 at once, with `vec4f(x[i])`, and
 * what it stores last, with `vec4<Element>(y)`, so that all arithmetic is in f32. The directive that f16
 * asks for shares the first line, so that line numbers stay true.
 *
 * @throws {Error} where the shader has no such alias.
 */
export function withElements(source: string, elements: ElementTypes): string {
  let text = source;
  for (const [name, type] of Object.entries(elements)) {
    const line = `alias ${name} = f32;`;
    if (!source.includes(line)) {
      throw new Error(`Cannot store ${name} as ${type} as the shader lacks the line "${line}"`);
    }
    text = text.replace(line, `alias ${name} = ${type};`);
  }
  return Object.values(elements).includes("f16") ? `enable f16; ${text}` : text;
}

const ENABLE_SUBGROUPS = "enable subgroups; ";

/** The text of a shader that uses subgroup operations, for devices whose features have them. */
export function withSubgroups(source: string): string {
  return ENABLE_SUBGROUPS + source;
}

/**
 * The text as the device's compiler wants it. Deno's, naga, knows subgroup operations but not the
 * directive that the standard asks for (gfx-rs/wgpu issue 5555); any other's has it.
 */
export function forCompiler(source: string, device: GPUDevice): string {
  const naga = "Deno" in globalThis && device instanceof GPUDevice;
  return naga ? source.replace(ENABLE_SUBGROUPS, "") : source;
}

/** A kernel for each way its tensors may be stored, made where it is first asked for. */
export function elementKernel(label: string, source: string): (elements: ElementTypes) => Kernel {
  const made = new Map<string, Kernel>();
  return (elements) => {
    const name = JSON.stringify(elements);
    let found = made.get(name);
    if (found === undefined) {
      made.set(name, found = kernel(label, withElements(source, elements)));
    }
    return found;
  };
}
