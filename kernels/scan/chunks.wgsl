// How a scan is cut into chunks, and which of them an invocation has: one of a batch element, chunk and
// Lane of channels, in that order.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  batch: u32,
  time: u32,
  channels: u32, // Lanes of them
  chunks: u32,
  chunk_size: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;

struct Chunk {
  batch: u32,
  number: u32, // of the chunks of a sequence
  channel: u32, // in Lanes
  begin: u32, // where its first step is in [batch, time, channels]
  steps: u32,
}

fn chunk_of(index: u32) -> Chunk {
  let channel = index % shape.channels;
  let number = index / shape.channels % shape.chunks;
  let batch = index / (shape.channels * shape.chunks);
  let first = number * shape.chunk_size;
  let begin = (batch * shape.time + first) * shape.channels + channel;
  return Chunk(batch, number, channel, begin, min(shape.chunk_size, shape.time - first));
}
