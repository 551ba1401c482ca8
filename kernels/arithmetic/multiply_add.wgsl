// Products of a tensor with up to six others, each with the same addend: output_i = addend + x * factor_i. Factors
// and addend repeat along x: index of theirs = index of x / inner % extent.
// Dispatch: one invocation per four elements of x, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@link const FACTORS: u32 = 1u;

const ADDEND = 6u; // its number among what repeats, behind the factors

struct Shape {
  vectors: u32, // of four elements of x
  inner0: u32,
  inner1: u32,
  inner2: u32,
  inner3: u32,
  inner4: u32,
  inner5: u32,
  inner6: u32,
  extent0: u32,
  extent1: u32,
  extent2: u32,
  extent3: u32,
  extent4: u32,
  extent5: u32,
  extent6: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [...]
@group(0) @binding(2) var<storage, read> addend: array<vec4f>; // [extent6]
@group(0) @binding(3) var<storage, read> factor0: array<vec4f>; // [extent0]
@if(HAS_FACTOR1)
@group(0) @binding(4) var<storage, read> factor1: array<vec4f>; // [extent1]
@if(HAS_FACTOR2)
@group(0) @binding(5) var<storage, read> factor2: array<vec4f>; // [extent2]
@if(HAS_FACTOR3)
@group(0) @binding(6) var<storage, read> factor3: array<vec4f>; // [extent3]
@if(HAS_FACTOR4)
@group(0) @binding(7) var<storage, read> factor4: array<vec4f>; // [extent4]
@if(HAS_FACTOR5)
@group(0) @binding(8) var<storage, read> factor5: array<vec4f>; // [extent5]
@group(0) @binding(9) var<storage, read_write> output0: array<vec4f>; // as x
@if(HAS_OUTPUT1)
@group(0) @binding(10) var<storage, read_write> output1: array<vec4f>; // as x
@if(HAS_OUTPUT2)
@group(0) @binding(11) var<storage, read_write> output2: array<vec4f>; // as x
@if(HAS_OUTPUT3)
@group(0) @binding(12) var<storage, read_write> output3: array<vec4f>; // as x
@if(HAS_OUTPUT4)
@group(0) @binding(13) var<storage, read_write> output4: array<vec4f>; // as x
@if(HAS_OUTPUT5)
@group(0) @binding(14) var<storage, read_write> output5: array<vec4f>; // as x

// `which` is a constant where these are called, so that one branch is left.
fn inner_of(which: u32) -> u32 {
  switch (which) {
    case 0u: { return shape.inner0; }
    case 1u: { return shape.inner1; }
    case 2u: { return shape.inner2; }
    case 3u: { return shape.inner3; }
    case 4u: { return shape.inner4; }
    case 5u: { return shape.inner5; }
    default: { return shape.inner6; }
  }
}

fn extent_of(which: u32) -> u32 {
  switch (which) {
    case 0u: { return shape.extent0; }
    case 1u: { return shape.extent1; }
    case 2u: { return shape.extent2; }
    case 3u: { return shape.extent3; }
    case 4u: { return shape.extent4; }
    case 5u: { return shape.extent5; }
    default: { return shape.extent6; }
  }
}

fn vector_at(which: u32, at: u32) -> vec4f {
  @if(HAS_FACTOR1)
  if (which == 1u) { return factor1[at]; }
  @if(HAS_FACTOR2)
  if (which == 2u) { return factor2[at]; }
  @if(HAS_FACTOR3)
  if (which == 3u) { return factor3[at]; }
  @if(HAS_FACTOR4)
  if (which == 4u) { return factor4[at]; }
  @if(HAS_FACTOR5)
  if (which == 5u) { return factor5[at]; }
  if (which == ADDEND) { return addend[at]; }
  return factor0[at];
}

fn store(which: u32, at: u32, value: vec4f) {
  @if(HAS_OUTPUT1)
  if (which == 1u) { output1[at] = value; }
  @if(HAS_OUTPUT2)
  if (which == 2u) { output2[at] = value; }
  @if(HAS_OUTPUT3)
  if (which == 3u) { output3[at] = value; }
  @if(HAS_OUTPUT4)
  if (which == 4u) { output4[at] = value; }
  @if(HAS_OUTPUT5)
  if (which == 5u) { output5[at] = value; }
  if (which == 0u) { output0[at] = value; }
}

fn element_at(which: u32, element: u32) -> f32 {
  return vector_at(which, element / 4u)[element % 4u];
}

// What repeats along x, for four of its elements.
fn repeated_at(which: u32, index: u32) -> vec4f {
  let inner = inner_of(which);
  let extent = extent_of(which);
  if (inner == 1u && extent % 4u == 0u) {
    return vector_at(which, index % (extent / 4u));
  }
  let elements = (vec4u(4u * index) + vec4u(0u, 1u, 2u, 3u)) / inner % extent;
  return vec4f(
    element_at(which, elements.x),
    element_at(which, elements.y),
    element_at(which, elements.z),
    element_at(which, elements.w),
  );
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn multiply_add(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.vectors) {
    return;
  }
  let value = x[index];
  let added = repeated_at(ADDEND, index);
  @unroll for (var i = 0u; i < FACTORS; i++) {
    store(i, index, fma(value, repeated_at(i, index), added));
  }
}
