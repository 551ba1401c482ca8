import "jsr:@std/internal@^1.0.12/format";

// deno-lint-ignore no-explicit-any
type Constructor<T> = abstract new (...args: any[]) => T;

/** What a failed assertion throws. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

const show = (value: unknown): string => Deno.inspect(value, { depth: 6, iterableLimit: 40 });

function check(holds: boolean, message: string, note?: string): void {
  if (!holds) throw new AssertionError(note ? `${message}: ${note}` : message);
}

/** Deep equality: 0 equals -0, NaN equals NaN, and a prototype counts. */
export function equal(left: unknown, right: unknown): boolean {
  if (left === right || (left !== left && right !== right)) return true;
  if (typeof left !== "object" || typeof right !== "object" || !left || !right) return false;
  const prototype = (value: object): object => Object.getPrototypeOf(value) ?? Object.prototype;
  if (prototype(left) !== prototype(right)) return false;
  if (left instanceof Date) return equal(left.getTime(), (right as Date).getTime());
  if (left instanceof RegExp || left instanceof URL) return String(left) === String(right);
  if (left instanceof Set) {
    const others = right as Set<unknown>;
    return left.size === others.size &&
      [...left].every((x) => others.has(x) || [...others].some((y) => equal(x, y)));
  }
  if (left instanceof Map) {
    const others = right as Map<unknown, unknown>;
    return left.size === others.size &&
      [...left].every((entry) =>
        others.has(entry[0])
          ? equal(entry[1], others.get(entry[0]))
          : [...others].some((other) => equal(entry, other))
      );
  }
  if (left instanceof Error && left.message !== (right as Error).message) return false;
  if (ArrayBuffer.isView(left) && !(left instanceof DataView)) {
    const [a, b] = [left, right] as unknown as ArrayLike<unknown>[];
    if (a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!equal(a[i], b[i])) return false;
    return true;
  }
  const [keys, others] = [Reflect.ownKeys(left), Reflect.ownKeys(right)];
  return keys.length === others.length &&
    keys.every((key) =>
      Object.hasOwn(right, key) && equal(Reflect.get(left, key), Reflect.get(right, key))
    );
}

/** The value is truthy. */
export function assert(expression: unknown, message = ""): asserts expression {
  check(Boolean(expression), message || "The value is not truthy");
}

/** Deeply equal. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  if (equal(actual, expected)) return;
  check(
    false,
    `Values are not equal\n  actual:   ${show(actual)}\n  expected: ${show(expected)}`,
    message,
  );
}

/** Not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  check(!equal(actual, expected), `Values are equal: ${show(actual)}`, message);
}

/** The same by Object.is. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T {
  check(
    Object.is(actual, expected),
    `Values are not the same\n  actual:   ${show(actual)}\n  expected: ${show(expected)}`,
    message,
  );
}

/** Not the same by Object.is. */
export function assertNotStrictEquals<T>(actual: T, expected: T, message?: string): void {
  check(!Object.is(actual, expected), `Values are the same: ${show(actual)}`, message);
}

/** Numbers within a tolerance of one another, 1e-7 of the expected one where none is given. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance: number = isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7,
  message?: string,
): void {
  check(
    Object.is(actual, expected) || Math.abs(expected - actual) <= tolerance,
    `Expected ${actual} to be within ${tolerance} of ${expected}`,
    message,
  );
}

/** Neither null nor undefined. */
export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T> {
  check(actual !== null && actual !== undefined, `Expected a value: ${actual}`, message);
}

/** Falsy. */
export function assertFalse(expression: unknown, message = ""): asserts expression is false {
  check(!expression, message || "The value is not falsy");
}

/** actual > expected. */
export function assertGreater<T>(actual: T, expected: T, message?: string): void {
  check(actual > expected, message ?? `Expected ${show(actual)} > ${show(expected)}`);
}

/** actual >= expected. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void {
  check(actual >= expected, message ?? `Expected ${show(actual)} >= ${show(expected)}`);
}

/** actual < expected. */
export function assertLess<T>(actual: T, expected: T, message?: string): void {
  check(actual < expected, message ?? `Expected ${show(actual)} < ${show(expected)}`);
}

/** actual <= expected. */
export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void {
  check(actual <= expected, message ?? `Expected ${show(actual)} <= ${show(expected)}`);
}

/** The text holds the other text. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  check(actual.includes(expected), `Expected ${show(actual)} to hold ${show(expected)}`, message);
}

/** The text matches. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  check(expected.test(actual), `Expected ${show(actual)} to match ${expected}`, message);
}

/** The text does not match. */
export function assertNotMatch(actual: string, expected: RegExp, message?: string): void {
  check(!expected.test(actual), `Expected ${show(actual)} not to match ${expected}`, message);
}

/** Every expected item is in the array. */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T> & object,
  expected: ArrayLike<T> & object,
  message?: string,
): void {
  const missing = Array.from(expected).filter((item) =>
    !Array.from(actual).some((other) => equal(item, other))
  );
  check(missing.length === 0, `Missing: ${show(missing)} in ${show(actual)}`, message);
}

/** An instance of the class. */
export function assertInstanceOf<T extends Constructor<unknown>>(
  actual: unknown,
  expectedType: T,
  message?: string,
): asserts actual is InstanceType<T> {
  check(
    actual instanceof expectedType,
    `Expected an instance of ${expectedType.name}: ${show(actual)}`,
    message,
  );
}

/** An error of the class whose message holds, or matches, the text. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  errorClass?: Constructor<E>,
  text?: string | RegExp,
  message?: string,
): asserts error is E {
  assertInstanceOf(error, errorClass ?? Error, message);
  const found = (error as Error).message;
  const matches = typeof text === "string" ? found.includes(text) : text?.test(found) ?? true;
  check(matches, `Expected the error's message to have ${show(text)}: ${show(found)}`, message);
}

/** Throws, an error of the class if one is given, its message holding the text if one is given. */
export function assertThrows(fn: () => unknown, message?: string): unknown;
/** Throws an error of the class. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: Constructor<E>,
  text?: string,
  message?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  errorClass?: Constructor<Error> | string,
  text?: string,
  message?: string,
): unknown {
  let error: unknown;
  try {
    fn();
  } catch (thrown) {
    error = thrown;
    if (typeof errorClass === "function") assertIsError(error, errorClass, text, message);
    return error;
  }
  fail(typeof errorClass === "string" ? errorClass : message ?? "Expected function to throw");
}

/** Rejects, with an error of the class if one is given, its message holding the text if given. */
export function assertRejects(fn: () => PromiseLike<unknown>, message?: string): Promise<unknown>;
/** Rejects with an error of the class. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: Constructor<E>,
  text?: string,
  message?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  errorClass?: Constructor<Error> | string,
  text?: string,
  message?: string,
): Promise<unknown> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (thrown) {
    throw new AssertionError("Function throws when expected to reject", { cause: thrown });
  }
  try {
    await promise;
  } catch (error) {
    if (typeof errorClass === "function") assertIsError(error, errorClass, text, message);
    return error;
  }
  fail(typeof errorClass === "string" ? errorClass : message ?? "Expected function to reject");
}

/** Fails. */
export function fail(message?: string): never {
  throw new AssertionError(message ? `Failed assertion: ${message}` : "Failed assertion.");
}
