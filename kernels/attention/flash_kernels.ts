import type { DataType, Kernel } from "../gpu/mod.ts";
import forwardRows from "./flash_forward_rows.wgsl" with { type: "text" };
import forwardTiles from "./flash_forward_tiles.wgsl" with { type: "text" };
import keyGradientRows from "./flash_key_gradient_rows.wgsl" with { type: "text" };
import keyGradientTiles from "./flash_key_gradient_tiles.wgsl" with { type: "text" };
import queryGradientRows from "./flash_query_gradient_rows.wgsl" with { type: "text" };
import queryGradientTiles from "./flash_query_gradient_tiles.wgsl" with { type: "text" };
import lanes from "./lanes.wgsl" with { type: "text" };
import lanesSubgroups from "./lanes_subgroups.wgsl" with { type: "text" };
import rowTerms from "./flash_row_terms.wgsl" with { type: "text" };
import seeingQueries from "./seeing_queries.wgsl" with { type: "text" };
import { specialize } from "./specialize.ts";
import step from "./flash_step.wgsl" with { type: "text" };
import stepCombine from "./flash_step_combine.wgsl" with { type: "text" };
import tiles from "./tiles.wgsl" with { type: "text" };
import { type AttentionAlgorithm, ROW_LANES, rowsPerInvocation, TILE } from "./tiling.ts";
import visibility from "./visibility.wgsl" with { type: "text" };

/** A kernel for one head size. */
export interface FlashKernel {
  readonly kernel: Kernel;
  /** Its own override constants. */
  readonly constants: Readonly<Record<string, number>>;
  /** Queries, or keys in the key gradient's, that a workgroup takes. */
  readonly rows: number;
}

const SOURCES = {
  flash_forward_rows: forwardRows,
  flash_query_gradient_rows: queryGradientRows,
  flash_key_gradient_rows: `${keyGradientRows}\n${seeingQueries}`,
  flash_forward_tiles: `${forwardTiles}\n${tiles}`,
  flash_query_gradient_tiles: `${queryGradientTiles}\n${tiles}`,
  flash_key_gradient_tiles: `${keyGradientTiles}\n${tiles}\n${seeingQueries}`,
};

/**
 * The kernel that computes `what` for rows of `HEAD` and `VALUE` vec4s of `Element`.
 */
export function flashKernel(
  what: "forward" | "query_gradient" | "key_gradient",
  algorithm: AttentionAlgorithm,
  HEAD: number,
  VALUE: number,
  Element: DataType,
): FlashKernel {
  const label = `flash_${what}_${algorithm}` as const;
  const source = `${SOURCES[label]}\n${visibility}`;
  if (algorithm === "rows") {
    const ROWS = rowsPerInvocation(HEAD + VALUE);
    return {
      kernel: specialize(label, source, { HEAD, VALUE, ROWS }, { Element }),
      constants: { LANES: ROW_LANES },
      rows: ROW_LANES * ROWS,
    };
  }
  const HEAD_BLOCKS = Math.ceil(HEAD / 8);
  const VALUE_BLOCKS = Math.ceil(VALUE / 8);
  return {
    kernel: specialize(label, source, { HEAD, VALUE, HEAD_BLOCKS, VALUE_BLOCKS }, { Element }),
    constants: {},
    rows: TILE,
  };
}

/** The kernel that prepares the backward pass. */
export function rowTermsKernel(VALUE: number, Element: DataType): Kernel {
  return specialize("flash_row_terms", `${rowTerms}\n${visibility}`, { VALUE }, { Element });
}

/** The two kernels of decoding; with `subgroups`, a workgroup's results are joined by them. */
export function stepKernels(
  HEAD: number,
  VALUE: number,
  Element: DataType,
  subgroups: boolean,
): { step: Kernel; combine: Kernel } {
  const source = `${step}\n${subgroups ? lanesSubgroups : lanes}\n${visibility}`;
  return {
    step: specialize("flash_step", source, { HEAD, VALUE }, { Element }, subgroups),
    combine: specialize("flash_step_combine", stepCombine, { VALUE }, { Element }),
  };
}
