// The segment of a query in the forward kernels.

import package::attention::problem::shape;
import package::attention::visibility::{Visible, visible_keys};

@if(HAS_SEGMENTS)
@group(0) @binding(5) var<storage, read> segments: array<vec2i>; // [query_time]: first, and one past the last

// The keys that the query at `time` sees.
fn visible_at(time: i32) -> Visible {
  @if(HAS_SEGMENTS)
  return visible_keys(time, segments[time]);
  @else
  return visible_keys(time, vec2i(0, shape.key_length));
}
