// What every kernel of attention is given: shapes, options, and the rows that are mixed.

@link const HEAD: u32 = 16u; // vec4s of a query and of a key
@link const VALUE: u32 = 16u; // vec4s of a value

@link alias Element = f32; // or f16: how rows are stored; all arithmetic is in f32

struct Shape {
  batch: u32,
  query_time: i32,
  key_time: i32, // rows of the key tensor
  key_length: i32, // rows of them that hold keys
  heads: u32,
  key_heads: u32,
  query_offset: i32, // the first query's position; the first key's is 0
  causal: u32,
  window: i32,
  sinks: i32,
  scale: f32,
  soft_cap: f32,
  walk_first: i32, // the keys that this dispatch walks, or for the key gradient the queries
  walk_last: i32, // one past them
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> query: array<vec4<Element>>; // [batch, query_time, heads, HEAD]
@group(0) @binding(2) var<storage, read> key: array<vec4<Element>>; // [batch, key_time, key_heads, HEAD]
@group(0) @binding(3) var<storage, read> value: array<vec4<Element>>; // [batch, key_time, key_heads, VALUE]
@if(HAS_ALIBI_SLOPES)
@group(0) @binding(4) var<storage, read> alibi_slopes: array<f32>; // [heads]

fn query_row(batch: u32, time: i32, head: u32) -> u32 {
  return (batch * u32(shape.query_time) + u32(time)) * shape.heads + head;
}

fn key_row(batch: u32, time: i32, key_head: u32) -> u32 {
  return (batch * u32(shape.key_time) + u32(time)) * shape.key_heads + key_head;
}

// The place of a query in [batch, heads, query_time].
fn term_row(batch: u32, time: i32, head: u32) -> u32 {
  return (batch * shape.heads + head) * u32(shape.query_time) + u32(time);
}

fn key_head_of(head: u32) -> u32 {
  return head / (shape.heads / shape.key_heads);
}

fn alibi_slope(head: u32) -> f32 {
  @if(HAS_ALIBI_SLOPES)
  return alibi_slopes[head];
  @else
  return 0.0;
}

// The work of a workgroup: rows of one head from `first` on.
struct Tile {
  batch: u32,
  head: u32,
  first: i32,
}

// The tile of a workgroup, by its number in [batch, heads, ceil(time / rows)].
fn tile_of(workgroup: u32, time: i32, rows: u32, heads: u32) -> Tile {
  let tiles = (u32(time) + rows - 1u) / rows;
  return Tile(workgroup / tiles / heads, workgroup / tiles % heads, i32(workgroup % tiles * rows));
}
