// Which queries the key gradient's kernels walk.

import package::attention::problem::{shape, term_row};
import package::attention::terms::{terms, visible_to};

// The queries of this walk, first and past the last, of which one may see one of the keys first..last.
fn seeing_queries(first: i32, last: i32, batch: u32) -> vec2i {
  if (first > last) {
    return vec2i(0);
  }
  var begin = 0;
  var end = shape.query_time;
  var start = 0;
  @if(PACKED) {
    begin = terms[term_row(batch, first, 0u)].start;
    start = terms[term_row(batch, last, 0u)].start;
    end = terms[term_row(batch, last, 0u)].end;
  }
  if (shape.causal != 0u) {
    begin = max(begin, first - shape.query_offset);
  }
  if (start + shape.sinks <= first) {
    end = min(end, last + shape.window - shape.query_offset);
  }
  return vec2i(max(begin, shape.walk_first), min(end, shape.walk_last));
}

// Whether the `count` queries from `time` on all see the `count` keys from `first_key` on.
fn sees_whole(batch: u32, time: i32, head: u32, first_key: i32, count: i32) -> bool {
  let last = time + count - 1;
  let by_first = visible_to(time, term_row(batch, time, head));
  let by_last = visible_to(last, term_row(batch, last, head));
  return first_key >= by_last.low && first_key + count <= by_first.high;
}
