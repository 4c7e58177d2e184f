/** A real browser without a window (Debian's chromium-headless-shell), over its debugging protocol. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";

const BROWSER = "chromium-headless-shell";

/** The reason why no page can be opened here; undefined: pages can be opened. */
export function whyNoBrowser(): string | undefined {
  return Bun.which(BROWSER) === null ? `${BROWSER} is not installed` : undefined;
}

interface Message {
  id?: number;
  method?: string;
  params?: any;
  result?: any;
  error?: { message: string };
}

export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly isDark?: boolean;
}

/** One page in a browser of its own. */
export class Browser {
  /** The addresses of all requests that the page has made. */
  readonly requests: string[] = [];
  /** Errors and warnings of its console, and uncaught exceptions. */
  readonly complaints: string[] = [];
  private readonly asked = new Map<number, PromiseWithResolvers<any>>();
  private loaded = Promise.withResolvers<void>();
  private count = 0;

  private constructor(
    private readonly child: Subprocess<"ignore", "ignore", "pipe">,
    private readonly directory: string,
    private readonly socket: WebSocket,
  ) {
    socket.onmessage = ({ data }) => this.take(JSON.parse(String(data)) as Message);
  }

  static async start(): Promise<Browser> {
    const directory = mkdtempSync(join(tmpdir(), "vxlan-to-http-browser-"));
    const flags = ["--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", `--user-data-dir=${directory}`];
    const child = Bun.spawn([BROWSER, ...flags, "about:blank"], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
    const port = await debuggingPort(child.stderr);
    const pages = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
      type: string;
      webSocketDebuggerUrl: string;
    }[];
    const socket = new WebSocket(pages.find(({ type }) => type === "page")!.webSocketDebuggerUrl);
    await new Promise((resolve) => (socket.onopen = resolve));
    const browser = new Browser(child, directory, socket);
    for (const domain of ["Page", "Runtime", "Network", "Log"]) await browser.ask(`${domain}.enable`);
    return browser;
  }

  async screen({ width, height, isDark = false }: Screen): Promise<void> {
    await this.ask("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    const features = [{ name: "prefers-color-scheme", value: isDark ? "dark" : "light" }];
    await this.ask("Emulation.setEmulatedMedia", { features });
  }

  async withoutScripts(): Promise<void> {
    await this.ask("Emulation.setScriptExecutionDisabled", { value: true });
  }

  async open(url: string): Promise<void> {
    this.loaded = Promise.withResolvers();
    await this.ask("Page.navigate", { url });
    await this.loaded.promise;
  }

  /** The value of an expression in the page; a promise is awaited. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.ask("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value as T;
  }

  async press(key: string): Promise<void> {
    const text = key === "Enter" ? { text: "\r" } : {};
    for (const type of ["keyDown", "keyUp"])
      await this.ask("Input.dispatchKeyEvent", { type, key, code: key, ...text });
  }

  /** The page as it is shown, as a PNG. */
  async screenshot(): Promise<Uint8Array> {
    const { data } = await this.ask("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data as string, "base64");
  }

  async close(): Promise<void> {
    // Ended by its own command: a signal would end only the script that started it.
    await Promise.race([this.ask("Browser.close"), this.child.exited]);
    await this.child.exited;
    this.socket.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  ask(method: string, params: object = {}): Promise<any> {
    const id = ++this.count;
    const answer = Promise.withResolvers<any>();
    this.asked.set(id, answer);
    this.socket.send(JSON.stringify({ id, method, params }));
    return answer.promise;
  }

  private take({ id, method, params, result, error }: Message): void {
    if (id !== undefined) {
      const answer = this.asked.get(id);
      this.asked.delete(id);
      if (error === undefined) answer?.resolve(result);
      else answer?.reject(new Error(error.message));
    }
    if (method === "Page.loadEventFired") this.loaded.resolve();
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url as string);
    if (method === "Runtime.exceptionThrown") this.complaints.push(JSON.stringify(params.exceptionDetails));
    if (method === "Log.entryAdded") this.complaints.push(params.entry.text as string);
    if (method === "Runtime.consoleAPICalled") this.complaints.push(JSON.stringify(params.args));
  }
}

/** The port on which the browser says it listens. */
async function debuggingPort(stderr: ReadableStream<Uint8Array>): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const read = async () => {
    let text = "";
    const decoder = new TextDecoder();
    // Read to its end: a full pipe would block the browser.
    for await (const chunk of stderr) {
      text = (text + decoder.decode(chunk, { stream: true })).slice(-10_000);
      const [, port] = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)/.exec(text) ?? [];
      if (port !== undefined) resolve(Number(port));
    }
    reject(new Error(`The browser did not start: ${text}`));
  };
  void read();
  return promise;
}
