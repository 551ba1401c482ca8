import type { LinkedDeclaration } from "./linker/linker.ts";
import type { DataType } from "./tensor.ts";

/** A storage buffer of a linked shader. */
export interface Binding {
  /** Its name in the shader. */
  readonly name: string;
  /** Its number. */
  readonly number: number;
  /** Whether the shader writes it. */
  readonly written: boolean;
  /** The data type of its tensor; undefined where any will do. */
  readonly dtype: DataType | undefined;
}

/** A field of a linked shader's `struct Shape`. */
export interface Field {
  /** Its name in the shader. */
  readonly name: string;
  /** `u32`, `i32` or `f32`. */
  readonly type: string;
}

/** What a dispatch of a linked shader must give. */
export interface Interface {
  /** The uniform's number, where there is one. */
  readonly uniform: number | undefined;
  /** The uniform's fields, in their order: 4 bytes each. */
  readonly fields: readonly Field[];
  /** Its storage buffers. */
  readonly bindings: readonly Binding[];
  /** Its `override` constants. */
  readonly overrides: ReadonlySet<string>;
}

/** Reads the interface of a linked shader. @throws {Error} where a uniform is more than 4-byte scalars. */
export function interfaceOf(path: string, declarations: readonly LinkedDeclaration[]): Interface {
  const bindings: Binding[] = [];
  const overrides = new Set<string>();
  let uniform: number | undefined;
  let fields: Field[] = [];
  for (const { keyword, name, tokens } of declarations) {
    if (keyword === "override") overrides.add(name);
    const words = tokens.map(({ text }) => text);
    const at = words.indexOf("binding");
    if (keyword !== "var" || at < 0) continue;
    const number = Number(words[at + 2]);
    const space = words.indexOf("<", at) + 1;
    if (words[space] === "uniform") {
      const type = words[words.lastIndexOf(":") + 1];
      uniform = number;
      fields = fieldsOf(path, declarations.find(({ name }) => name === type));
    } else {
      const type = words.slice(words.indexOf(":", space) + 1);
      const written = words[space + 2] === "read_write";
      bindings.push({ name, number, written, dtype: dataTypeOf(type, declarations) });
    }
  }
  return { uniform, fields, bindings, overrides };
}

/** WGSL's scalars, vectors and matrices; the last letter of short names is the scalar's. */
const SCALARS: Readonly<Record<string, DataType>> = { f: "f32", h: "f16", u: "u32", i: "u32" };

/**
 * The data type of what a storage buffer's type is made of; of a struct, its first field's. What is
 * only copied or looked at bit by bit is a `Bits` in a shader: any type will do.
 */
function dataTypeOf(
  type: readonly string[],
  declarations: readonly LinkedDeclaration[],
): DataType | undefined {
  for (const word of type) {
    if (word === "Bits") return undefined;
    if (/^(?:[fui]32|f16)$/.test(word)) return word === "f16" ? word : SCALARS[word[0]];
    const short = /^(?:vec\d|mat\dx\d)([fhui])$/.exec(word);
    if (short !== null) return SCALARS[short[1]];
    const declared = declarations.find(({ keyword, name }) =>
      name === word && (keyword === "alias" || keyword === "struct")
    );
    if (declared === undefined) continue;
    const words = declared.tokens.map(({ text }) => text);
    const begin = words.indexOf(declared.keyword === "alias" ? "=" : ":");
    return dataTypeOf(words.slice(begin + 1), declarations);
  }
  return undefined;
}

function fieldsOf(path: string, struct: LinkedDeclaration | undefined): Field[] {
  const words = struct?.tokens.map(({ text }) => text) ?? [];
  const fields = words.flatMap((word, at) => word === ":" ? [at] : [])
    .map((at) => ({ name: words[at - 1], type: words[at + 1] }));
  const attribute = words[words.indexOf("@") + 1];
  if (words.includes("@")) {
    throw new Error(
      `Cannot link ${path}.wgsl as the fields of its uniform are packed one after the other: take @${attribute} away, and pad with fields of their own`,
    );
  }
  const odd = fields.find(({ type }) => type !== "u32" && type !== "i32" && type !== "f32");
  if (fields.length === 0 || odd !== undefined) {
    throw new Error(
      `Cannot link ${path}.wgsl as its uniform must be a struct of u32, i32 and f32: ${
        odd === undefined ? "it has no fields" : `${odd.name} is ${odd.type}`
      }`,
    );
  }
  return fields;
}

/** A host's name as the shader writes it: `outputGradient` is `output_gradient`. */
export function shaderName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
