/** Several mirrored connections of --mode http, on one clock, which is the capture's as well. */
import { HttpMode } from "../../src/forward/http-mode.ts";
import type { HttpOptions } from "../../src/forward/http-options.ts";
import type { StreamConsumer } from "../../src/flow/stream.ts";
import { USUAL } from "../support/usual.ts";
import { Scripted, type ScriptedSocket } from "./scripted.ts";

export class Clients extends Scripted {
  readonly mode: HttpMode;

  constructor({ bufferBytes, ...http }: Partial<HttpOptions> & { bufferBytes?: number } = {}) {
    super(bufferBytes === undefined ? {} : { bufferBytes });
    const usual = {
      pipelineDepth: 1,
      maxWaitingRequests: 128,
      maxRequestBytes: 1 << 20,
      maxHeaderBytes: 65_536,
      responseTimeoutMs: 30_000,
    };
    this.mode = new HttpMode(this.destination, { ...USUAL, ...usual, ...http }, { foreign() {} }, this);
  }

  open(): StreamConsumer {
    return this.mode.open({ identity: new Int32Array(9), hasSyn: true });
  }

  take(client: StreamConsumer, text: string): void {
    this.mode.advance();
    client.data(new TextEncoder().encode(text), 0, text.length, this.nowMs);
  }

  say(client: StreamConsumer, text: string): void {
    this.take(client, text);
    this.settle();
  }

  respond(socket: ScriptedSocket, text: string): void {
    socket.events.received(new TextEncoder().encode(text));
    this.settle();
  }

  settle(): void {
    this.mode.flush();
    this.destination.flush();
  }

  override pass(ms: number): void {
    super.pass(ms);
    this.mode.advance();
    this.settle();
  }

  get requests() {
    return this.counters.requests;
  }
}
