// Rows that indices name, and how they are counted: what gathering them and its gradient share.

@link
alias Bits = u32; // of numbers of any type; or vec4u, where a row is whole vec4s

struct Shape {
  rows: u32, // that may be named
  columns: u32, // in Bits
  count: u32, // of indices
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> indices: array<u32>; // [count]
