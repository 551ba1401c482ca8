// Which keys a query sees.

import package::attention::problem::shape;

// A query sees the keys low..high and start..sinks_end, as far as they are below high.
struct Visible {
  start: i32,
  sinks_end: i32,
  low: i32,
  high: i32,
}

// `segment` holds the first position of the query's segment and the one past its last.
fn visible_keys(time: i32, segment: vec2i) -> Visible {
  return visible_from(time + shape.query_offset, segment);
}

fn visible_from(position: i32, segment: vec2i) -> Visible {
  let high = select(segment.y, min(segment.y, position + 1), shape.causal != 0u);
  let low = max(segment.x, position - shape.window + 1);
  return Visible(segment.x, segment.x + shape.sinks, low, high);
}

fn sees(visible: Visible, key: i32) -> bool {
  let in_window = key >= visible.low;
  let is_sink = (key >= visible.start) & (key < visible.sinks_end);
  return (key < visible.high) & (in_window | is_sink); // no branches, as `&&` would be
}

// Whether a query sees a key below `end`.
fn sees_any(visible: Visible, end: i32) -> bool {
  let high = min(visible.high, end);
  return visible.low < high || visible.start < min(visible.sinks_end, high);
}

// The keys that a tile of queries walks: from `first` to `end`, with a jump from sinks_end to begin.
struct Walk {
  first: i32,
  sinks_end: i32,
  begin: i32,
  end: i32,
}

// From the window of the tile's first query to the end of its last; before them the sinks of the first
// query's segment.
fn walk_of(first: Visible, last: Visible) -> Walk {
  let begin = max(first.low, shape.walk_first);
  let end = min(last.high, shape.walk_last);
  let sinks_end = min(first.sinks_end, min(begin, end));
  let start = max(first.start, shape.walk_first);
  return Walk(select(begin, start, start < sinks_end), sinks_end, begin, end);
}

// One past the last key of the part of the walk that key `k` is in.
fn end_of_part(walk: Walk, k: i32) -> i32 {
  return select(walk.end, walk.sinks_end, k < walk.sinks_end);
}

// Where a walk that takes `step` keys at a time goes on after `k`.
fn next_key(walk: Walk, k: i32, step: i32) -> i32 {
  let after = k + step;
  return select(after, walk.begin, k < walk.sinks_end && after >= walk.sinks_end);
}
