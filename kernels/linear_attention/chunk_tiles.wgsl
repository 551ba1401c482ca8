// What the products over whole chunks share, those of states and of outputs.

override WORKGROUP_SIZE: u32 = 64u;

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32
@link
alias DecayedElement = f32; // Element where queries and keys are not decayed

struct Shape {
  chunks: u32,
  heads: u32,
  a_heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
  a_offset: i32, // of row 0 in its tensor; it may lie before it, and wrap
  backward: u32, // 0 or 1
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> a: array<vec4<DecayedElement>>; // [.., rows, a_heads, key_vectors]
@if(HAS_DECAYS)
@group(0) @binding(3) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
