import type { MessagePort } from "node:worker_threads";

/** What a worker is asked: to make the thing of that number, or to call one of its methods. */
export type Question =
  & {
    readonly values: readonly unknown[];
    readonly milliseconds: number;
  }
  & (
    | { readonly make: number }
    | { readonly call: number; readonly method: string; readonly size: number }
  );

/** What a worker is sent; a question has a number, and a thing that is needed no more is dropped. */
export type Request = Question & { readonly number: number } | { readonly drop: number };

/** What a worker answers to the question of a number. */
export type Reply =
  & { readonly number: number }
  & ({ readonly value: unknown } | { readonly error: string });

/** What a worker is given to begin with. */
export interface Start {
  /** One number: {@linkcode WAITING} until there is an answer. */
  readonly signal: SharedArrayBuffer;
  /** Where requests come from, and answers go. */
  readonly port: MessagePort;
}

/** The signal while an answer is awaited. */
export const WAITING = 0;
/** The signal once there is one. */
export const ANSWERED = 1;
