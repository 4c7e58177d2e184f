/** A mirrored connection of --mode http, and an endpoint that the test controls. */
import { HttpMode } from "../../src/forward/http-mode.ts";
import type { HttpOptions } from "../../src/forward/http-options.ts";
import { Cost } from "../../src/memory/budget.ts";
import { USUAL } from "../support/usual.ts";
import { Scripted, type ScriptedOptions, type ScriptedSocket } from "./scripted.ts";

/** A mirrored connection of --mode http. */
export class Mirrored extends Scripted {
  private readonly mode: HttpMode;
  private readonly stream;

  constructor({ bufferBytes, connectTimeoutMs, tls, ...http }: Partial<HttpOptions> & ScriptedOptions = {}) {
    super({
      ...(bufferBytes === undefined ? {} : { bufferBytes }),
      ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
      ...(tls === undefined ? {} : { tls }),
    });
    const usual = {
      ...USUAL,
      pipelineDepth: 1,
      maxWaitingRequests: 128,
      maxRequestBytes: 1 << 20,
      maxHeaderBytes: 65_536,
      responseTimeoutMs: 1000,
      headerEdits: null,
    };
    this.mode = new HttpMode(this.destination, { ...usual, ...http }, { foreign() {} }, this);
    this.stream = this.mode.open({ identity: new Int32Array(9), hasSyn: true });
  }

  /** A batch with the client's next bytes, each text in its own segment. */
  client(...texts: string[]): void {
    for (const text of texts) this.stream.data(new TextEncoder().encode(text), 0, text.length, this.nowMs);
    this.tick();
  }

  answer(socket: ScriptedSocket, text: string): void {
    socket.events.received(new TextEncoder().encode(text));
    this.tick();
  }

  end(): void {
    this.stream.end("fin");
    this.tick();
  }

  tick(): void {
    this.mode.flush();
    this.destination.flush();
  }

  override pass(ms: number): void {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; this.tick())
      super.pass(Math.min(10, untilMs - this.nowMs));
  }

  /** Memory in addition to the conversation itself. */
  override get heldBytes(): number {
    return super.heldBytes - Cost.STREAM;
  }

  get requests() {
    return this.counters.requests;
  }
}
