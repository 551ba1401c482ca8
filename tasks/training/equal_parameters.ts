import { parameterCount } from "../../models/layers.ts";
import type { ModelConfiguration } from "../../models/mod.ts";

/**
 * A model whose perceptrons are made wider or narrower until its parameters are as near to a number as
 * can be had.
 *
 * @param multiple What the perceptrons' width is a multiple of: kernels like vectors of four.
 * @throws {RangeError} where it is more than 5% off then: comparisons are between equals.
 */
export function matched(
  model: ModelConfiguration,
  parameters: number,
  multiple = 1,
): ModelConfiguration {
  const withHidden = (hidden: number): ModelConfiguration => ({
    ...model,
    layers: model.layers.map((layer) =>
      layer.channelMixer ? { ...layer, channelMixer: { ...layer.channelMixer, hidden } } : layer
    ),
  });
  const [one, two] = [withHidden(1), withHidden(2)].map(parameterCount);
  const each = two - one;
  const wanted = each === 0 ? 1 : 1 + (parameters - one) / each;
  const hidden = multiple * Math.max(1, Math.round(wanted / multiple));
  const found = each === 0 ? model : withHidden(hidden);
  const count = parameterCount(found);
  if (Math.abs(count / parameters - 1) > 0.05) {
    throw new RangeError(
      `Cannot match ${model.family} to ${parameters} parameters: the nearest is ${count}`,
    );
  }
  return found;
}
