// What the gradients of readers and of writers are carried along with over the blocks of a chunk.

@group(0) @binding(1) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@group(0) @binding(2) var<storage, read> pair_gradients: array<mat4x4f>; // [units, PAIRS, blocks, blocks]
@if(DECAYED) @group(0) @binding(3) var<storage, read> decays: array<mat4x4f>; // [units, blocks, decay_quads]
@if(DECAYED) @group(0) @binding(4) var<storage, read> spans: array<vec4f>; // [units, borders, borders, decay_quads]
@group(0) @binding(5) var<storage, read_write> panel_gradients: array<mat4x4f>; // [units, ROWS, blocks, key_quads]
@if(DECAYED) @group(0) @binding(6) var<storage, read_write> decay_gradients: array<mat4x4f>; // [units, blocks, key_quads]: by rows
@if(DECAYED) @group(0) @binding(7) var<storage, read_write> carried: array<vec4f>; // [units, blocks, key_quads]: by blocks
