import { shaders } from "../kernels/gpu/mod.ts";
import attention_plain from "./attention_plain.wgsl" with { type: "text" };
import convolution_naive from "./convolution_naive.wgsl" with { type: "text" };
import fma_chain from "./fma_chain.wgsl" with { type: "text" };
import matmul_dot from "./matmul_dot.wgsl" with { type: "text" };
import scan_recurrent from "./scan_recurrent.wgsl" with { type: "text" };
import selective_scan_recurrent from "./selective_scan_recurrent.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const BENCH = shaders("bench", {
  attention_plain,
  convolution_naive,
  fma_chain,
  matmul_dot,
  scan_recurrent,
  selective_scan_recurrent,
});
