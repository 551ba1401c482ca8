/**
 * What is not computed until its value is asked for, so that one kernel may do it with what follows: a
 * norm inside the products behind it, products that share their input in one dispatch, with their bias,
 * activation, gate and the residual that is added. For a few rows (generated tokens) and no gradients,
 * where a dispatch costs more than its arithmetic.
 *
 * @module
 */
import type { ActivationKind } from "../kernels/activation/mod.ts";
import { elementCount, type Tensor } from "../kernels/gpu/mod.ts";
import { isFewRows, project, type Projection } from "../kernels/matmul/mod.ts";
import { rmsNorm } from "../kernels/norm/mod.ts";
import type { Matrix } from "../kernels/storage/mod.ts";
import { type Tape, Variable } from "./tape.ts";

/** Products that a dispatch takes. */
const MOST_PRODUCTS = 6;

/** A variable that is computed when its tensor is asked for. */
export class Deferred extends Variable {
  readonly #shape: readonly number[];
  readonly #compute: () => Tensor;
  #tensor: Tensor | undefined;

  /**
   * A value that is yet to come.
   *
   * @param compute Makes it, in the care of a tape.
   */
  constructor(shape: readonly number[], compute: () => Tensor, requiresGradient = false) {
    super(undefined as unknown as Tensor, requiresGradient);
    this.#shape = shape;
    this.#compute = compute;
  }

  /** The value, computed by now. */
  override get tensor(): Tensor {
    return this.#tensor ??= this.#compute();
  }

  override get shape(): readonly number[] {
    return this.#shape;
  }

  override get matrices(): readonly Tensor[] {
    return [this.tensor];
  }

  override get size(): number {
    return elementCount(this.#shape);
  }

  /** Whether it has been computed. */
  get isComputed(): boolean {
    return this.#tensor !== undefined;
  }

  /** Gives it its value. */
  resolve(tensor: Tensor): Tensor {
    return this.#tensor = tensor;
  }
}

/** The RMS norm of a few rows. */
export class DeferredNorm extends Deferred {
  /** Of this, */
  readonly x: Variable;
  /** with this weight, */
  readonly weight: Variable;
  /** and this added to the mean square. */
  readonly epsilon: number;

  /** A norm that is yet to come. */
  constructor(tape: Tape, x: Variable, weight: Variable, epsilon: number) {
    super(x.shape, () => {
      const inputs = { x: x.tensor, weight: weight.tensor };
      const { output, inverseRms } = rmsNorm(tape.gpu, inputs, { epsilon });
      tape.own(inverseRms);
      return this.resolve(tape.own(output));
    });
    this.x = x;
    this.weight = weight;
    this.epsilon = epsilon;
  }
}

/** A token's rows of unit length, which the step of a recurrence may make of them itself. */
export class DeferredUnits extends Deferred {
  /** The rows, */
  readonly x: Variable;
  /** and what is added to their squared lengths. */
  readonly epsilon: number;

  /** Rows that are yet to come. */
  constructor(x: Variable, epsilon: number, compute: () => Tensor) {
    super(x.shape, compute);
    this.x = x;
    this.epsilon = epsilon;
  }
}

/** Rates `−exp(x)` at which states forget, which the step of a recurrence may make itself. */
export class DeferredRates extends Deferred {
  /** Their logarithms. */
  readonly x: Variable;

  /** Rates that are yet to come. */
  constructor(x: Variable, compute: () => Tensor) {
    super(x.shape, compute);
    this.x = x;
  }
}

/** What becomes of an input: `activation(x · weightᵀ + bias) · factor`, times another's where it gates. */
interface Product {
  readonly weight: Variable;
  /** The first of the weight's rows that it is of, and how many; left out, it is of all. */
  readonly rows?: readonly [first: number, count: number];
  readonly bias?: Variable;
  readonly activation?: ActivationKind;
  readonly factor?: number;
  readonly gates?: Product;
}

/** A linear map of a few rows. */
export class DeferredProduct extends Deferred {
  /** The input. */
  readonly x: Variable;
  /** What becomes of it. */
  readonly product: Product;
  readonly #tape: Tape;

  /** A product that is yet to come. */
  constructor(tape: Tape, x: Variable, product: Product) {
    super([...x.shape.slice(0, -1), rowsOf(product)], () => {
      const some = this.#together();
      const outputs = run(tape, x, some.map(({ product }) => product));
      some.forEach((each, i) => each.resolve(outputs[i]));
      return outputs[0];
    });
    this.x = x;
    this.product = product;
    this.#tape = tape;
    productsOf(x).add(this);
  }

  /** This with something more behind it, in its place. */
  with(more: Partial<Product>): DeferredProduct {
    productsOf(this.x).delete(this);
    return new DeferredProduct(this.#tape, this.x, { ...this.product, ...more });
  }

  /** This with an activation, times another product of the same input, where that can be one. */
  gating(
    other: DeferredProduct | undefined,
    activation: ActivationKind,
  ): DeferredProduct | undefined {
    const plain = ({ activation, factor, gates }: Product): boolean =>
      (activation ?? factor ?? gates) === undefined;
    if (other === undefined || other.x !== this.x) return undefined;
    if (!plain(this.product) || !plain(other.product)) return undefined;
    const [mine, its] = [this.product, other.product];
    // Those of one shape are in the same blocks.
    if (typeOf(mine.weight) !== typeOf(its.weight)) return undefined;
    if (mine.weight.shape[0] !== its.weight.shape[0] || rowsOf(mine) !== rowsOf(its)) {
      return undefined;
    }
    productsOf(this.x).delete(other);
    return this.with({ activation, gates: other.product });
  }

  /** The parts that its columns are cut into, where each may be a product of its own. */
  cut(sizes: readonly number[]): DeferredProduct[] | undefined {
    const { rows, gates, factor } = this.product;
    if ((rows ?? gates ?? factor) !== undefined) return undefined;
    if (sizes.length > MOST_PRODUCTS) return undefined;
    productsOf(this.x).delete(this);
    let first = 0;
    return sizes.map((count) => {
      const rows = [first, count] as const;
      first += count;
      return new DeferredProduct(this.#tape, this.x, { ...this.product, rows });
    });
  }

  /** The sum with a residual stream. */
  plus(residual: Variable): Tensor {
    productsOf(this.x).delete(this);
    return run(this.#tape, this.x, [this.product], residual)[0];
  }

  /** This and what is computed with it: other products of its input that nothing stands behind yet. */
  #together(): DeferredProduct[] {
    const all = productsOf(this.x);
    all.delete(this);
    const alone = ({ product }: DeferredProduct): boolean =>
      product.gates !== undefined || product.factor !== undefined;
    if (alone(this)) return [this];
    const type = typeOf(this.product.weight);
    const others = [...all]
      .filter((other) => !alone(other) && typeOf(other.product.weight) === type)
      .slice(0, MOST_PRODUCTS - 1);
    for (const other of others) all.delete(other);
    return [this, ...others];
  }
}

const PRODUCTS = new WeakMap<Variable, Set<DeferredProduct>>();

/** The products of an input that are yet to come. */
function productsOf(x: Variable): Set<DeferredProduct> {
  let products = PRODUCTS.get(x);
  if (products === undefined) PRODUCTS.set(x, products = new Set());
  return products;
}

function run(tape: Tape, x: Variable, products: readonly Product[], addend?: Variable): Tensor[] {
  const norm = x instanceof DeferredNorm && !x.isComputed ? x : undefined;
  const [{ factor, gates }] = products;
  const projection = ({ weight, rows, bias, activation }: Product): Projection => ({
    weight: weight.matrices,
    rows,
    bias: bias?.tensor,
    activation,
  });
  const { outputs } = project(tape.gpu, {
    x: norm ? norm.x.tensor : x.tensor,
    normWeight: norm?.weight.tensor,
    projections: [...products, ...(gates ? [gates] : [])].map(projection),
    addend: addend?.tensor,
  }, { epsilon: norm?.epsilon, factor, gated: gates !== undefined });
  return outputs.map((output) => tape.own(output));
}

/** Whether operations on these rows may wait for what follows. */
export function defers(tape: Tape, x: Variable): boolean {
  const columns = x.shape[x.shape.length - 1];
  const rows = elementCount(x.shape.slice(0, -1));
  return !tape.recording && columns % 4 === 0 && rows > 0 && isFewRows(tape.gpu, rows) &&
    (x instanceof Deferred || x.tensor.dtype === "f32");
}

/** A product that nothing has asked for yet. */
export function asProduct(x: Variable): DeferredProduct | undefined {
  return x instanceof DeferredProduct && !x.isComputed ? x : undefined;
}

/** The columns of a product. */
function rowsOf({ weight, rows }: Product): number {
  return rows?.[1] ?? weight.shape[0];
}

/** How weights are kept. */
function typeOf({ matrices: [first] }: Variable): Matrix["dtype"] {
  return first.dtype;
}
