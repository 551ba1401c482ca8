import type { AnyTensor, Dispatch, Gpu, Kernel, Tensor } from "../gpu/mod.ts";
import { BLOCK, cloneOrZeros, type Group, type Plan, type Span } from "./plan.ts";
import { DELTA_RULE } from "./shaders.ts";

const DECAYS = DELTA_RULE.kernel("delta_rule_decays");
const GATHER_KEYS = DELTA_RULE.kernel("delta_rule_gather_keys");
const GATHER_ROWS = DELTA_RULE.kernel("delta_rule_gather_rows");
const PAIRS = DELTA_RULE.kernel("delta_rule_pairs");
const DIAGONAL_PAIRS = DELTA_RULE.kernel("delta_rule_diagonal_pairs");
const STATES = DELTA_RULE.kernel("delta_rule_states");
const OUTPUTS = DELTA_RULE.kernel("delta_rule_outputs");
const STATE_GRADIENTS = DELTA_RULE.kernel("delta_rule_state_gradients");
const PAIR_GRADIENTS = DELTA_RULE.kernel("delta_rule_pair_gradients");
const PANEL_GRADIENTS = DELTA_RULE.kernel("delta_rule_panel_gradients");
const OVER_CHUNK = DELTA_RULE.kernel("delta_rule_over_chunk");
const WRITER_GRADIENTS = DELTA_RULE.kernel("delta_rule_writer_gradients");
const READER_GRADIENTS = DELTA_RULE.kernel("delta_rule_reader_gradients");
const VALUE_GRADIENTS = DELTA_RULE.kernel("delta_rule_value_gradients");
const SCATTER_ROWS = DELTA_RULE.kernel("delta_rule_scatter_rows");
const SCATTER_KEYS = DELTA_RULE.kernel("delta_rule_scatter_keys");
const BETA_GRADIENT = DELTA_RULE.kernel("delta_rule_beta_gradient");
const DECAY_GRADIENT = DELTA_RULE.kernel("delta_rule_decay_gradient");

/** Planes of rows as workspace.wgsl has them. */
const [QUERY, READ, WRITE, KEY] = [0, 1, 2, 3];

/** What the two rules take: the delta rule `beta`, the diagonal-plus-low-rank form `a` and `b`. */
export interface Inputs {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  readonly beta?: Tensor;
  readonly a?: Tensor;
  readonly b?: Tensor;
  readonly logDecay?: Tensor;
  readonly initialState?: Tensor;
}

/** The gradients of {@linkcode Inputs}, to be written. */
export interface Gradients {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  readonly beta?: Tensor;
  readonly a?: Tensor;
  readonly b?: Tensor;
  readonly logDecay?: Tensor;
  /** Of the final state before, of the initial state after. */
  readonly state: Tensor;
}

/** Works on all sequences chunk by chunk. `finalState` is the initial state before. */
export function workForward(
  gpu: Gpu,
  plan: Plan,
  inputs: Inputs,
  { output, finalState }: { readonly output: Tensor; readonly finalState: Tensor },
): void {
  for (const group of plan.groups) {
    for (const tables of group.spans) {
      using span = new SpanWork(gpu, plan, tables, inputs);
      span.passStates(finalState, group.firstSequence);
      span.workOutputs(output);
    }
  }
}

/** The gradients of {@linkcode workForward}; the states are computed anew. */
export function workBackward(
  gpu: Gpu,
  plan: Plan,
  inputs: Inputs,
  outputGradient: Tensor,
  gradients: Gradients,
): void {
  for (const group of plan.groups) {
    const starts = [stateOf(gpu, plan, group, inputs.initialState)];
    for (const tables of group.spans.slice(0, -1)) {
      const state = cloneOrZeros(gpu, starts.at(-1), starts[0].shape);
      using span = new SpanWork(gpu, plan, tables, inputs);
      span.passStates(state, 0);
      starts.push(state);
    }
    for (const tables of group.spans.toReversed()) {
      using state = starts.pop()!;
      using span = new SpanWork(gpu, plan, tables, inputs);
      span.passStates(state, 0);
      span.workBackward(outputGradient, gradients, group.firstSequence);
    }
    for (const state of starts) state[Symbol.dispose]();
  }
}

/** The initial states of a group's sequences. */
function stateOf(gpu: Gpu, plan: Plan, group: Group, initialState: Tensor | undefined): Tensor {
  const shape = plan.stateShape.with(0, group.count);
  if (initialState === undefined) return gpu.tensor(shape);
  const state = gpu.empty(shape);
  const perSequence = state.size / group.count;
  const sourceOffset = group.firstSequence * perSequence;
  gpu.copy(initialState, state, { sourceOffset, elements: state.size });
  return state;
}

interface Work extends Pick<Dispatch, "constants" | "read" | "write"> {
  /** The kind of rows that it is about. */
  readonly plane?: number;
}

/** The workspace of a span, and the dispatches that work on it. Disposing of it frees all of it. */
class SpanWork implements Disposable {
  readonly plan: Plan;
  readonly #gpu: Gpu;
  readonly #inputs: Inputs;
  readonly #tensors: Record<string, Tensor> = {};
  readonly #tables: Readonly<Record<string, Tensor<"u32">>>;
  readonly #chunks: number;
  readonly #sequences: number;

  /** Gathers rows, and works out how they see one another. */
  constructor(gpu: Gpu, plan: Plan, tables: Span, inputs: Inputs) {
    this.plan = plan;
    this.#gpu = gpu;
    this.#inputs = inputs;
    this.#chunks = tables.chunks.length / 4;
    this.#sequences = tables.sequences.length / 4;
    const { blocks, keyQuads, valueQuads, planes, conditions } = plan;
    const { LOW_RANK, DECAYED, PER_CHANNEL } = conditions;
    const own = this.#tensors;
    this.#tables = {
      chunks: gpu.tensor([this.#chunks, 4], tables.chunks, "u32"),
      sequences: gpu.tensor([this.#sequences, 4], tables.sequences, "u32"),
    };
    if (DECAYED) {
      const quads = PER_CHANNEL ? keyQuads : 1;
      own.decays = this.#units(blocks * quads);
      own.spans = gpu.empty([this.#chunks, plan.heads, blocks + 1, blocks + 1, 4 * quads]);
      this.work(DECAYS, (blocks + 1) * quads, {
        read: { ...this.tensors("chunks"), logDecay: inputs.logDecay! },
        write: this.tensors("decays", "spans"),
      });
    }
    own.panels = this.#units(planes.panels * blocks * keyQuads);
    const { query, key, beta, a, b } = inputs;
    this.work(GATHER_KEYS, blocks * keyQuads, {
      read: { query, key, beta, a, b, ...this.tensors("chunks", "decays", "spans") },
      write: this.tensors("panels"),
    });
    own.update = this.#units(blocks * valueQuads);
    if (LOW_RANK) own.value = this.#units(blocks * valueQuads);
    this.#gather(inputs.value, own.value ?? own.update);
    own.pairs = this.#units(planes.pairs * blocks ** 2);
    const write = this.tensors("pairs");
    this.work(PAIRS, blocks * (blocks - 1) / 2, {
      read: this.tensors("panels", "decays", "spans"),
      write,
    });
    this.work(DIAGONAL_PAIRS, blocks, { read: this.tensors("panels", "decays"), write });
  }

  /** Those of the workspace's tensors that there are. */
  tensors(...names: string[]): Record<string, AnyTensor> {
    const all: Record<string, AnyTensor> = { ...this.#tensors, ...this.#tables };
    return Object.fromEntries(
      names.filter((name) => name in all).map((name) => [name, all[name]]),
    );
  }

  /** Dispatches a kernel with `items` invocations per chunk and head, or whatever x and y are. */
  work(
    kernel: Kernel,
    items: number,
    { constants, plane = 0, read, write }: Work,
    [x, y] = [this.#chunks, this.plan.heads],
    firstSequence = 0,
  ): void {
    const { scale, heads, keyHeads, keyDim, valueDim, blocks, keyQuads, valueQuads } = this.plan;
    const { conditions, workgroupSize } = this.plan;
    this.#gpu.dispatch(kernel, {
      constants: { ...conditions, WORKGROUP_SIZE: workgroupSize, ...constants },
      uniform: {
        heads,
        keyHeads,
        keyDim,
        valueDim,
        blocks,
        keyQuads,
        valueQuads,
        scale,
        plane,
        firstSequence,
      },
      read,
      write,
      workgroups: [x, y, Math.ceil(items / workgroupSize)],
    });
  }

  /** Works out updates and states; `state` holds that at the span's start before, at its end after. */
  passStates(state: Tensor, firstSequence: number): void {
    this.#tensors.states = this.#states();
    this.work(
      STATES,
      this.plan.valueQuads,
      {
        read: this.tensors("sequences", "panels", "pairs", "spans", "value"),
        write: { ...this.tensors("update"), slots: this.#tensors.states, outside: state },
      },
      [this.#sequences, this.plan.heads],
      firstSequence,
    );
  }

  /** Writes the span's outputs. */
  workOutputs(output: Tensor): void {
    const { blocks, valueQuads } = this.plan;
    using fromSlot = this.#units(blocks * valueQuads);
    this.work(OUTPUTS, valueQuads, {
      read: {
        ...this.tensors("chunks", "panels", "pairs", "update", "value"),
        slots: this.#tensors.states,
      },
      write: { fromSlot, rows: output },
    });
  }

  /** All gradients of the span, in rows that are this span's alone; the state's is handed on. */
  workBackward(outputGradient: Tensor, gradients: Gradients, firstSequence: number): void {
    const { plan } = this;
    const { blocks, keyQuads, valueQuads, planes, conditions } = plan;
    const { LOW_RANK, DECAYED } = conditions;
    const own = this.#tensors;
    own.outputGradient = this.#units(blocks * valueQuads);
    this.#gather(outputGradient, own.outputGradient);
    own.updateGradient = this.#units(blocks * valueQuads);
    own.stateGradients = this.#states();
    this.work(
      STATE_GRADIENTS,
      valueQuads,
      {
        read: this.tensors("sequences", "panels", "pairs", "spans", "outputGradient"),
        write: {
          ...this.tensors("updateGradient"),
          slots: own.stateGradients,
          outside: gradients.state,
        },
      },
      [this.#sequences, plan.heads],
      firstSequence,
    );
    if (LOW_RANK) {
      using fromSlot = this.#units(blocks * valueQuads);
      this.work(VALUE_GRADIENTS, valueQuads, {
        read: {
          ...this.tensors("chunks", "panels", "pairs", "outputGradient", "updateGradient"),
          slots: own.stateGradients,
        },
        write: { fromSlot, rows: gradients.value },
      });
    } else {
      // The update begins with the value, so that their gradients are the same.
      this.work(SCATTER_ROWS, blocks * valueQuads, {
        read: { ...this.tensors("chunks"), gathered: own.updateGradient },
        write: { rows: gradients.value },
      });
    }
    own.pairGradients = this.#units(planes.pairs * blocks ** 2);
    this.work(PAIR_GRADIENTS, blocks ** 2, {
      read: this.tensors("outputGradient", "updateGradient", "update", "value"),
      write: { pairs: own.pairGradients },
    });
    own.panelGradients = this.#units(planes.rows * blocks * keyQuads);
    this.#multiply(own.outputGradient, own.states, QUERY);
    this.#multiply(own.updateGradient, own.states, READ);
    this.#multiply(own.update, own.stateGradients, WRITE);
    if (LOW_RANK) this.#multiply(own.value, own.stateGradients, KEY);
    if (DECAYED) {
      own.decayGradients = this.#units(blocks * keyQuads);
      own.carried = this.#gpu.empty([this.#chunks, plan.heads, blocks, 4 * keyQuads]);
      this.work(OVER_CHUNK, keyQuads, {
        read: this.tensors("chunks", "states", "stateGradients"),
        write: this.tensors("carried"),
      });
    }
    const write = this.tensors("panelGradients", "decayGradients", "carried");
    const read = this.tensors("panels", "pairGradients", "decays", "spans");
    for (const OF_KEY of LOW_RANK ? [false, true] : [false]) {
      this.work(WRITER_GRADIENTS, keyQuads, { constants: { OF_KEY }, read, write });
    }
    for (const OF_READ of [false, true]) {
      this.work(READER_GRADIENTS, keyQuads, { constants: { OF_READ }, read, write });
    }
    this.#scatter(gradients);
  }

  /** Copies gradients that are in the workspace into the order of the sequence. */
  #scatter({ query, key, beta, a, b, logDecay }: Gradients): void {
    const { keyHeads, blocks, keyQuads, conditions } = this.plan;
    const scatter = (gradient: Tensor, plane: number, keyOf?: Tensor): void =>
      this.work(
        SCATTER_KEYS,
        blocks * keyQuads,
        {
          plane,
          constants: { OF_DELTA_KEY: keyOf !== undefined },
          read: { ...this.tensors("chunks", "panelGradients"), beta: keyOf },
          write: { gradient },
        },
        [this.#chunks, keyHeads],
      );
    scatter(query, QUERY);
    if (a && b) {
      scatter(a, READ);
      scatter(b, WRITE);
      scatter(key, KEY);
    } else {
      scatter(key, WRITE, this.#inputs.beta);
      this.work(BETA_GRADIENT, blocks, {
        read: this.tensors("chunks", "panels", "panelGradients"),
        write: { betaGradient: beta! },
      });
    }
    if (logDecay) {
      this.work(DECAY_GRADIENT, conditions.PER_CHANNEL ? blocks * keyQuads : blocks, {
        read: this.tensors("chunks", "spans", "decayGradients", "carried"),
        write: { logDecayGradient: logDecay },
      });
    }
  }

  #gather(rows: Tensor, gathered: Tensor): void {
    const { blocks, valueQuads } = this.plan;
    this.work(GATHER_ROWS, blocks * valueQuads, {
      read: { ...this.tensors("chunks"), rows },
      write: { gathered },
    });
  }

  #multiply(rows: Tensor, states: Tensor, plane: number): void {
    this.work(PANEL_GRADIENTS, this.plan.keyQuads, {
      plane,
      read: { ...this.tensors("chunks"), rows, states },
      write: this.tensors("panelGradients"),
    });
  }

  /** So many blocks per chunk and head. */
  #units(blocks: number): Tensor {
    return this.#gpu.empty([this.#chunks, this.plan.heads, blocks, BLOCK * BLOCK]);
  }

  #states(): Tensor {
    const { heads, keyQuads, valueQuads } = this.plan;
    const slots = this.#chunks + this.#sequences;
    return this.#gpu.empty([slots, heads, keyQuads, valueQuads, BLOCK * BLOCK]);
  }

  [Symbol.dispose](): void {
    const all = [...Object.values(this.#tensors), ...Object.values(this.#tables)];
    for (const tensor of all) tensor[Symbol.dispose]();
  }
}
