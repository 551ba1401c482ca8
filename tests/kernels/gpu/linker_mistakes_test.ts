import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type Dispatch,
  type Gpu,
  type Kernel,
  KernelError,
  type Settings,
  shaders,
} from "../../../kernels/gpu/mod.ts";
import { testGpu } from "../../testing.ts";

/** A shader that adds to each `x`, with declarations before it and statements in it. */
function adding({ before = "", fields = "scale: f32", body = "" }): string {
  return `${before}
struct Shape { count: u32, ${fields} }
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> unused: array<f32>;

@compute @workgroup_size(1)
fn root(@builtin(workgroup_id) id: vec3u) {
  var value = x[id.x] * shape.scale * f32(shape.count);
  ${body}
  y[id.x] = value;
}
`;
}

function kernelOf(texts: Record<string, string>, settings: Settings = {}): Kernel {
  return shaders("made_up", texts).kernel("root", settings);
}

/** What `y` is of x = 3, count = 1, scale = 2. */
async function run(gpu: Gpu, kernel: Kernel, dispatch: Partial<Dispatch> = {}): Promise<number> {
  using x = gpu.tensor([1], [3]);
  using y = gpu.empty([1]);
  const uniform = { count: 1, scale: 2 };
  gpu.dispatch(kernel, { uniform, read: { x }, write: { y }, workgroups: 1, ...dispatch });
  return (await y.read())[0];
}

function assertLinkError(texts: Record<string, string>, message: string): void {
  const error = assertThrows(() => {
    const kernel = kernelOf(texts);
    assert(kernel.names.bindings.size > 0);
    kernel.variant({ A: false });
  }, Error);
  assertStringIncludes(error.message, message);
}

Deno.test("a const_assert holds in the module that it is in, as in an imported one, and takes no name", async () => {
  const gpu = await testGpu();
  const body = "value += f32(X);";
  const asserting = (test: string): string => `const X: u32 = 4u;\nconst_assert ${test};\n`;
  const imported = (test: string): Record<string, string> => ({
    root: adding({ before: "import package::made_up::own::X;", body }),
    own: asserting(test),
  });
  for (const test of ["X > 2u", "(X > 2u)"]) {
    assertEquals(await run(gpu, kernelOf({ root: adding({ before: asserting(test), body }) })), 10);
    assertEquals(await run(gpu, kernelOf(imported(test))), 10);
  }
  const own = { root: adding({ before: asserting("(X > 9u)"), body }) };
  for (const texts of [own, imported("X > 9u")]) {
    await assertRejects(() => run(gpu, kernelOf(texts)), KernelError, "Cannot compile root");
  }
  const conditional = kernelOf({ root: adding({ before: `@if(A) ${asserting("true")}`, body }) });
  assertThrows(() => conditional.variant({}), Error, "no value for the condition A");
});

Deno.test("what one file declares twice is an error, unless conditions choose", () => {
  const twice = "fn two() -> f32 { return 1.0; }\nfn two() -> f32 { return 2.0; }";
  const body = "value += two();";
  assertLinkError(
    { root: adding({ before: twice, body }) },
    "made_up/root.wgsl:2: two is declared above too",
  );
  const chosen = twice.replace("fn", "@if(A) fn").replace("\nfn", "\n@else fn");
  const { code } = kernelOf({ root: adding({ before: chosen, body }) }).variant({ A: false });
  assert(code.includes("return 2.0") && !code.includes("return 1.0"));
});

Deno.test("a condition inside an expression is an error: it would take the rest with it", () => {
  for (
    const body of [
      "value += vec2f(@if(A) 1.0, 2.0, 3.0).x;",
      "value += vec2f(1.0, @if(A) 2.0, 3.0).x;",
      "value = @if(A) 1.0;",
      "value += x[@if(A) 0];",
    ]
  ) {
    assertLinkError(
      { root: adding({ body }) },
      "made_up/root.wgsl:11: @if stands before a declaration, a member, a parameter or a statement",
    );
  }
  const text = adding({
    before: "fn last(@if(A) a: f32, @if(B) b: array<f32, 2>, c: f32) -> f32 { return c; }",
    body: "switch id.x { @if(A) case 0u: { value = 0.0; } default: { @if(B) value = 1.0; } }\n" +
      "  if (value > 0.0) { @if(A) value = 2.0; } value += last(1.0);",
  });
  const { code } = kernelOf({ root: text }).variant({ A: false, B: false });
  assert(!/@if|array<f32, 2>|case|value = /.test(code.replace("var value", "")), code);
});

Deno.test("the fields of a uniform have no @size and no @align", async () => {
  const gpu = await testGpu();
  for (const fields of ["@size(8) scale: f32", "@align(16) scale: f32"]) {
    const kernel = kernelOf({ root: adding({ fields }) });
    await assertRejects(() => run(gpu, kernel), KernelError, `take @${fields.slice(1, 5)}`);
  }
});

Deno.test("what is given twice, in the wrong place or is no tensor is named", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([1], [3]);
  using y = gpu.empty([1]);
  const scaled = adding({ fields: "out_scale: f32" }).replace("shape.scale", "shape.out_scale");
  const nothing = null as unknown as undefined;
  const cases: [dispatch: Partial<Dispatch>, message: string, text?: string][] = [
    [
      { uniform: { count: 1, outScale: 1, out_scale: 2 } },
      "uniform field out_scale is given twice, as outScale and as out_scale",
      scaled,
    ],
    [{ write: { y, unused: x }, read: {} }, "only reads unused: give it in read"],
    [{ read: { x, y } }, "writes y: give it in write"],
    [{ read: { x: nothing } }, "Cannot run root as x must be a tensor"],
    [{ write: { y: nothing } }, "Cannot run root as y must be a tensor"],
  ];
  for (const [dispatch, message, text = adding({})] of cases) {
    const kernel = kernelOf({ root: text });
    await assertRejects(() => run(gpu, kernel, dispatch), KernelError, message);
    // Known or not: where a call of the same names has run, too.
    if (text !== scaled) assertEquals(await run(gpu, kernel), 6);
    await assertRejects(() => run(gpu, kernel, dispatch), KernelError, message);
  }
  const kernel = kernelOf({ root: adding({}) });
  assertEquals(await run(gpu, kernel, { read: { x, unused: x } }), 6);
});

Deno.test("-0 stays -0 after a 0: in a uniform, a constant, an override", async () => {
  const gpu = await testGpu();
  const text = adding({
    before: "@link const LINKED: f32 = 1.0;\noverride GIVEN: f32 = 1.0;",
    body: "value = f32(bitcast<u32>(shape.scale) >> 31u) + " +
      "2.0 * f32(bitcast<u32>(LINKED) >> 31u) + 4.0 * f32(bitcast<u32>(GIVEN) >> 31u);",
  });
  const kernel = kernelOf({ root: text });
  const signs = async (scale: number, LINKED: number, GIVEN: number): Promise<number> =>
    await run(gpu, kernel, { uniform: { count: 1, scale }, constants: { LINKED, GIVEN } });
  for (const [at, values] of [[0, 0, 0], [-0, 0, 0], [0, -0, 0], [0, 0, -0]].entries()) {
    assertEquals(await signs(values[0], values[1], values[2]), [0, 1, 2, 4][at], `${values}`);
  }
});

Deno.test("the compiler's words name a file that there is, once", async () => {
  const gpu = await testGpu();
  for (const body of ["y[0] = 1u;", "return 1.0;", "let wrong: u32 = 1.5;"]) {
    const kernel = kernelOf({ root: adding({ body }) });
    const { message } = await assertRejects(() => run(gpu, kernel), KernelError, "Cannot compile");
    const places = [...message.matchAll(/(\S*):\d+:\d+/g)];
    assert(places.length > 0, message);
    for (const [all, path] of places) {
      assertEquals(path, "made_up/root.wgsl", message);
      assert(!all.endsWith(":1:1"), message);
    }
  }
});

Deno.test("an import, a comment or a name that cannot be read is an error where it stands", () => {
  const own = "fn two() -> f32 { return 2.0; }";
  const written = "made_up/root.wgsl:1: an import is written";
  const before = (text: string): Record<string, string> => ({
    root: adding({ before: text, body: "value += two();" }),
    own,
  });
  const imported = "import package::made_up::own::two";
  for (const end of [" as four;", "", "::three;"]) {
    assertLinkError(before(`${imported}${end}`), written);
  }
  assertLinkError(before("import package::made_up::{own::two};"), written);
  assertLinkError(before("import package::made_up::own::{own::two};"), written);
  assertLinkError(
    before("import package::made_up::constructor::two;"),
    "made_up/root.wgsl:1: there is no shader made_up/constructor",
  );
  assertLinkError(before(`\n/* a /* b */\n${own}`), 'made_up/root.wgsl:2: there is no "*/"');
  assertLinkError(before("\n}\nfn two() {}"), 'made_up/root.wgsl:2: "}" begins no declaration');
  const commented = `/* a /* b */ fn two() {} */ // /*\n${own}`;
  assertStringIncludes(kernelOf(before(commented)).variant({}).code, own);
  assertStringIncludes(
    kernelOf(before(`import package::made_up::own::{\n  two,\n};`)).variant({}).code,
    own,
  );
});

Deno.test("an error in an expression has the expression's line", () => {
  const unrolled = "@unroll\n  for (var i = 0u; i < LAST; i++) { value += 1.0; }";
  assertLinkError(
    { root: adding({ before: "const FIRST = 1u;\nconst LAST = FIRST +\n  1.5;", body: unrolled }) },
    'made_up/root.wgsl:3: "1.5" is neither an integer nor a name',
  );
  assertLinkError(
    {
      root: adding({ before: "import package::made_up::own::LAST;", body: unrolled }),
      own: "\n\nconst LAST =\n  constructor;",
    },
    "made_up/own.wgsl:4: constructor is not a constant",
  );
  assertLinkError(
    { root: adding({ body: "\n\n@if(A &&\n 2.5) value = 1.0;" }) },
    'made_up/root.wgsl:14: "2.5" is neither',
  );
});

Deno.test("files that import each other are an error that names them", () => {
  const cycle = {
    root: adding({ before: "import package::made_up::a::one;", body: "value += one();" }),
    a: "import package::made_up::b::two;\nfn one() -> f32 { return two(); }\n",
    b: "fn two() -> f32 { return 1.0; }\nimport package::made_up::a::one;\n",
  };
  assertLinkError(
    cycle,
    "made_up/b.wgsl:2: these import each other: made_up/a.wgsl → made_up/b.wgsl → made_up/a.wgsl",
  );
  assertLinkError(
    { root: adding({ before: "import package::made_up::root::root;" }) },
    "made_up/root.wgsl → made_up/root.wgsl",
  );
});

Deno.test("two families of one name cannot be imported from", () => {
  const common = shaders("common", { one: "" });
  shaders("made_up", {}, common, common);
  const message = "two of its families are called common";
  assertThrows(() => shaders("made_up", {}, common, shaders("common", {})), Error, message);
  assertThrows(() => shaders("common", {}, common), Error, message);
});
