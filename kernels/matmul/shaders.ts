import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import matmul_pad from "./matmul_pad.wgsl" with { type: "text" };
import matmul_register from "./matmul_register.wgsl" with { type: "text" };
import matmul_sum from "./matmul_sum.wgsl" with { type: "text" };
import matmul_vector from "./matmul_vector.wgsl" with { type: "text" };
import matmul_workgroup from "./matmul_workgroup.wgsl" with { type: "text" };
import product from "./product.wgsl" with { type: "text" };
import quantized_b from "./quantized_b.wgsl" with { type: "text" };
import project from "./project.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const MATMUL = shaders("matmul", {
  matmul_pad,
  matmul_register,
  matmul_sum,
  matmul_vector,
  matmul_workgroup,
  product,
  quantized_b,
  project,
}, COMMON);
