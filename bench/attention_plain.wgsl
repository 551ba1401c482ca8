// Causal softmax attention as one would first write it: an invocation per query, which stores its row of scores, then
// takes the softmax of it, then the mean of the values. Lavapipe ends an invocation's loops, silently, at the 65,536th
// iteration of all of them together: by vectors of 4, it gets to 1900 tokens of 64 before.
// Dispatch: x = ceil(time / 64), y = heads.

override SCALE: f32 = 0.125;

struct Shape {
  time: u32,
  heads: u32,
  quads: u32, // of a head, vectors of 4
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> query: array<vec4f>; // [time, heads, quads]
@group(0) @binding(2) var<storage, read> key: array<vec4f>; // [time, heads, quads]
@group(0) @binding(3) var<storage, read> value: array<vec4f>; // [time, heads, quads]
@group(0) @binding(4) var<storage, read_write> scores: array<f32>; // [heads, time, time]
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>; // [time, heads, quads]

@compute @workgroup_size(64)
fn attention_plain(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(global_invocation_id) id: vec3u,
) {
  let head = workgroup.y;
  let time = id.x;
  if (time >= shape.time) {
    return;
  }
  let row = (time * shape.heads + head) * shape.quads;
  let score_row = (head * shape.time + time) * shape.time;
  var largest = -1e30;
  for (var k = 0u; k <= time; k++) {
    let key_row = (k * shape.heads + head) * shape.quads;
    var score = 0.0;
    for (var d = 0u; d < shape.quads; d++) {
      score += dot(query[row + d], key[key_row + d]);
    }
    score *= SCALE;
    scores[score_row + k] = score;
    largest = max(largest, score);
  }
  var total = 0.0;
  for (var k = 0u; k <= time; k++) {
    let weight = exp(scores[score_row + k] - largest);
    scores[score_row + k] = weight;
    total += weight;
  }
  for (var d = 0u; d < shape.quads; d++) {
    var sum = vec4f();
    for (var k = 0u; k <= time; k++) {
      sum += scores[score_row + k] * value[(k * shape.heads + head) * shape.quads + d];
    }
    y[row + d] = sum / total;
  }
}
