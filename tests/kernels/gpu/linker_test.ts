import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type Kernel, KernelError, type Settings, shaders } from "../../../kernels/gpu/mod.ts";
import { testGpu } from "../../testing.ts";

const TWICE = `// The double of a number, or four times it.

@if(AGAIN)
const TIMES: f32 = 4.0;
@else
const TIMES: f32 = 2.0;

fn unused() -> f32 {
  return nothing_of_this_name();
}

fn twice(x: f32) -> f32 {
  return TIMES * x;
}
`;

const ROOT = `// y = twice(x).

import package::made_up::twice::twice;

struct Shape {
  count: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(1)
fn root(@builtin(workgroup_id) id: vec3u) {
  y[id.x] = twice(x[id.x]);
}
`;

/** A shader of a family that no other test sees. */
function shader(texts: Record<string, string>, settings: Settings = {}): Kernel {
  return shaders("made_up", texts).kernel("root", settings);
}

Deno.test("a shader is joined with what it imports, and with nothing else", () => {
  const kernel = shader({ root: ROOT, twice: TWICE });
  const { code } = kernel.variant({ AGAIN: true });
  assertStringIncludes(code, "const TIMES: f32 = 4.0;");
  assertStringIncludes(code, "fn twice(");
  assert(!code.includes("unused") && !code.includes("2.0") && !code.includes("import"));
  assert(code.indexOf("fn twice(") < code.indexOf("fn root("), "naga wants what is used first");
  assertStringIncludes(kernel.variant({ AGAIN: false }).code, "const TIMES: f32 = 2.0;");
  assertEquals(kernel.variant({ AGAIN: false }), kernel.variant({ AGAIN: false }));
});

Deno.test("an import, a condition or a name that is not there is an error with its file and line", () => {
  const cases: [texts: Record<string, string>, message: string][] = [
    [{ root: ROOT }, "made_up/root.wgsl:3: there is no shader made_up/twice"],
    [
      { root: ROOT, twice: "fn thrice() {}" },
      "made_up/root.wgsl:3: made_up/twice.wgsl declares no twice",
    ],
    [
      { root: ROOT.replace("fn root", "fn other"), twice: TWICE },
      "made_up/root.wgsl:1: there is no entry point fn root",
    ],
    [
      { root: ROOT, twice: TWICE.replace("AGAIN", "AGIAN") },
      "the host gives no value for the condition AGIAN",
    ],
    [
      { root: ROOT.replace("::twice;", "::unused;"), twice: TWICE },
      "made_up/root.wgsl:15: twice is neither declared nor imported here: it is in made_up/twice.wgsl",
    ],
    [
      {
        root: ROOT.replace("struct", "const TIMES = 1;\nstruct").replace(
          "] = twice",
          "] = TIMES * twice",
        ),
        twice: TWICE,
      },
      "TIMES is declared in made_up/",
    ],
    [{ root: `${ROOT}\n@else\nconst A = 1;`, twice: TWICE }, "@else follows no @if"],
    [{ root: ROOT.replace("package::", ""), twice: TWICE }, "an import is written"],
  ];
  for (const [texts, message] of cases) {
    const error = assertThrows(() => {
      const kernel = shader(texts);
      assertEquals(kernel.names.linked.size, 0);
      kernel.variant({ AGAIN: true });
    }, Error);
    assertStringIncludes(error.message, message);
  }
});

Deno.test("@if holds for declarations, members, statements and imports; @elif and @else are the rest", () => {
  const text = `
struct Shape {
  @if(A) first: u32, // goes
  @if(B) second: array<vec2<f32>, 2>,
  third: u32,
}
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn root() {
  var shape = Shape();
  @if(A && !B) { y[0] = 1u; }
  @elif(B)
  y[0] = 2u;
  @else
  if (y[1] == 0u) { y[0] = 3u; } else if (y[1] == 1u) { y[0] = 4u; } else { y[0] = 5u; }
  y[2] = shape.third;
}
`;
  const kernel = shader({ root: text });
  const linked = (A: boolean, B: boolean): string =>
    kernel.variant({ A, B }).code.replace(/\s+/g, " ");
  const last =
    "if (y[1] == 0u) { y[0] = 3u; } else if (y[1] == 1u) { y[0] = 4u; } else { y[0] = 5u; }";
  const rest = (body: string): string =>
    `fn root() { var shape = Shape(); ${body} y[2] = shape.third; }`;
  assertStringIncludes(linked(true, false), "struct Shape { first: u32, // goes third: u32, }");
  assertStringIncludes(linked(true, false), rest("{ y[0] = 1u; }"));
  assertStringIncludes(linked(true, true), rest("y[0] = 2u;"));
  assertStringIncludes(
    linked(false, true),
    "struct Shape { second: array<vec2<f32>, 2>, third: u32, }",
  );
  assertStringIncludes(linked(false, false), rest(last));
});

Deno.test("an unrolled loop is a block per pass, by constants that the host may give", async () => {
  const text = `
@link
const COUNT: u32 = 2u;
const LAST: u32 = 2u * COUNT - 1u;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn root() {
  var x: array<u32, COUNT>;
  @unroll
  for (var i = 0u; i < COUNT; i++) { // of x
    x[i] = 10u * i;
    @unroll for (var j = i + 1u; j > 0u; j--) { x[i] += j; }
  }
  @unroll
  for (var i = LAST - 1u; i <= LAST; i += 1u) {
    y[i] = x[i - COUNT];
  }
}
`;
  const kernel = shader({ root: text });
  assertEquals(kernel.variant({}).code.match(/const i = \du;/g)?.length, 4);
  assert(!kernel.variant({ COUNT: 3 }).code.includes("for"));
  const gpu = await testGpu();
  using y = gpu.tensor([6], undefined, "u32");
  gpu.dispatch(kernel, { constants: { COUNT: 3 }, write: { y }, workgroups: 1 });
  assertEquals([...await y.read()], [0, 0, 0, 0, 13, 26]);
  const wrong: [from: string, to: string, message: string][] = [
    ["x[i] = 10u * i;", "continue;", "made_up/root.wgsl:11: an unrolled loop cannot continue"],
    ["i < COUNT", "i < y[0]", "made_up/root.wgsl:9: y is not a constant"],
    ["i++", "i *= 2u", "an unrolled loop steps by"],
    ["i < COUNT; i++", "i < 1000u; i++", "at most 256 passes"],
    ["LAST - 1u", "NOPE", "NOPE is not a constant that a loop can be unrolled by"],
  ];
  for (const [from, to, message] of wrong) {
    const error = assertThrows(() => shader({ root: text.replace(from, to) }).variant({}), Error);
    assertStringIncludes(error.message, message);
  }
});

Deno.test("element types and constants go in by name, f16 with its directive", () => {
  const text = `
@link alias Element = f32; // or f16
@link const SIDE: u32 = 4u;
@link const SCALE: f32 = 1.0;
@group(0) @binding(0) var<storage, read_write> y: array<Element>;
@compute @workgroup_size(SIDE) fn root() { y[0] = Element(SCALE); }
`;
  const kernel = shader({ root: text });
  assertEquals(kernel.variant({}).directives, []);
  const { code, directives } = kernel.variant({ Element: "f16", SIDE: 8, SCALE: 1e-7 });
  assertEquals(directives, ["enable f16;"]);
  assertStringIncludes(code, "alias Element = f16;");
  assertStringIncludes(code, "const SIDE: u32 = 8u;");
  assertStringIncludes(code, "const SCALE: f32 = f32(1e-7);");
  for (
    const [settings, message] of [
      [{ Element: 3 }, "Element must be a type"],
      [{ SIDE: -1 }, "SIDE must be an integer from 0"],
      [{ SIDE: 1.5 }, "SIDE must be an integer from 0"],
      [{ SCALE: NaN }, "SCALE must be a finite number"],
    ] as const
  ) {
    assertStringIncludes(assertThrows(() => kernel.variant(settings), Error).message, message);
  }
});

Deno.test("the compiler's words point at the file and the line that a person wrote", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([1]);
  using y = gpu.empty([1]);
  const run = async (texts: Record<string, string>): Promise<string> => {
    const kernel = shader(texts, { AGAIN: false });
    gpu.dispatch(kernel, { uniform: { count: 1 }, read: { x }, write: { y }, workgroups: 1 });
    return (await assertRejects(() => gpu.sync(), KernelError, "Cannot compile root")).message;
  };
  const uniform = ROOT.replace("y[id.x] =", "y[id.x] = f32(shape.count) *");
  const imported = await run({ root: uniform, twice: TWICE.replace("TIMES * x", "TIMES * z") });
  assertStringIncludes(imported, "made_up/twice.wgsl:13:18");
  assertStringIncludes(imported, "13 │   return TIMES * z;");
  const unrolled = uniform.replace(
    "  y[id.x]",
    "  @unroll for (var i = 0u; i < 4u; i++) {\n    y[i] = x[i];\n  }\n  y[0u] = nope;\n  y[id.x]",
  );
  const own = await run({ root: unrolled, twice: TWICE });
  assertStringIncludes(own, "made_up/root.wgsl:18:11");
});

Deno.test("overrides come before all else: naga fails where an array's size takes one before another", async () => {
  const kernel = shader({
    sized: `override LANES: u32 = 4u;
override ROWS: u32 = 1u;

var<workgroup> partial: array<f32, LANES * ROWS>;

fn keep(at: u32, value: f32) -> f32 {
  partial[at] = value;
  return partial[at];
}
`,
    root: `import package::made_up::sized::keep;
import package::made_up::sized::LANES;
import package::made_up::sized::ROWS;

override OFFSET: f32 = 1.0;

@group(0) @binding(0) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES, ROWS)
fn root(@builtin(local_invocation_index) at: u32) {
  y[at] = keep(at, OFFSET);
}
`,
  });
  const { code } = kernel.variant({});
  assert(code.indexOf("override OFFSET") < code.indexOf("var<workgroup>"), code);
  const gpu = await testGpu();
  using y = gpu.tensor([4]);
  gpu.dispatch(kernel, { constants: { OFFSET: 2 }, write: { y }, workgroups: 1 });
  assertEquals([...await y.read()], [2, 2, 2, 2]);
});
