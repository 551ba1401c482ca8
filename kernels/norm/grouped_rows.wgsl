// The extents of rows whose groups have weights of their own.

struct Shape {
  rows: u32,
  columns: u32, // Elements per row
  width: u32, // floats per row
  groups: u32, // row r takes the weight of group r % groups
}

@group(0) @binding(0) var<uniform> shape: Shape;
