/**
 * The kinds of activation. `gelu` is the tanh approximation (Hendrycks & Gimpel 2016, section 2),
 * `gelu_exact` the one with erf; `silu` is `x · sigmoid(x)`; `relu_squared` is Primer's (So et al.
 * 2021); `elu_plus_one` is the feature map of linear attention (Katharopoulos et al. 2020). All are
 * finite for any finite `x`: `exp` stays at 3.3e38 past x = 88.7.
 */
export const ACTIVATION_KINDS = [
  "silu",
  "gelu",
  "gelu_exact",
  "sigmoid",
  "tanh",
  "softplus",
  "log_sigmoid",
  "exp",
  "relu_squared",
  "elu_plus_one",
  "relu",
] as const;

/** One of {@linkcode ACTIVATION_KINDS}. */
export type ActivationKind = typeof ACTIVATION_KINDS[number];
