// Chunks of the selective scan, channel by channel: which an invocation has. A workgroup has neighbouring
// channels of a chunk.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, ceil_divide, unfold};
import package::scan::states::shape;

struct Chain {
  channel: u32,
  batch: u32, // past the last where the invocation has no chunk
  chunk: u32, // of this dispatch
  begin: u32, // its first row of [batch, time]
  end: u32, // one row past its last
  place: u32, // in [chunks, batch, channels]
}

fn chain_of(invocation: Invocation) -> Chain {
  let place = unfold(invocation, ceil_divide(shape.channels, WORKGROUP_SIZE), shape.chunks);
  let channel = place.x * WORKGROUP_SIZE + invocation.local;
  let batch = select(place.z, shape.batch, channel >= shape.channels);
  let first = (shape.first_chunk + place.y) * shape.chunk_size;
  let begin = batch * shape.time + first;
  let end = begin + min(shape.chunk_size, shape.time - first);
  let row = (place.y * shape.batch + batch) * shape.channels + channel;
  return Chain(channel, batch, place.y, begin, end, row);
}
