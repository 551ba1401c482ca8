import { ACTIVATION_KINDS, type ActivationKind } from "../common/activation_kinds.ts";
import {
  checkNames,
  checkOptions,
  checkTensor,
  flag,
  type Gpu,
  integer,
  notNegative,
  oneOf,
  positiveInteger,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { heldRun, HOLDERS, isHeld, laneForm } from "./rows.ts";
import { NORM } from "./shaders.ts";

/** Elements that an invocation holds in registers; more would take long to compile. */
const MOST_HELD = 16;
const GATED_RMS_NORM = NORM.kernel("gated_rms_norm");
const GATED_RMS_NORM_REGISTER = NORM.kernel("gated_rms_norm_register");

const NAMES = ["x", "weight", "gate", "values", "skip"];
/** What {@linkcode gatedRmsNorm} takes. */
export interface GatedRmsNormInputs {
  /** `[..., channels]`. */
  readonly x: Tensor;
  /** `[channels / groups]`, for all groups; or `[channels]`. Left out, nothing is normed. */
  readonly weight?: Tensor;
  /** Before its activation: `[..., gates]`, of which the channels' stand together from `gateStart` on. */
  readonly gate?: Tensor;
  /** What passes the state by: `[..., channels]`; with `skip`. */
  readonly values?: Tensor;
  /** What `values` are multiplied by: `[heads]`, which divide the channels. */
  readonly skip?: Tensor;
}

/** Options of {@linkcode gatedRmsNorm}. */
export interface GatedRmsNormOptions {
  /** Runs of channels that are normed each on its own. @default 1 */
  readonly groups?: number;
  /** Added to the mean square. @default 1e-5 */
  readonly epsilon?: number;
  /** What acts on the gate. @default silu */
  readonly activation?: ActivationKind;
  /** Whether the gate comes before the norm. @default false */
  readonly gateFirst?: boolean;
  /** The first of the gate's columns that is a channel's. @default 0 */
  readonly gateStart?: number;
}

const RULES = {
  groups: positiveInteger,
  epsilon: notNegative,
  activation: oneOf(ACTIVATION_KINDS),
  gateFirst: flag,
  gateStart: integer(0),
};

/** What {@linkcode gatedRmsNorm} returns. */
export interface GatedRmsNormOutputs extends Disposable {
  /** `[..., channels]`. */
  readonly output: Tensor;
}

/**
 * What linear RNNs (Sun et al. 2023, "Retentive Network", section 2.2) and Mamba-2 (Dao & Gu 2024, section 7)
 * do with what their state gave, in one pass over it: `u = x + skip · values`, an RMS norm of each group of
 * channels, and a gate, `activation(gate)` times the norm or, with `gateFirst`, times what is normed.
 *
 * @throws {RangeError} where a shape or an option does not fit.
 */
export function gatedRmsNorm(
  gpu: Gpu,
  inputs: GatedRmsNormInputs,
  options: GatedRmsNormOptions = {},
): GatedRmsNormOutputs {
  const op = "gatedRmsNorm";
  checkOptions(op, options, RULES);
  checkNames(op, inputs, NAMES);
  const { x, weight, gate, values, skip } = inputs;
  const { groups = 1, epsilon = 1e-5, gateFirst = false, gateStart = 0 } = options;
  const { activation = "silu" } = options;
  const channels = x.shape.at(-1) ?? 1;
  const refuse = (what: string): never => {
    throw new RangeError(`Cannot run ${op}() as ${what}`);
  };
  checkTensor(op, "x", x, x.shape);
  if (channels % groups !== 0) {
    refuse(`the groups must divide the ${channels} channels: current number is ${groups}`);
  }
  const width = channels / groups;
  const own = weight?.size === channels;
  if (weight) checkTensor(op, "weight", weight, [own ? channels : width]);
  const gates = gate?.shape.at(-1) ?? 0;
  if (gate) {
    checkTensor(op, "gate", gate, [...x.shape.slice(0, -1), gates]);
    if (gateStart + channels > gates) {
      refuse(
        `the gate must have ${gateStart + channels} columns: current shape is [${gate.shape}]`,
      );
    }
  }
  if ((values === undefined) !== (skip === undefined)) {
    refuse("values and skip come together: give both, or neither");
  }
  if (values) checkTensor(op, "values", values, x.shape);
  const heads = skip?.size ?? 1;
  if (skip) checkTensor(op, "skip", skip, [heads]);
  if (heads === 0 || channels % heads !== 0) {
    refuse(`the skips must divide the ${channels} channels: current number is ${heads}`);
  }
  const output = gpu.empty(x.shape);
  const run = channels / heads;
  // Four floats share a skip, and begin where the gate's fours do, or are taken one by one.
  const fours = [width, run, gates, gateStart].every((extent) => extent % 4 === 0);
  const kinds = {
    GROUPS: groups,
    WEIGHT_GROUPS: own ? groups : 1,
    GATE_FIRST: gateFirst && gate !== undefined,
    KIND: ACTIVATION_KINDS.indexOf(activation),
  };
  if (fours && isHeld(gpu, width)) {
    const tokens = x.size / channels;
    const tokensAtOnce = heldRun(tokens * groups, { sums: false });
    gpu.dispatch(GATED_RMS_NORM_REGISTER, {
      constants: { WORKGROUP_SIZE: HOLDERS, COLUMNS: width / 4, RUN: run / 4, ...kinds },
      uniform: {
        tokens,
        run: tokensAtOnce,
        gateStride: gates / 4,
        gateStart: gateStart / 4,
        epsilon,
      },
      read: { x, weight, gate, values, skip },
      write: { output },
      workgroups: Math.ceil(Math.ceil(tokens / tokensAtOnce) * groups / HOLDERS),
    });
    return results({ output });
  }
  const { form, columns } = laneForm(gpu, width, fours);
  const element = fours ? 4 : 1;
  const rows = width === 0 ? 0 : x.size / width;
  const held = Math.ceil(columns / form.LANES);
  const IS_HELD = held > 0 && held <= MOST_HELD;
  gpu.dispatch(GATED_RMS_NORM, {
    constants: {
      ...form,
      IS_HELD,
      HELD: IS_HELD ? held : 1,
      WHOLE: held * form.LANES === columns,
      RUN: run / element,
      ...kinds,
    },
    uniform: {
      rows,
      columns,
      width,
      gateStride: gates / element,
      gateStart: gateStart / element,
      epsilon,
    },
    read: { x, weight, gate, values, skip },
    write: { output },
    workgroups: Math.ceil(rows / form.ROWS),
  });
  return results({ output });
}
