// How much a dispatch computes, an invocation four elements.

struct Shape {
  vectors: u32, // of four elements
}

@group(0) @binding(0) var<uniform> shape: Shape;
