// What one or several lanes have of a row: an online softmax, and where its first maximum is.

import package::common::exponential::exponential;

const LOWEST = -3.4028234e38;
const NOWHERE = 0xffffffffu;

struct Part {
  maximum: f32,
  sum: f32, // of exp(logit - maximum)
  place: u32, // of the first maximum
}

fn join_parts(a: Part, b: Part) -> Part {
  let maximum = max(a.maximum, b.maximum);
  let sum = a.sum * exponential(a.maximum - maximum) + b.sum * exponential(b.maximum - maximum);
  let places = vec2u(
    select(NOWHERE, a.place, a.maximum == maximum),
    select(NOWHERE, b.place, b.maximum == maximum),
  );
  return Part(maximum, sum, min(places.x, places.y));
}
