import { join, toFileUrl } from "@std/path";

/** How large a screen is, in CSS pixels. */
export interface Screen {
  readonly width: number;
  readonly height: number;
  /** Whether it is a phone's: the page's viewport rule counts there. */
  readonly mobile?: boolean;
  /** The colour scheme that its user prefers. */
  readonly scheme?: "light" | "dark";
  /** What the page is shown on. @default a screen */
  readonly medium?: "screen" | "print";
}

type Message = {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
};

/** How many milliseconds a page may take to load. */
const PATIENCE = 60_000;

/** Commands that may be Chromium, by system. */
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** A headless Chromium, driven by its DevTools protocol. Only tests use one: the product needs none. */
export class Chromium implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #replies = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  readonly #listeners = new Set<(message: Message) => void>();
  #id = 0;

  private constructor(process: Deno.ChildProcess, profile: string, socket: WebSocket) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => {
      for (const { reject } of this.#replies.values()) reject(new Error("Chromium has gone"));
    };
  }

  /**
   * Starts a browser.
   *
   * @param options Whether its pages have WebGPU, on the software adapter that comes with it.
   * @throws {Error} where none is installed, saying how to install one.
   */
  static async start({ webgpu = false }: { webgpu?: boolean } = {}): Promise<Chromium> {
    const profile = await Deno.makeTempDir({ prefix: "chromium-" });
    const process = spawn(profile, webgpu ? WEBGPU : ["--disable-gpu"]);
    try {
      const socket = new WebSocket(await addressIn(process.stderr));
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = () => reject(new Error("Cannot reach Chromium's DevTools"));
      });
      return new Chromium(process, profile, socket);
    } catch (error) {
      process.kill();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.send("Browser.close");
    await this.#process.status;
    this.#socket.close();
    await Deno.remove(this.#profile, { recursive: true });
  }

  /** Loads a file or an address in a tab of its own, and waits until it is there. */
  async open(page: string | URL, screen: Screen): Promise<Tab> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const tab = new Tab(this, { session: String(sessionId), target: String(targetId) });
    await tab.load((page instanceof URL ? page : toFileUrl(page)).href, screen);
    return tab;
  }

  /** Sends a command. @throws {Error} with the browser's own words where it refuses. */
  send(
    method: string,
    params: Record<string, unknown> = {},
    sessionId?: string,
  ): Promise<Record<string, unknown>> {
    const id = ++this.#id;
    const reply = Promise.withResolvers<Record<string, unknown>>();
    this.#replies.set(id, reply);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return reply.promise;
  }

  /** Hears every event from now on. */
  listen(listener: (message: Message) => void): void {
    this.#listeners.add(listener);
  }

  #receive(message: Message): void {
    if (message.id === undefined) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    const { resolve, reject } = this.#replies.get(message.id)!;
    this.#replies.delete(message.id);
    if (message.error) reject(new Error(`Chromium: ${message.error.message}`));
    else resolve(message.result ?? {});
  }
}

/** A page in a tab. */
export class Tab {
  /** What the page wrote to its console, threw, or could not load. */
  readonly complaints: string[] = [];
  /** What the page asked for, itself among it. */
  readonly requests: string[] = [];
  readonly #browser: Chromium;
  readonly #session: string;
  readonly #target: string;
  readonly #loaded = Promise.withResolvers<void>();

  constructor(browser: Chromium, { session, target }: { session: string; target: string }) {
    this.#browser = browser;
    this.#session = session;
    this.#target = target;
    browser.listen(({ method, sessionId, params = {} }) => {
      if (sessionId !== session) return;
      if (method === "Page.loadEventFired") this.#loaded.resolve();
      if (method === "Network.requestWillBeSent") {
        this.requests.push((params.request as { url: string }).url);
      }
      const complains = [
        "Runtime.consoleAPICalled",
        "Runtime.exceptionThrown",
        "Log.entryAdded",
        "Network.loadingFailed",
      ];
      if (complains.includes(method!)) this.complaints.push(JSON.stringify(params));
    });
  }

  /** Loads an address, and waits until it is there. */
  async load(
    url: string,
    { width, height, mobile = false, scheme = "light", medium = "screen" }: Screen,
  ): Promise<void> {
    for (const domain of ["Page", "Runtime", "Log", "Network"]) {
      await this.#send(`${domain}.enable`);
    }
    await this.#send("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      mobile,
      deviceScaleFactor: 1,
    });
    await this.#send("Emulation.setEmulatedMedia", {
      media: medium,
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
    const late = setTimeout(
      () => this.#loaded.reject(new Error(`Chromium did not load ${url} in ${PATIENCE} ms`)),
      PATIENCE,
    );
    await this.#send("Page.navigate", { url });
    await this.#loaded.promise;
    clearTimeout(late);
  }

  /** The value of a function that runs in the page; it sees nothing but the page and its argument. */
  async evaluate<Value, Argument = undefined>(
    body: (argument: Argument) => Value | Promise<Value>,
    argument?: Argument,
  ): Promise<Value> {
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", {
      expression: `(${body})(${JSON.stringify(argument)})`,
      returnByValue: true,
      awaitPromise: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: Value }).value;
  }

  /** Moves the pointer to a place of the screen. */
  async movePointer(x: number, y: number): Promise<void> {
    await this.#send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
  }

  /** Closes the tab. */
  async close(): Promise<void> {
    await this.#browser.send("Target.closeTarget", { targetId: this.#target });
  }

  /** The page as PNG, whole or in part. */
  async screenshot(part: { y?: number; height?: number } = {}): Promise<Uint8Array<ArrayBuffer>> {
    const { cssContentSize } = await this.#send("Page.getLayoutMetrics");
    const { width, height } = cssContentSize as { width: number; height: number };
    const { data } = await this.#send("Page.captureScreenshot", {
      captureBeyondViewport: true,
      clip: { x: 0, y: 0, width, height, scale: 1, ...part },
    });
    return Uint8Array.fromBase64(String(data));
  }

  #send(method: string, params?: Record<string, unknown>): Promise<Record<string, unknown>> {
    return this.#browser.send(method, params, this.#session);
  }
}

const WEBGPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];

function spawn(profile: string, switches: readonly string[]): Deno.ChildProcess {
  const named = Deno.env.get("CHROMIUM");
  for (const name of named === undefined ? NAMES : [named]) {
    try {
      return new Deno.Command(name, {
        args: [
          "--headless",
          "--no-sandbox",
          ...switches,
          "--disable-dev-shm-usage",
          "--disable-background-networking",
          "--disable-component-update",
          "--disable-sync",
          "--no-first-run",
          "--hide-scrollbars",
          "--remote-debugging-port=0",
          `--user-data-dir=${join(profile, "profile")}`,
        ],
        stdout: "null",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(
    `Cannot test the report as there is no ${named ?? "Chromium"}: install it (on Debian ` +
      "apt-get install chromium), or name its command in the variable CHROMIUM",
  );
}

/** The address of DevTools, as the browser prints it; what it prints then is read and dropped. */
async function addressIn(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  const reader = output.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Chromium did not start: ${text}`);
    text += value;
    const address = /DevTools listening on (ws:\S+)/.exec(text)?.[1];
    if (address === undefined) continue;
    (async () => {
      while (!(await reader.read()).done);
    })();
    return address;
  }
}
