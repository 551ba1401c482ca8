/**
 * What strangers wrote and this program interprets (templates, tokenizers' patterns) runs in a worker,
 * with a limit on its time, its output and its memory.
 *
 * @module
 */
import type { MessagePort, Worker } from "node:worker_threads";
import { builtin, requireDeno } from "../platform.ts";
import { ANSWERED, type Question, type Reply, type Start, WAITING } from "./messages.ts";

/** What a call may take. */
export interface Limits {
  /** Milliseconds. */
  readonly milliseconds: number;
  /** Characters or tokens of what it gives. */
  readonly size: number;
}

/** Milliseconds that a worker has to begin. */
const START = 60_000;
/** Milliseconds past a call's limit after which a worker is given up: it ran out of memory. */
const GRACE = 2_000;

/** Workers of one module, of which one runs at a time. */
export class Sandbox {
  readonly #module: URL;
  readonly #megabytes: number;
  readonly #dropped = new FinalizationRegistry((number: number) => {
    this.#running?.port.postMessage({ drop: number });
  });
  #running: Running | undefined;
  #made = 0;
  #asked = 0;

  /**
   * Starts no worker yet.
   *
   * @param module Calls `serve()`.
   * @param megabytes Memory that a worker has; one that takes more is ended.
   */
  constructor(module: URL, megabytes: number) {
    this.#module = module;
    this.#megabytes = megabytes;
  }

  /**
   * Makes a thing in the worker.
   *
   * @param values What the module's function makes it of; they are copied.
   * @throws {Error} with the reason where that fails.
   */
  make(values: readonly unknown[], milliseconds: number): Sandboxed {
    const number = this.#made++;
    let home: Running | undefined;
    const makeIn = (running: Running): void => {
      if (home === running) return;
      this.#ask(running, { make: number, values, milliseconds });
      home = running;
    };
    const call: Sandboxed["call"] = (method, values, limits) => {
      // A worker that was given up took what was made in it along.
      const running = this.#running ??= this.#start();
      makeIn(running);
      return this.#ask(running, { call: number, method, values, ...limits });
    };
    makeIn(this.#running ??= this.#start());
    const sandboxed: Sandboxed = { call };
    this.#dropped.register(sandboxed, number);
    return sandboxed;
  }

  #start(): Running {
    requireDeno("run what strangers wrote", "its pages may not wait for a worker");
    const { MessageChannel, Worker } = builtin("node:worker_threads");
    const signal = new SharedArrayBuffer(4);
    const { port1, port2 } = new MessageChannel();
    const workerData: Start = { signal, port: port2 };
    const worker = new Worker(addressOf(this.#module), {
      workerData,
      transferList: [port2],
      resourceLimits: { maxOldGenerationSizeMb: this.#megabytes },
    });
    // It does not keep the program running, and its end is noticed by what it leaves unanswered.
    worker.unref();
    port1.unref();
    worker.on("error", () => {});
    const running = { worker, port: port1, status: new Int32Array(signal) };
    if (Atomics.wait(running.status, 0, WAITING, START) === "timed-out") {
      this.#giveUp(running);
      throw new Error(`Cannot start a worker of ${this.#module} in ${START / 1000} s`);
    }
    return running;
  }

  #ask(running: Running, question: Question): unknown {
    const { status, port } = running;
    const number = this.#asked++;
    Atomics.store(status, 0, WAITING);
    port.postMessage({ ...question, number });
    const patience = question.milliseconds + GRACE;
    if (Atomics.wait(status, 0, WAITING, patience) === "timed-out" && status[0] !== ANSWERED) {
      this.#giveUp(running);
      throw new Error(
        `it took more than ${this.#megabytes} MB or ${Math.round(patience / 1000)} s`,
      );
    }
    const reply = receive(port);
    if (reply?.number !== number) {
      this.#giveUp(running);
      throw new Error("its worker answered something else than it was asked");
    }
    if ("error" in reply) throw new Error(reply.error);
    return reply.value;
  }

  #giveUp(running: Running): void {
    if (this.#running === running) this.#running = undefined;
    running.port.close();
    running.worker.terminate();
  }
}

/** The answer that a worker has signalled; a message may come a moment after the signal. */
function receive(port: MessagePort): Reply | undefined {
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let waited = 0; waited < GRACE; waited++) {
    const received = builtin("node:worker_threads").receiveMessageOnPort(port);
    if (received) return received.message as Reply;
    Atomics.wait(never, 0, 0, 1);
  }
  return undefined;
}

/** What was made in a worker. */
export interface Sandboxed {
  /**
   * Calls one of its methods; values and result are copied.
   *
   * @throws {Error} with the reason where it fails or takes more than the limits.
   */
  call(method: string, values: readonly unknown[], limits: Limits): unknown;
}

interface Running {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly status: Int32Array;
}

/** Workers of Node's kind begin with a file or with data; a module of the web is imported by the latter. */
function addressOf(module: URL): URL {
  return module.protocol === "file:"
    ? module
    : new URL(`data:text/javascript,import ${encodeURIComponent(JSON.stringify(module.href))}`);
}
