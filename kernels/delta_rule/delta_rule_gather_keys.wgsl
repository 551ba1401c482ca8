// Rows as wide as a key, padded with zeros, a chunk and head at a time; D(m, n) decays from row m to n:
//   delta rule: QUERY = scale * q, READ = -k, WRITE = beta * k
//   with LOW_RANK: QUERY = scale * r, READ = a, WRITE = b, KEY = k
//   QUERY_IN = QUERY * D(chunk's start, row), READ_IN likewise (with LOW_RANK without the row's own decay)
//   WRITE_OUT = WRITE * D(row, chunk's end), KEY_OUT likewise.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per block of four rows and quad.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::{after_rows, before_rows, shape, through_rows, times, times_row};
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::workspace::{
  decay_at, KEY, KEY_OUT, panel_at, QUERY, QUERY_IN, READ, READ_IN, span_at, WRITE, WRITE_OUT,
};

@group(0) @binding(2) var<storage, read> query: array<f32>; // [rows, key_heads, key_dim]
@group(0) @binding(3) var<storage, read> key: array<f32>; // [rows, key_heads, key_dim]
@if(!LOW_RANK) @group(0) @binding(4) var<storage, read> beta: array<f32>; // [rows, heads]
@if(LOW_RANK) @group(0) @binding(4) var<storage, read> a: array<f32>; // [rows, heads, key_dim]
@if(LOW_RANK) @group(0) @binding(5) var<storage, read> b: array<f32>; // [rows, heads, key_dim]
@if(DECAYED) @group(0) @binding(6) var<storage, read> decays: array<mat4x4f>; // [units, blocks, decay_quads]
@if(DECAYED) @group(0) @binding(7) var<storage, read> spans: array<vec4f>; // [units, borders, borders, decay_quads]
@group(0) @binding(8) var<storage, read_write> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_gather_keys(invocation: Invocation) {
  let unit = unit_of(invocation);
  let block = unit.item / shape.key_quads;
  let quad = unit.item % shape.key_quads;
  if (block >= shape.blocks) {
    return;
  }
  let chunk = chunks[unit.chunk];
  let key_head = unit.head / (shape.heads / shape.key_heads);
  let channels = 4u * quad + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.key_dim);
  var query_rows = mat4x4f();
  var read_rows = mat4x4f();
  var write_rows = mat4x4f();
  @if(LOW_RANK) var key_rows = mat4x4f();
  @unroll for (var r = 0u; r < 4u; r++) {
    let row = chunk.first + 4u * block + r;
    let valid = channels & vec4<bool>(4u * block + r < chunk.rows);
    let i = (row * shape.key_heads + key_head) * shape.key_dim + 4u * quad;
    let k = select(vec4f(), vec4f(key[i], key[i + 1u], key[i + 2u], key[i + 3u]), valid);
    query_rows[r] = shape.scale *
      select(vec4f(), vec4f(query[i], query[i + 1u], query[i + 2u], query[i + 3u]), valid);
    @if(LOW_RANK) {
      read_rows[r] = select(vec4f(), vec4f(a[i], a[i + 1u], a[i + 2u], a[i + 3u]), valid);
      write_rows[r] = select(vec4f(), vec4f(b[i], b[i + 1u], b[i + 2u], b[i + 3u]), valid);
      key_rows[r] = k;
    } @else {
      read_rows[r] = -k;
      write_rows[r] = select(vec4f(), beta[row * shape.heads + unit.head] * k, valid);
    }
  }
  panels[panel_at(unit.number, QUERY, block) + quad] = query_rows;
  panels[panel_at(unit.number, READ, block) + quad] = read_rows;
  panels[panel_at(unit.number, WRITE, block) + quad] = write_rows;
  @if(LOW_RANK) panels[panel_at(unit.number, KEY, block) + quad] = key_rows;
  @if(DECAYED) {
    let decay = decays[decay_at(unit.number, block, quad)];
    let start = spans[span_at(unit.number, 0u, block, quad)];
    let end = spans[span_at(unit.number, block + 1u, shape.blocks, quad)];
    let through = times_row(through_rows(decay), start);
    @if(LOW_RANK) let until = times_row(before_rows(decay), start);
    @else let until = through;
    let after = times_row(after_rows(decay), end);
    panels[panel_at(unit.number, QUERY_IN, block) + quad] = times(query_rows, through);
    panels[panel_at(unit.number, READ_IN, block) + quad] = times(read_rows, until);
    panels[panel_at(unit.number, WRITE_OUT, block) + quad] = times(write_rows, after);
    @if(LOW_RANK) panels[panel_at(unit.number, KEY_OUT, block) + quad] = times(key_rows, after);
  }
}
