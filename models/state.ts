import type { Gpu } from "../kernels/gpu/mod.ts";
import type { MixerState } from "./mixers/mixer.ts";

/**
 * What a model carries along a batch of sequences. It is used once: the call that continues from it
 * takes it over and returns the next.
 */
export class ModelState implements Disposable {
  #layers: readonly MixerState[] | undefined;

  /** Made by {@linkcode Model}. */
  constructor(layers: readonly MixerState[]) {
    this.#layers = layers;
  }

  /** Tokens that have been read. */
  get position(): number {
    return this.#layers?.[0]?.position ?? 0;
  }

  /** Hands the layers' states over. @throws {Error} where that was done before. */
  take(): readonly MixerState[] {
    if (this.#layers === undefined) {
      throw new Error("Cannot continue from a model state twice: keep the state of the last call");
    }
    const layers = this.#layers;
    this.#layers = undefined;
    return layers;
  }

  /** Frees the state. */
  [Symbol.dispose](): void {
    disposeStates(this.#layers);
    this.#layers = undefined;
  }
}

/** Frees the states of layers, where there are any. */
export function disposeStates(states: readonly MixerState[] | undefined): void {
  for (const { tensors } of states ?? []) {
    for (const { tensor } of Object.values(tensors)) tensor[Symbol.dispose]();
  }
}

/** Copies states to where others are, and frees what they were in; what is there already stays. */
export function leaveStates(
  gpu: Gpu,
  states: readonly MixerState[],
  where: readonly MixerState[],
): void {
  states.forEach(({ tensors }, layer) => {
    for (const [name, { tensor }] of Object.entries(where[layer].tensors)) {
      const next = tensors[name].tensor;
      if (next === tensor) continue;
      if (next.allocation !== tensor.allocation) gpu.copy(next, tensor);
      next[Symbol.dispose]();
    }
  });
}
