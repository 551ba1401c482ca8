// Which key a query sees, and what becomes of their scaled product. Appended to every kernel here.

override SOFT_CAP: f32 = 0.0; // 0: none
override HAS_ALIBI: bool = false;
override HAS_SEGMENTS: bool = false;
override CONTINUES: bool = false; // go on from what the walks before this one have written

const MASKED: f32 = -1e30; // stands for minus infinity, which WGSL cannot write

struct Shape {
  batch: u32,
  query_time: i32,
  key_time: i32, // rows of the key tensor
  key_length: i32, // rows of them that hold keys
  heads: u32,
  key_heads: u32,
  query_offset: i32, // the first query's position; the first key's is 0
  causal: u32,
  window: i32,
  sinks: i32,
  walk_first: i32, // the keys that this dispatch walks, or for the key gradient the queries
  walk_last: i32, // one past them
}

// A query sees the keys low..high and start..sinks_end, as far as they are below high.
struct Visible {
  start: i32,
  sinks_end: i32,
  low: i32,
  high: i32,
}

// `segment` holds the first position of the query's segment and the one past its last.
fn visible_keys(position: i32, segment: vec2i) -> Visible {
  let high = select(segment.y, min(segment.y, position + 1), shape.causal != 0u);
  let low = max(segment.x, position - shape.window + 1);
  return Visible(segment.x, segment.x + shape.sinks, low, high);
}

fn sees(visible: Visible, key: i32) -> bool {
  let in_window = key >= visible.low;
  let is_sink = key >= visible.start && key < visible.sinks_end;
  return key < visible.high && (in_window || is_sink);
}

// c * tanh(score / c), the argument held where no exponential in tanh overflows.
fn cap(score: f32) -> f32 {
  if (SOFT_CAP > 0.0) {
    return SOFT_CAP * tanh(clamp(score / SOFT_CAP, -15.0, 15.0));
  }
  return score;
}

// d cap(score) / d score, from the capped value.
fn cap_slope(capped: f32) -> f32 {
  if (SOFT_CAP > 0.0) {
    return 1.0 - (capped / SOFT_CAP) * (capped / SOFT_CAP);
  }
  return 1.0;
}

fn bias(distance: i32, alibi_slope: f32) -> f32 {
  if (HAS_ALIBI) {
    return -alibi_slope * f32(abs(distance));
  }
  return 0.0;
}

fn dot_add(a: vec4f, b: vec4f, sum: f32) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}
