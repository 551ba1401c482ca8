/**
 * Every shader, as it is dispatched, passes two compilers: naga, which is Deno's, and Tint, which is
 * Chrome's (Dawn's null backend: it compiles and checks all that a GPU would, and computes nothing).
 */
import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { basename, extname, fromFileUrl, join } from "@std/path";
import { create } from "webgpu";
import { Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import { parseModule } from "../../kernels/gpu/linker/module.ts";
import { definedKernels } from "../../kernels/gpu/shaders.ts";
import { testGpu } from "../testing.ts";
import { EVERY_DISPATCH } from "./every_dispatch.ts";

/** A compute pipeline as it was asked for. */
interface Variant {
  readonly label: string;
  readonly code: string;
  readonly constants: Record<string, number>;
  /** Whether it has more bindings than every device allows: it is compiled, but makes no pipeline. */
  readonly wide?: boolean;
}

/** Kernels are picked by them: a GPU with subgroups gets others than one without. */
const FEATURES: GPUFeatureName[][] = [["shader-f16"], ["shader-f16", "subgroups"]];

// Dawn's devices need it for as long as they live, and do not keep it themselves.
const DAWN = create(["backend=null"]);

/** A device of Dawn whose backend is null. It has the limits that every WebGPU device has. */
async function openTint(requiredFeatures = FEATURES[1]): Promise<GPUDevice> {
  const adapter = await DAWN.requestAdapter();
  assert(adapter !== null);
  return await adapter.requestDevice({ requiredFeatures });
}

/** What is wrong with a shader, in the compiler's words. */
async function compile(
  device: GPUDevice,
  { label, code, constants, wide }: Variant,
): Promise<string | undefined> {
  device.pushErrorScope("validation");
  device.pushErrorScope("internal");
  const module = device.createShaderModule({ label, code });
  if (!wide) {
    device.createComputePipeline({
      label,
      layout: "auto",
      compute: { module, entryPoint: label, constants },
    });
  }
  const internal = await device.popErrorScope();
  const error = await device.popErrorScope() ?? internal;
  if (error === null) return undefined;
  const { messages } = await module.getCompilationInfo();
  const text = [error.message, ...messages.map(({ message }) => message)].join("\n");
  return `${label} with ${JSON.stringify(constants)}: ${text}`;
}

/** Keeps the pipelines that a device is asked for from now on, none twice. */
function recordVariants(device: GPUDevice, variants: Map<string, Variant>): void {
  const codes = new Map<GPUShaderModule, string>();
  const createShaderModule = device.createShaderModule.bind(device);
  const createComputePipeline = device.createComputePipeline.bind(device);
  device.createShaderModule = (descriptor) => {
    const module = createShaderModule(descriptor);
    codes.set(module, descriptor.code);
    return module;
  };
  device.createComputePipeline = (descriptor) => {
    const { module, constants = {} } = descriptor.compute;
    const { label = "" } = descriptor;
    const code = codes.get(module)!;
    variants.set(JSON.stringify([code, constants]), { label, code, constants });
    return createComputePipeline(descriptor);
  };
}

let dispatched: Promise<Variant[]> | undefined;
/** What Dawn has against a dispatch: a shader, or how it is bound. */
let refusal: Error | undefined;

/** All that the ops dispatch, on a software adapter and on a GPU; and the shaders of benches, as they stand. */
function everyVariant(): Promise<Variant[]> {
  return dispatched ??= (async () => {
    const variants = new Map<string, Variant>();
    for (const features of FEATURES) {
      const device = await openTint(features);
      recordVariants(device, variants);
      for (const software of [true, false]) {
        const adapter = { name: "null", software };
        await using gpu = new Gpu(device, adapter, { poison: false, owns: false });
        for (const call of Object.values(EVERY_DISPATCH)) call(gpu);
        await gpu.sync().catch((error) => refusal ??= error);
      }
      device.destroy();
    }
    const wide = new Map<string, Variant>();
    await using gpu = await openGpu();
    recordVariants(gpu.device, wide);
    EVERY_DISPATCH.wide(gpu);
    await gpu.sync();
    for (const [key, variant] of wide) {
      if (!variants.has(key)) variants.set(key, { ...variant, wide: true });
    }
    const benches = (await shadersUnder("bench")).map(async (path) => ({
      label: basename(path, ".wgsl"),
      code: await Deno.readTextFile(path),
      constants: {},
    }));
    return [...variants.values(), ...await Promise.all(benches)];
  })();
}

async function failures(device: GPUDevice, variants: readonly Variant[]): Promise<string[]> {
  const failed: string[] = [];
  for (const variant of variants) {
    const failure = await compile(device, variant);
    if (failure !== undefined) failed.push(failure);
  }
  return failed;
}

/** The paths of all shader files in a folder of the project. */
async function shadersUnder(folder: string): Promise<string[]> {
  const paths: string[] = [];
  const root = fromFileUrl(new URL("../../", import.meta.url));
  for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
    const path = join(folder, name);
    if (isDirectory) paths.push(...await shadersUnder(path));
    else if (extname(name) === ".wgsl") paths.push(join(root, path));
  }
  return paths;
}

Deno.test("every kernel that is defined is among those that two compilers get", async () => {
  const compiled = (await everyVariant()).map(({ code }) => code);
  const missing = definedKernels().filter(({ variants }) =>
    !variants.some((variant) => compiled.some((code) => code.endsWith(variant.code)))
  );
  assertEquals(missing.map(({ path }) => path), []);
});

Deno.test("every binding of every kernel has a data type, or is one of bits", async () => {
  await everyVariant();
  const untyped = definedKernels().flatMap(({ path, variants }) =>
    variants.flatMap(({ code, interface: { bindings } }) =>
      bindings.filter(({ name, dtype }) =>
        dtype === undefined && !code.includes(` ${name}: array<Bits>;`)
      ).map(({ name }) => `${path}: ${name}`)
    )
  );
  assertEquals(untyped, []);
});

Deno.test("all that a shader file declares is part of a kernel that two compilers get", async () => {
  await everyVariant();
  const linked = definedKernels().flatMap(({ variants }) =>
    variants.flatMap(({ pieces }) => pieces)
  );
  const starts = Map.groupBy(linked, ({ module }) => module.path);
  const missing: string[] = [];
  for (const file of await shadersUnder("kernels")) {
    const path = file.split(/[\\/]/).slice(-2).join("/").replace(/\.wgsl$/, "");
    const { declarations, tokens } = parseModule(path, await Deno.readTextFile(file));
    for (const { keyword, name, begin, end } of declarations) {
      // The bound of an unrolled loop may be all that a constant is for.
      const isLinked = keyword === "const" ||
        starts.get(path)?.some(({ start }) =>
          start >= tokens[begin].start && start <= tokens[end - 1].start
        );
      if (!isLinked) missing.push(`${path}.wgsl: ${keyword} ${name}`);
    }
  }
  assertEquals(missing, []);
});

Deno.test("every shader file with an entry point is among those that two compilers get", async () => {
  const labels = new Set((await everyVariant()).map(({ label }) => label));
  const missing: string[] = [];
  for (const path of await shadersUnder("kernels")) {
    const text = await Deno.readTextFile(path);
    if (text.includes("@compute") && !labels.has(basename(path, ".wgsl"))) missing.push(path);
  }
  assertEquals(missing, []);
});

Deno.test("Tint takes every shader that is dispatched", async () => {
  const device = await openTint();
  assertEquals(await failures(device, await everyVariant()), []);
  assertEquals(refusal, undefined);
  device.destroy();
});

Deno.test("naga takes every shader that is dispatched", async () => {
  const { device } = await testGpu();
  const variants = (await everyVariant()).filter(({ code }) => !code.includes(ENABLE_SUBGROUPS));
  assertEquals(await failures(device, variants), []);
});

/** What Tint wants before a shader with subgroups, and naga does not know; the GPU layer takes it off. */
const ENABLE_SUBGROUPS = "enable subgroups; ";

Deno.test("naga takes every shader with subgroups where the device has them, and elsewhere misses nothing else", async () => {
  const { device, supportsSubgroups } = await testGpu();
  const variants = (await everyVariant()).flatMap((variant) =>
    variant.code.includes(ENABLE_SUBGROUPS)
      ? [{ ...variant, code: variant.code.replace(ENABLE_SUBGROUPS, "") }]
      : []
  );
  assertNotEquals(variants, []);
  const failed = await failures(device, variants);
  if (supportsSubgroups) return assertEquals(failed, []);
  assertEquals(failed.length, variants.length);
  for (const failure of failed) {
    assertStringIncludes(failure, "Shader requires capability Capabilities(SUBGROUP)");
  }
});

Deno.test("naga refuses the directive of subgroups: once it does not, the GPU layer need not take it off", async () => {
  const { device } = await testGpu();
  const failure = await compile(device, {
    label: "made_up",
    code: `${ENABLE_SUBGROUPS}\n@compute @workgroup_size(1)\nfn made_up() {}\n`,
    constants: {},
  });
  assertStringIncludes(failure ?? "", "not yet supported");
});

const BARRIER_PAST_A_RETURN = `
override SIZE: u32 = 4u;
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
var<workgroup> shared_x: array<f32, SIZE>;
@compute @workgroup_size(8)
fn made_up(@builtin(local_invocation_index) local: u32) {
  if (local > 3u) {
    return;
  }
  shared_x[local] = x[local];
  workgroupBarrier();
  x[local] = shared_x[3u - local];
}
`;

Deno.test("Tint refuses a barrier that not all invocations reach", async () => {
  const device = await openTint();
  const failure = await compile(device, {
    label: "made_up",
    code: BARRIER_PAST_A_RETURN,
    constants: {},
  });
  assertStringIncludes(failure ?? "", "must only be called from uniform control flow");
  device.destroy();
});

Deno.test("Tint refuses constants that need more workgroup memory than every device has", async () => {
  const device = await openTint();
  const failure = await compile(device, {
    label: "made_up",
    code: BARRIER_PAST_A_RETURN.replace("if (local > 3u) {\n    return;\n  }", ""),
    constants: { SIZE: 5000 },
  });
  assertStringIncludes(failure ?? "", "workgroup");
  device.destroy();
});

Deno.test("naga refuses an element pointer as a parameter", async () => {
  const { device } = await testGpu();
  const failure = await compile(device, {
    label: "made_up",
    code: `
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
fn double(value: ptr<storage, f32, read_write>) {
  *value *= 2.0;
}
@compute @workgroup_size(1)
fn made_up() {
  double(&x[0]);
}
`,
    constants: {},
  });
  assertStringIncludes(failure ?? "", "pointer");
});
