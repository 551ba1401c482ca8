// How a scan is cut into chunks, and which of them an invocation has: one of a batch element, chunk and
// Slice of channels, in that order.

import package::common::invocations::{Invocation, number_of};

struct Shape {
  batch: u32,
  time: u32,
  channels: u32, // Slices of them
  chunks: u32,
  chunk_size: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;

struct Chunk {
  place: u32, // in [batch, chunks, channels]
  batch: u32, // past the last where the invocation has no chunk
  number: u32, // of the chunks of a sequence
  begin: u32, // where its first step is in [batch, time, channels]
  end: u32, // one step past its last
  state: u32, // its place in [batch, channels]
}

fn chunk_of(invocation: Invocation) -> Chunk {
  let place = number_of(invocation);
  let channel = place % shape.channels;
  let number = place / shape.channels % shape.chunks;
  let batch = place / (shape.channels * shape.chunks);
  let first = number * shape.chunk_size;
  let begin = (batch * shape.time + first) * shape.channels + channel;
  let end = begin + min(shape.chunk_size, shape.time - first) * shape.channels;
  return Chunk(place, batch, number, begin, end, batch * shape.channels + channel);
}
