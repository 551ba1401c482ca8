import { IN_BROWSER } from "../platform.ts";

/** A connection that broke, fell silent or crawls: the rest may be asked for. */
export class CutConnection extends Error {}

/** An answer that no other try would better. */
export class BadAnswer extends Error {}

/** Milliseconds that a server has for an answer, and for each piece of it, by default. */
export const PATIENCE = 60_000;
/** The fewest bytes that come in that time. */
const SLOWEST = 1024;
const REDIRECTS = 5;
/** Bytes that are fetched into memory: committed models have some megabytes. */
const LARGEST_FETCHED = 2 ** 31;

/** How something is asked for. */
export interface RequestOptions {
  /** Headers for an address: a token is not for all of them. */
  readonly headers?: (url: URL) => Headers;
  /** Milliseconds without an answer, or with too little of one. @default 60_000 */
  readonly patience?: number;
  /** Stops it. */
  readonly signal?: AbortSignal;
  /** Called with each answer, redirects included. */
  readonly onAnswer?: (response: Response) => void;
}

/**
 * Asks for an address, and follows redirects: to http and https alone, and never from https down to
 * http.
 *
 * @throws {CutConnection} where the server cannot be reached or does not answer in time.
 * @throws {BadAnswer} where it redirects without end or elsewhere.
 */
export async function request(address: URL, options: RequestOptions = {}): Promise<Response> {
  let url = address;
  for (let redirects = 0; redirects <= REDIRECTS; redirects++) {
    const response = await ask(url, options);
    options.onAnswer?.(response);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    url = target(url, location);
  }
  throw new BadAnswer(`${shown(url)} redirects without end`);
}

/** Where a redirect leads. */
function target(from: URL, location: string): URL {
  const to = URL.parse(location, from);
  if (to === null || !["http:", "https:"].includes(to.protocol)) {
    throw new BadAnswer(`${shown(from)} redirects to something other than a web address`);
  }
  if (from.protocol === "https:" && to.protocol === "http:") {
    throw new BadAnswer(`${shown(from)} redirects from https down to http`);
  }
  return to;
}

/** An address without what may be secret in it. */
function shown(url: URL): string {
  return `${url.origin}${url.pathname}`.slice(0, 200);
}

async function ask(url: URL, options: RequestOptions): Promise<Response> {
  const { headers, patience = PATIENCE, signal } = options;
  const silence = new AbortController();
  const timer = setTimeout(
    () => silence.abort(new Error(`no answer in ${seconds(patience)}`)),
    patience,
  );
  try {
    return await fetch(url, {
      headers: headers?.(url),
      redirect: IN_BROWSER ? "follow" : "manual", // a page does not see where it is sent
      signal: AbortSignal.any(signal ? [signal, silence.signal] : [silence.signal]),
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw new CutConnection((error as Error).message, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * An answer's bytes as they come.
 *
 * @throws {CutConnection} where the connection is cut, or too few come in the time that they have.
 */
export async function* piecesOf(
  response: Response,
  patience: number = PATIENCE,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  let deadline = performance.now() + patience;
  let received = 0;
  try {
    while (true) {
      const { done, value } = await within(reader.read(), deadline - performance.now(), patience);
      if (done) return;
      received += value.byteLength;
      if (received >= SLOWEST) {
        received = 0;
        deadline = performance.now() + patience;
      }
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function within<Result>(
  work: Promise<Result>,
  milliseconds: number,
  patience: number,
): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`fewer than ${SLOWEST} bytes came in ${seconds(patience)}`)),
      Math.max(0, milliseconds),
    );
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    work.catch(() => {});
    throw new CutConnection((error as Error).message, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * All of an answer.
 *
 * @param most The most bytes that it may have.
 * @throws {BadAnswer} where it has more. @throws {CutConnection} as {@linkcode piecesOf}.
 */
export async function readAll(
  response: Response,
  most: number,
  patience?: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const part of piecesOf(response, patience)) {
    parts.push(part);
    size += part.byteLength;
    if (size > most) {
      throw new BadAnswer(`${shown(new URL(response.url))} has more than ${most} bytes`);
    }
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

function seconds(milliseconds: number): string {
  return `${milliseconds / 1000} s`;
}

/**
 * The bytes behind an address.
 *
 * @throws {Error} where the server does not have them, or takes too long.
 */
export async function fetchFile(address: URL): Promise<Uint8Array<ArrayBuffer>> {
  const response = await request(address);
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`${address} answered ${response.status}`);
  }
  return await readAll(response, LARGEST_FETCHED);
}
