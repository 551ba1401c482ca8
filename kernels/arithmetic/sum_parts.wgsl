// Sums of up to six tensors over their first axes: sum_i = sum over n of parts_i[n].
// Dispatch: one invocation per element of a sum, those of the first tensor first, folded past 65,535
// workgroups. Counted in Elements.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@link const TENSORS: u32 = 1u;

@link
alias Element = f32; // or vec4f

struct Shape {
  elements: u32, // of all sums
  size0: u32, // of a sum
  size1: u32,
  size2: u32,
  size3: u32,
  size4: u32,
  size5: u32,
  count0: u32, // of its parts
  count1: u32,
  count2: u32,
  count3: u32,
  count4: u32,
  count5: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> parts0: array<Element>; // [count0, size0]
@if(HAS_PARTS1)
@group(0) @binding(2) var<storage, read> parts1: array<Element>; // [count1, size1]
@if(HAS_PARTS2)
@group(0) @binding(3) var<storage, read> parts2: array<Element>; // [count2, size2]
@if(HAS_PARTS3)
@group(0) @binding(4) var<storage, read> parts3: array<Element>; // [count3, size3]
@if(HAS_PARTS4)
@group(0) @binding(5) var<storage, read> parts4: array<Element>; // [count4, size4]
@if(HAS_PARTS5)
@group(0) @binding(6) var<storage, read> parts5: array<Element>; // [count5, size5]
@group(0) @binding(7) var<storage, read_write> sum0: array<Element>; // [size0]
@if(HAS_SUM1)
@group(0) @binding(8) var<storage, read_write> sum1: array<Element>; // [size1]
@if(HAS_SUM2)
@group(0) @binding(9) var<storage, read_write> sum2: array<Element>; // [size2]
@if(HAS_SUM3)
@group(0) @binding(10) var<storage, read_write> sum3: array<Element>; // [size3]
@if(HAS_SUM4)
@group(0) @binding(11) var<storage, read_write> sum4: array<Element>; // [size4]
@if(HAS_SUM5)
@group(0) @binding(12) var<storage, read_write> sum5: array<Element>; // [size5]

fn size_of(which: u32) -> u32 {
  switch (which) {
    case 0u: { return shape.size0; }
    case 1u: { return shape.size1; }
    case 2u: { return shape.size2; }
    case 3u: { return shape.size3; }
    case 4u: { return shape.size4; }
    default: { return shape.size5; }
  }
}

fn count_of(which: u32) -> u32 {
  switch (which) {
    case 0u: { return shape.count0; }
    case 1u: { return shape.count1; }
    case 2u: { return shape.count2; }
    case 3u: { return shape.count3; }
    case 4u: { return shape.count4; }
    default: { return shape.count5; }
  }
}

// `which` is a constant where this is called, so that one branch is left.
fn part_at(which: u32, at: u32) -> Element {
  @if(HAS_PARTS1)
  if (which == 1u) { return parts1[at]; }
  @if(HAS_PARTS2)
  if (which == 2u) { return parts2[at]; }
  @if(HAS_PARTS3)
  if (which == 3u) { return parts3[at]; }
  @if(HAS_PARTS4)
  if (which == 4u) { return parts4[at]; }
  @if(HAS_PARTS5)
  if (which == 5u) { return parts5[at]; }
  return parts0[at];
}

fn store(which: u32, at: u32, value: Element) {
  @if(HAS_SUM1)
  if (which == 1u) { sum1[at] = value; }
  @if(HAS_SUM2)
  if (which == 2u) { sum2[at] = value; }
  @if(HAS_SUM3)
  if (which == 3u) { sum3[at] = value; }
  @if(HAS_SUM4)
  if (which == 4u) { sum4[at] = value; }
  @if(HAS_SUM5)
  if (which == 5u) { sum5[at] = value; }
  if (which == 0u) { sum0[at] = value; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_parts(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.elements) {
    return;
  }
  var start = 0u;
  @unroll for (var i = 0u; i < TENSORS; i++) {
    let size = size_of(i);
    if (index >= start && index - start < size) {
      var sum = Element();
      for (var n = 0u; n < count_of(i); n++) {
        sum += part_at(i, n * size + index - start);
      }
      store(i, index - start, sum);
    }
    start += size;
  }
}
