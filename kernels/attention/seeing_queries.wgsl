// Appended to the key gradient's kernels.

// The queries of this walk, first and past the last, of which one may see one of the keys first..last.
fn seeing_queries(first: i32, last: i32, batch: u32) -> vec2i {
  if (first > last) {
    return vec2i(0);
  }
  var begin = 0;
  var end = shape.query_time;
  var start = 0;
  if (HAS_SEGMENTS) {
    let row = batch * shape.heads * u32(shape.query_time);
    begin = i32(terms[row + u32(first)].z);
    start = i32(terms[row + u32(last)].z);
    end = i32(terms[row + u32(last)].w);
  }
  if (shape.causal != 0u) {
    begin = max(begin, first - shape.query_offset);
  }
  if (start + shape.sinks <= first) {
    end = min(end, last + shape.window - shape.query_offset);
  }
  return vec2i(max(begin, shape.walk_first), min(end, shape.walk_last));
}
