import { type Interface, interfaceOf } from "./interface.ts";
import {
  link,
  type Linked,
  modulesOf,
  type Names,
  namesOf,
  type Settings,
} from "./linker/linker.ts";
import { type Module, parseModule } from "./linker/module.ts";

/** A shader, linked for one set of values. */
export interface Variant extends Linked {
  /** What a dispatch must give. */
  readonly interface: Interface;
}

/**
 * A compute shader of a family: an entry point, which is also its label and its file's name. It is
 * linked, once for each set of values, where it is first dispatched.
 */
export class Kernel {
  /** Entry point, label and file name. */
  readonly label: string;
  /** `family/label`. */
  readonly path: string;
  /** Values that all its dispatches have. */
  readonly settings: Settings;
  readonly #resolve: (path: string) => Module | undefined;
  readonly #variants = new Map<string, Variant>();
  #modules: { modules: readonly Module[]; names: Names } | undefined;

  /**
   * Made by {@linkcode ShaderFamily.kernel}.
   *
   * @internal
   */
  constructor(
    label: string,
    path: string,
    settings: Settings,
    resolve: (path: string) => Module | undefined,
  ) {
    this.label = label;
    this.path = path;
    this.settings = settings;
    this.#resolve = resolve;
  }

  /**
   * The names that a dispatch may set.
   *
   * @throws {LinkError} where an import leads nowhere.
   * @internal
   */
  get names(): Names {
    return this.#parsed().names;
  }

  /**
   * Linked so far.
   *
   * @internal
   */
  get variants(): readonly Variant[] {
    return [...this.#variants.values()];
  }

  /**
   * The shader for these values.
   *
   * @throws {LinkError} where a name is missing or means two things.
   * @internal
   */
  variant(settings: Settings): Variant {
    const key = JSON.stringify(Object.entries(settings).sort(), signed);
    let variant = this.#variants.get(key);
    if (variant === undefined) {
      const linked = link(this.#parsed().modules, this.label, settings);
      variant = { ...linked, interface: interfaceOf(this.path, linked.declarations) };
      this.#variants.set(key, variant);
    }
    return variant;
  }

  #parsed(): { modules: readonly Module[]; names: Names } {
    if (this.#modules === undefined) {
      const modules = modulesOf(this.#resolve(this.path)!, this.#resolve);
      this.#modules = { modules, names: namesOf(modules) };
    }
    return this.#modules;
  }
}

/** In JSON, -0 is 0. */
export function signed(_name: string, value: unknown): unknown {
  return Object.is(value, -0) ? "-0" : value;
}

const DEFINED: Kernel[] = [];

/** Every kernel named so far: what tests hold to each compiler. */
export function definedKernels(): readonly Kernel[] {
  return DEFINED;
}

/** The shader files of a folder. */
export class ShaderFamily<Name extends string = string> {
  /** The folder's name. */
  readonly name: string;
  readonly #texts: Readonly<Record<string, string>>;
  readonly #others: readonly ShaderFamily[];
  readonly #modules = new Map<string, Module>();

  /** Called by {@linkcode shaders}. */
  constructor(
    name: string,
    texts: Readonly<Record<Name, string>>,
    others: readonly ShaderFamily[],
  ) {
    this.name = name;
    this.#texts = texts;
    this.#others = others;
    const families: readonly ShaderFamily<never>[] = [this, ...others];
    for (const family of families) {
      if (families.some((other) => other !== family && other.name === family.name)) {
        throw new Error(
          `Cannot gather the shaders of ${name}/ as two of its families are called ${family.name}: call one another name`,
        );
      }
    }
  }

  /**
   * Names a compute shader of the family; a name that is not one of its files is a type error.
   *
   * @param settings Values of its constants, conditions and element types that all dispatches have.
   */
  kernel(name: Name, settings: Settings = {}): Kernel {
    const kernel = new Kernel(name, `${this.name}/${name}`, settings, (path) => this.module(path));
    DEFINED.push(kernel);
    return kernel;
  }

  /**
   * A file of the family, or of one that it imports from, parsed once.
   *
   * @internal
   */
  module(path: string): Module | undefined {
    const [family, name] = path.split("/");
    if (family !== this.name) {
      return this.#others.find((other) => other.name === family)?.module(path);
    }
    let module = this.#modules.get(name);
    if (module === undefined && Object.hasOwn(this.#texts, name)) {
      this.#modules.set(name, module = parseModule(path, this.#texts[name]));
    }
    return module;
  }
}

/**
 * Gathers the shader files of a folder: what `import package::<folder>::<file>::<name>;` finds.
 *
 * @param texts The text of each file, by its name without `.wgsl`.
 * @param others The families that these files may import from: `kernels/common/`.
 * @throws {Error} where two families have one name.
 */
export function shaders<Name extends string>(
  folder: string,
  texts: Readonly<Record<Name, string>>,
  ...others: readonly ShaderFamily[]
): ShaderFamily<Name> {
  return new ShaderFamily(folder, texts, others);
}
